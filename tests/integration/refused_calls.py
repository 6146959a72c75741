"""A caller in a sandbox that refuses a system call, as a container engine's profile does."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Callable


def refusing(number: int, error: int = errno.EPERM) -> Callable[[], None]:
    """What subprocess is to call before the program: a filter under which system call ``number`` fails with ``error``."""
    program = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | error), (0x06, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("=HBBI", *one) for one in program)

    def enter() -> None:
        text = ctypes.create_string_buffer(code)
        header = struct.pack("@HxxxxxxQ", len(program), ctypes.addressof(text))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert libc.prctl(22, 2, header) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER

    return enter
