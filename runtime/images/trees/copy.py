"""A private copy of what layers show together: for runtimes and file systems without overlayfs (--copy).

Data is shared with the store where the file system can (FICLONE); then the copy takes no room.
"""

import errno
import fcntl
import posix

from runtime.host.overlay import is_whiteout
from runtime.images.trees import attributes
from runtime.images.trees.stack import is_opaque
from runtime.images.trees.tree import Tree
from runtime.kernel import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.names import Path
    from runtime.images.progress import Progress
    from runtime.images.trees.owners import Form

_FICLONE = 0x40049409  # linux/fs.h
_PIECE = 1 << 24  # bytes copied at once
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_NEW = posix.O_RDWR | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC


class FileCopier:
    """Copies anything but directories, with all attributes but overlayfs' own. Raises OSError."""

    def __init__(self, progress: "Progress | None" = None) -> None:
        self._progress = progress
        self._clones = True

    def copy(self, source: int, target: int, name: bytes, status: "posix.stat_result") -> None:
        """Copy the file ``name`` of the directory ``source``, whose ``status`` is known, to ``target``, which has none."""
        kind = status.st_mode & S_IFMT
        if kind == S_IFREG:
            self._regular(source, target, name, status.st_size)
            return
        if kind == S_IFLNK:
            posix.symlink(posix.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            posix.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        posix.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        if kind != S_IFLNK:
            posix.chmod(name, status.st_mode & 0o7777, dir_fd=target)
        posix.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _regular(self, directory: int, above: int, name: bytes, size: int) -> None:
        source = posix.open(name, _READ, dir_fd=directory)
        target = posix.open(name, _NEW, 0o600, dir_fd=above)
        try:
            if not self._cloned(source, target):
                copy_data(source, target, size)
            if self._progress:
                self._progress.add(size)
            attributes.copy(source, target)
        finally:
            posix.close(source)
            posix.close(target)

    def _cloned(self, source: int, target: int) -> bool:
        """Share the data, if the file system can; it is asked once."""
        if self._clones:
            try:
                fcntl.ioctl(target, _FICLONE, source)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS):
                    raise
                self._clones = False
        return self._clones


class Copier:
    """Copies layers, the lowest first, into the directory ``target``. Raises OSError."""

    def __init__(self, target: int, form: "Form", progress: "Progress") -> None:
        self._target = Tree(target)
        self._form = form
        self._files = FileCopier(progress)
        self._links: dict[tuple[int, int], tuple[Path, bytes]] = {}

    def add(self, layer: int, implied: "frozenset[bytes]") -> None:
        """Put a layer on top. ``implied``: directories whose attributes do not count if they are there already."""
        source = Tree(layer)
        self._links = {}
        done: list[Path] = []
        kept: dict[Path, tuple[int, int]] = {}  # times of directories that only the layers below have an entry for
        waiting: list[Path] = [()]
        try:
            while waiting:
                path = waiting.pop()
                before = self._directory(source.descriptor(path), path)
                if before and b"/".join(path) in implied:
                    kept[path] = before.st_atime_ns, before.st_mtime_ns
                else:
                    done.append(path)
                for name in posix.listdir(source.descriptor(path)):
                    part = name.encode("utf-8", "surrogateescape")
                    if self._file(source.descriptor(path), path, part):
                        waiting.append((*path, part))
            for path in reversed(done):
                attributes.copy(source.descriptor(path), self._target.descriptor(path))
            for path, times in kept.items():
                posix.utime(self._target.descriptor(path), ns=times)
        finally:
            source.close()
            self._target.close()

    def _directory(self, source: int, path: "Path") -> "posix.stat_result | None":
        """Make the directory, or empty it if it is opaque. Returns what it was before; None for a new one."""
        if not path:
            if is_opaque(source, self._form):
                for name in posix.listdir(self._target.descriptor(())):
                    self._target.remove((), name.encode("utf-8", "surrogateescape"))
            return posix.fstat(self._target.descriptor(()))
        above, part = path[:-1], path[-1]
        status = self._target.status(above, part)
        if status and (status.st_mode & S_IFMT != S_IFDIR or is_opaque(source, self._form)):
            self._target.remove(above, part)
            status = None
        if status is None:
            posix.mkdir(part, 0o700, dir_fd=self._target.descriptor(above))
        return status

    def _file(self, directory: int, above: "Path", name: bytes) -> bool:
        """Copy anything but a directory, for which it returns True."""
        status = posix.stat(name, dir_fd=directory, follow_symlinks=False)
        if status.st_mode & S_IFMT == S_IFDIR:
            return True
        if self._target.status(above, name):
            self._target.remove(above, name)
        if is_whiteout(status):
            return False
        known = self._links.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
        if known:
            held = posix.dup(self._target.descriptor(known[0]))
            there = self._target.descriptor(above)
            posix.link(known[1], name, src_dir_fd=held, dst_dir_fd=there, follow_symlinks=False)
            posix.close(held)
            return False
        self._links[status.st_dev, status.st_ino] = above, name
        self._files.copy(directory, self._target.descriptor(above), name, status)
        return False


def copy_data(source: int, target: int, size: int) -> None:
    """The data of a file, without its holes. Raises OSError."""
    at = 0
    while at < size:
        try:
            at = posix.lseek(source, at, posix.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        end = posix.lseek(source, at, posix.SEEK_HOLE)
        while at < end:
            at += _copied(source, target, at, min(_PIECE, end - at))
    posix.ftruncate(target, size)


def _copied(source: int, target: int, at: int, count: int) -> int:
    """Copy some bytes; by reading where copy_file_range(2) does not go from one file system to the other."""
    try:
        done = posix.copy_file_range(source, target, count, at, at)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        done = 0
    return done or posix.pwrite(target, posix.pread(source, count, at), at)
