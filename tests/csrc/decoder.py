"""Init's own decoder, csrc/wire.c, as a library in this process: what a plan is once init has read it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runtime.plan import ops

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "csrc"

# (code, side, numbers, strings): a string is its bytes, a list the list of these, None absent.
Decoded = tuple[int, int, tuple[int, ...], tuple["bytes | list[bytes] | None", ...]]


class Decoder:
    """``read(plan)`` loads it as init does, from a file of its own."""

    def __init__(self, directory: Path) -> None:
        library = directory / "decoder.so"
        command = ["gcc", "-shared", "-fPIC", "-O1", "-g", "-std=gnu11", "-D_GNU_SOURCE", f"-I{SOURCES}"]
        subprocess.run([*command, str(HERE / "decoder.c"), "-o", str(library)], check=True)
        self.lib = ctypes.CDLL(str(library))
        self.lib.decoder_number.restype = ctypes.c_uint64
        self.lib.decoder_bytes.restype = ctypes.c_void_p
        self.lib.decoder_next.restype = ctypes.c_void_p
        self.lib.decoder_next.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]

    def read(self, plan: bytes, shapes: Sequence[ops.Operation]) -> list[Decoded]:
        """The operations. ``shapes`` are those that were planned: whether a string is a list is known to its reader only.

        Raises OSError when init would refuse the plan.
        """
        memory = os.memfd_create("plan")
        try:
            os.write(memory, plan)
            count = self.lib.decoder_load(memory)
        finally:
            os.close(memory)
        if count < 0:
            raise OSError(-count, os.strerror(-count))
        found = [self._operation(index, shapes[index] if index < len(shapes) else None) for index in range(count)]
        self.lib.decoder_unload()
        return found

    def _operation(self, index: int, shape: ops.Operation | None) -> Decoded:
        code = self.lib.decoder_code(index)
        _, numbers, strings = ops.TABLE[code]
        values = tuple(self.lib.decoder_number(index, i) for i in range(len(numbers)))
        texts = [
            self._list(index, i) if shape and isinstance(shape[4][i], list | tuple) else self._bytes(index, i)
            for i in range(len(strings))
        ]
        return code, self.lib.decoder_side(index), values, tuple(texts)

    def _bytes(self, index: int, i: int) -> bytes | None:
        length = ctypes.c_size_t()
        place = self.lib.decoder_bytes(index, i, ctypes.byref(length))
        return ctypes.string_at(place, length.value) if place else None

    def _list(self, index: int, i: int) -> list[bytes]:
        found: list[bytes] = []
        current = self.lib.decoder_next(index, i, None)
        while current:
            found.append(ctypes.string_at(current))  # up to its NUL, as the kernel reads it
            current = self.lib.decoder_next(index, i, current)
        return found
