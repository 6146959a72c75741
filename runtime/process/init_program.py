"""The init program: its bytes, and the sealed file that it is started from.

The memfd of one created container serves the next ones too, so that not each of them costs a copy;
`runtime.lifecycle.init_program` knows where to look for one. Hot: imports only builtins.
"""

import posix

from runtime import shim
from runtime.errors import OcirunError, system_failure

FILE = __file__.rpartition("/process/")[0] + "/init"
linked = b""  # in an image, which needs no file: the program


def content() -> bytes:
    """The bytes of the init program. Raises OSError."""
    return linked or read(FILE)


def read(path: str) -> bytes:
    """The bytes of a file. Raises OSError."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, posix.fstat(descriptor).st_size)
    finally:
        posix.close(descriptor)


def sealed(program: bytes, directory: str) -> int:
    """A descriptor of a copy that nobody can write to; in ``directory`` if executable memfds are forbidden.

    Raises OSError, or OcirunError if the remedy is known.
    """
    try:
        return shim.sealed(program)
    except PermissionError:
        pass
    try:
        return shim.unlinked(directory, program)
    except OSError:
        pass
    try:
        return shim.detached(program)
    except PermissionError as error:
        raise forbidden(directory, error) from None


def forbidden(directory: str, error: OSError) -> OSError | OcirunError:
    """What to raise when init can be executed neither from a memfd nor from a file in ``directory``."""
    try:
        with open("/proc/sys/vm/memfd_noexec", "rb") as file:
            refused = file.read().strip() == b"2"
    except OSError:
        refused = False
    if not refused:
        return error
    failure = system_failure("start the init program", error)
    failure.message += (
        f"; vm.memfd_noexec=2 forbids executable memfds: give a --root other than {directory},"
        " writable and not mounted noexec"
    )
    return failure


def shared(program: bytes, place: "tuple[str, int]", like: int) -> int:
    """A descriptor of the copy that another container was started from; -1 if ``place`` does not lead to one.

    ``place``: its path in /proc and its inode, which is verified, as everything about it. ``like``: any memfd of ours.
    """
    try:
        return shim.shared(*place, like, program)
    except OSError:
        return -1
