"""A container's terminal, held by its master end."""

import errno
import fcntl
import posix
import termios
from _struct import Struct

from runtime.errors import OcirunError, system_failure

SIZE = Struct("=4H")  # struct winsize: rows, columns, and pixels


class Terminal:
    """The master end of a program's terminal. ``fd`` stays open until `close`; it is also what `fileno` gives to `select`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __repr__(self) -> str:
        return f"Terminal(fd={self.fd})"

    def fileno(self) -> int:
        """The descriptor. OcirunError once it is closed."""
        if self.fd < 0:
            raise OcirunError("the terminal is closed")
        return self.fd

    def read(self, size: int = 65536) -> bytes:
        """What the program has written, as soon as there is something; b"" once nobody has the terminal open."""
        try:
            return posix.read(self.fileno(), size)
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise system_failure("read from the terminal", error) from None

    def write(self, data: "bytes | str") -> int:
        """Type ``data``. Returns how many bytes were taken, which are all of them unless the descriptor does not block."""
        rest = memoryview(data.encode() if isinstance(data, str) else data)
        written = 0
        try:
            while written < len(rest):
                written += posix.write(self.fileno(), rest[written:])
        except BlockingIOError:
            pass
        except OSError as error:
            raise system_failure("write to the terminal", error) from None
        return written

    @property
    def size(self) -> "tuple[int, int]":
        """Columns and rows, as `os.get_terminal_size`."""
        rows, columns, _, _ = SIZE.unpack(fcntl.ioctl(self.fileno(), termios.TIOCGWINSZ, bytes(SIZE.size)))
        return columns, rows

    def resize(self, columns: int, rows: int) -> None:
        """Set the size; the program gets SIGWINCH."""
        fcntl.ioctl(self.fileno(), termios.TIOCSWINSZ, SIZE.pack(rows, columns, 0, 0))

    def close(self) -> None:
        """Hang up: the program gets SIGHUP if nobody else holds the terminal. May be repeated."""
        descriptor, self.fd = self.fd, -1
        if descriptor >= 0:
            posix.close(descriptor)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
