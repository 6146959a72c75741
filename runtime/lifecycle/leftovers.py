"""What a privileged container has made of the directory at /run/notify, removed: files, mounts over it, flags that forbid it. Cold."""

import errno
import fcntl
import posix
from sys import byteorder

from runtime import shim
from runtime.host.walk import walk
from runtime.kernel import FS_APPEND_FL, FS_IMMUTABLE_FL, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, S_IFDIR, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MOUNTS = 1000  # over each other, at most
FORBIDDING = FS_IMMUTABLE_FL | FS_APPEND_FL


def remove(handle: int, name: str) -> None:
    """Remove the directory ``name`` of the open directory ``handle`` with all that is in it, and nothing beyond. OSError as it is."""
    _uncover(handle, name)
    mount = _mount_of(handle)
    for directory in walk(name, handle, leave=_rmdir):
        if _mount_of(directory) != mount:  # somebody's files, not the container's
            raise OSError(errno.EBUSY, posix.strerror(errno.EBUSY))
        for entry in posix.listdir(directory):
            try:
                _allowing(posix.unlink, directory, entry)
            except IsADirectoryError:
                pass  # its turn comes
    try:
        _rmdir(handle, name)
    except FileNotFoundError:
        pass


def _uncover(handle: int, name: str) -> None:
    """Take away what is mounted on it in our own mount namespace. A mount point is never empty for rmdir, but busy."""
    for _ in range(MOUNTS):
        try:
            posix.rmdir(name, dir_fd=handle)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                return  # what else there is to say is said later
        shim.unpin(f"/proc/self/fd/{handle}/{name}")


def _mount_of(descriptor: int) -> bytes:
    """The number of the mount that it is in. A device number does not tell a bind mount from where it lies."""
    info = posix.open(f"/proc/self/fdinfo/{descriptor}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return next(line for line in posix.read(info, 4096).split(b"\n") if line.startswith(b"mnt_id:"))
    finally:
        posix.close(info)


def _rmdir(parent: int, name: str) -> None:
    _allowing(posix.rmdir, parent, name)


def _allowing(remove: "Callable[..., None]", directory: int, name: str) -> None:
    """Remove an entry of the directory; a second time without the flags of both, where they forbid it."""
    try:
        remove(name, dir_fd=directory)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        _clear_flags(directory)
        # Of others an open may do something, and they can have no flags.
        if posix.stat(name, dir_fd=directory, follow_symlinks=False).st_mode & S_IFMT in (S_IFREG, S_IFDIR):
            flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOFOLLOW | posix.O_CLOEXEC
            entry = posix.open(name, flags, dir_fd=directory)
            try:
                _clear_flags(entry)
            finally:
                posix.close(entry)
        remove(name, dir_fd=directory)


def _clear_flags(descriptor: int) -> None:
    try:
        flags = int.from_bytes(fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(8))[:4], byteorder)
        if flags & FORBIDDING:
            fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, (flags & ~FORBIDDING).to_bytes(8, byteorder))
    except OSError:
        pass  # a file system without flags, or no right to change them: the second try tells
