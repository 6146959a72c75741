"""The manager's end of a console socket: take one pseudo terminal from the runtime and talk to it."""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import struct
import termios
import time
from pathlib import Path


class ConsoleSocket:
    """A listening AF_UNIX stream socket, to be given as `--console-socket`. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(10)
        self.message = b""
        """The bytes that came with the descriptor: the terminal's name."""

    def __enter__(self) -> ConsoleSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.path.unlink(missing_ok=True)

    def receive(self) -> Terminal:
        """The terminal of the one connection; asserts that exactly one descriptor comes in one message."""
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(10)
            self.message, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(8 * 4))
            received = array.array("i")
            for level, kind, data in ancillary:
                assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                received.frombytes(data)
            assert len(received) == 1, f"{len(received)} descriptors came, not one"
            assert connection.recv(1) == b"", "a second message came"
        return Terminal(received[0])


class Terminal:
    """The master side of a pseudo terminal."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.text = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def write(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, wanted: str | None, patience: float = 10) -> str:
        """Everything read so far, once it holds the wanted text (None: at the end of the output)."""
        deadline = time.monotonic() + patience
        while wanted is None or wanted not in self.text:
            left = deadline - time.monotonic()
            ready = select.select([self.descriptor], [], [], max(left, 0))[0]
            assert ready, f"{wanted!r} did not come; so far: {self.text!r}"
            try:
                data = os.read(self.descriptor, 4096)
            except OSError:  # EIO: the last process that had it open is gone
                data = b""
            if not data:
                assert wanted is None, f"the terminal closed before {wanted!r} came: {self.text!r}"
                break
            self.text += data.decode(errors="replace")
        return self.text
