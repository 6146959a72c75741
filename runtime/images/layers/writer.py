"""What a container has changed → a layer: a tar archive with whiteouts (image-spec, layer.md). The same changes give the same bytes."""

import posix

from runtime.errors import OcirunError
from runtime.images import names
from runtime.images.errors import shown
from runtime.images.tar.writer import Member, TarWriter
from runtime.images.trees.difference import attributes
from runtime.kernel import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.images.names import Path
    from runtime.images.trees.difference import Change
    from runtime.images.trees.tree import Tree

_KINDS = {
    S_IFREG: "file",
    S_IFDIR: "directory",
    S_IFLNK: "symlink",
    S_IFCHR: "char",
    S_IFBLK: "block",
    S_IFIFO: "fifo",
}
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_PIECE = 1 << 20
_MAX_WARNINGS = 20  # a container can make a million names that are left out
_SECOND = 10**9


class LayerWriter:
    """``tree``: the container's files; ``latest``: no file has a later time, in ns; ``write`` takes the archive."""

    def __init__(
        self, tree: "Tree", latest: "int | None", write: "Callable[[bytes], None]", warn: "Callable[[str], None]"
    ) -> None:
        self._tree = tree
        self._latest = latest
        self._warn = warn
        self._tar = TarWriter(write)
        self._warned = 0
        self._links: dict[tuple[int, int], bytes] = {}  # files with several names → the first of them

    def write(self, changes: "Iterable[Change]") -> int:
        """Write the layer of ``changes``, which are in order, and return how many entries it has.

        Raises OSError, and OcirunError for a file that changes meanwhile.
        """
        count = 0
        opaque: Path | None = None
        for change in changes:
            if any(part.startswith(names.WHITEOUT) for part in change.path):
                self._tell(change.path, " is left out: its name would be a whiteout in a layer")
            elif change.status is None and opaque and change.path[: len(opaque)] == opaque:
                continue  # its directory hides it
            elif change.status is None:
                self._tar.member(self._whiteout(change.path[:-1], names.WHITEOUT + change.path[-1]))
                count += 1
            else:
                count += self._file(change.path, change.status)
                if change.opaque:
                    opaque = change.path
                    self._tar.member(self._whiteout(change.path, names.OPAQUE))
        self._tar.finish()
        if self._warned > _MAX_WARNINGS:
            self._warn(f"{self._warned - _MAX_WARNINGS} more files or attributes are left out")
        return count

    def _tell(self, path: "Path", message: str) -> None:
        """Warn of a file, of the first ones by name."""
        self._warned += 1
        if self._warned <= _MAX_WARNINGS:
            self._warn(f"/{shown(b'/'.join(path))}{message}")

    def _whiteout(self, above: "Path", name: bytes) -> Member:
        return Member("file", b"/".join((*above, name)))

    def _file(self, path: "Path", status: "posix.stat_result") -> int:
        """Write an entry; returns how many it were: 0 for a socket."""
        kind = status.st_mode & S_IFMT
        if kind == S_IFSOCK:
            self._tell(path, " is left out: a layer has no sockets")
            return 0
        directory, name = (self._tree.descriptor(path[:-1]), path[-1]) if path else (self._tree.descriptor(()), b".")
        member = Member(
            _KINDS[kind], b"/".join(path) or b".", status.st_mode, status.st_uid, status.st_gid, self._time(status)
        )
        key = (status.st_dev, status.st_ino)
        if kind != S_IFDIR and key in self._links:
            member.kind, member.link = "link", self._links[key]
            self._tar.member(member)
            return 1
        if kind != S_IFDIR and status.st_nlink > 1:
            self._links[key] = member.name
        member.xattrs = self._attributes(path, directory, name)
        if kind == S_IFLNK:
            member.link = posix.readlink(name, dir_fd=directory)
        elif kind in (S_IFCHR, S_IFBLK):
            member.device = posix.major(status.st_rdev), posix.minor(status.st_rdev)
        if kind == S_IFREG:
            self._regular(path, member, posix.open(name, _READ, dir_fd=directory), status)
        else:
            self._tar.member(member)
        return 1

    def _time(self, status: "posix.stat_result") -> int:
        return status.st_mtime_ns if self._latest is None else min(status.st_mtime_ns, self._latest)

    def _attributes(self, path: "Path", directory: int, name: bytes) -> "dict[str, bytes]":
        found = attributes(directory, name)
        for key in [key for key in found if "=" in key]:
            del found[key]
            self._tell(path, f": its extended attribute {key} is left out: no archive has an = in a name")
        return found

    def _regular(self, path: "Path", member: Member, descriptor: int, status: "posix.stat_result") -> None:
        try:
            member.size = status.st_size
            self._tar.member(member)
            left = member.size
            while left and (piece := posix.read(descriptor, min(left, _PIECE))):
                self._tar.data(piece)
                left -= len(piece)
            now = posix.fstat(descriptor)
            if left or (now.st_size, now.st_mtime_ns, now.st_ino) != (
                status.st_size,
                status.st_mtime_ns,
                status.st_ino,
            ):
                raise OcirunError(f"/{shown(b'/'.join(path))} was changed meanwhile: stop or pause the container first")
            self._tar.pad(member.size)
        finally:
            posix.close(descriptor)
