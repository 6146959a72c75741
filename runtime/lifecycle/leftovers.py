"""Removing the directory at /run/notify, whatever a privileged container put there: files, mounts, inode flags. Cold."""

import errno
import fcntl
import posix
from sys import byteorder

from runtime import shim
from runtime.errors import system_failure
from runtime.host.walk import walk
from runtime.kernel import FS_APPEND_FL, FS_IMMUTABLE_FL, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, S_IFDIR, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_MOUNTS = 1000  # stacked on one directory
FORBIDDING = FS_IMMUTABLE_FL | FS_APPEND_FL


def remove(handle: int, name: str) -> None:
    """Remove the directory ``name`` in the open directory ``handle``, with its content and nothing beyond. Raises OSError."""
    _uncover(handle, name)
    mount = _mount_of(handle)
    for directory in walk(name, handle, leave=_rmdir):
        if _mount_of(directory) != mount:  # another mount: not the container's files
            raise OSError(errno.EBUSY, posix.strerror(errno.EBUSY))
        for entry in posix.listdir(directory):
            try:
                _allowing(posix.unlink, directory, entry)
            except IsADirectoryError:
                pass  # `walk` goes there next
    try:
        _rmdir(handle, name)
    except FileNotFoundError:
        pass


def _uncover(handle: int, name: str) -> None:
    """Unmount whatever covers it in our own mount namespace. rmdir of a mount point fails with EBUSY."""
    for _ in range(MAX_MOUNTS):
        try:
            posix.rmdir(name, dir_fd=handle)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                return  # the removal itself reports it
        shim.unpin(f"/proc/self/fd/{handle}/{name}")


def _mount_of(descriptor: int) -> bytes:
    """The id of the mount that holds it: a bind mount has the same device number as the file system around it."""
    info = posix.open(f"/proc/self/fdinfo/{descriptor}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return next(line for line in posix.read(info, 4096).split(b"\n") if line.startswith(b"mnt_id:"))
    finally:
        posix.close(info)


def _rmdir(parent: int, name: str) -> None:
    _allowing(posix.rmdir, parent, name)


def _allowing(remove: "Callable[..., None]", directory: int, name: str) -> None:
    """Remove an entry of the directory. If inode flags forbid it, clear those of both and try again."""
    try:
        remove(name, dir_fd=directory)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        _clear_flags(directory)
        # Only these can have flags, and opening anything else may have side effects.
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
        pass  # no flags on this file system, or no right to change them: the second try reports it


def remove_empty(handle: int, name: str) -> None:
    """Remove an empty directory of the container's directory; no error where it is gone already. Raises OcirunError."""
    try:
        posix.rmdir(name, dir_fd=handle)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise system_failure(f"remove {name} of the container", error) from None
