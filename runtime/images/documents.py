"""Small JSON files of stores, bundles and layouts. Somebody else may have replaced them: what is read and written has bounds."""

import posix
from errno import ELOOP, ENXIO

from runtime.images.writing import write_all
from runtime.kernel import S_IFMT, S_IFREG
from runtime.lifecycle.document import indented, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json, JsonObject

MAX_SIZE = 8 << 20  # bytes
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC


def read(path: str, dir_fd: "int | None" = None, most: int = MAX_SIZE) -> "Json":
    """The value of a document that we wrote. OSError if it cannot be read, ValueError if it is no such document."""
    return loads(content(path, dir_fd, most))


def content(path: str, dir_fd: "int | None" = None, most: int = MAX_SIZE) -> bytes:
    """What is in a regular file, which is no link. OSError if it cannot be read, ValueError if it is another or too large."""
    try:
        descriptor = posix.open(path, _READ, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (ELOOP, ENXIO):  # a link, a socket
            raise ValueError("not a regular file") from None
        raise
    try:
        status = posix.fstat(descriptor)
        if status.st_mode & S_IFMT != S_IFREG:
            raise ValueError("not a regular file")
        if status.st_size > most:
            raise ValueError(f"more than {most} bytes")
        data = b""
        while piece := posix.read(descriptor, status.st_size - len(data)):
            data += piece
    finally:
        posix.close(descriptor)
    return data


def write(path: str, value: "JsonObject", dir_fd: "int | None" = None, mode: int = 0o600) -> None:
    """Write JSON to a new file, in the place of what has its name, and to disk. Raises OSError."""
    try:
        posix.unlink(path, dir_fd=dir_fd)
    except FileNotFoundError:
        pass
    descriptor = posix.open(path, _NEW, mode, dir_fd=dir_fd)
    try:
        posix.chmod(descriptor, mode)
        write_all(descriptor, indented(value).encode() + b"\n")
        posix.fsync(descriptor)
    finally:
        posix.close(descriptor)
