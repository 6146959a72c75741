"""What a container has changed of its image: its upper directory, or the copy that is its root, against the layers below.

Every change counts: of content, owner, mode, extended attributes and times. What overlayfs has only copied up does not, and
neither do the mount points that a runtime has made.
"""

import posix
from errno import ENODATA, ENOTSUP

from runtime.errors import OcirunError
from runtime.host.overlay import is_whiteout
from runtime.images import names
from runtime.images.errors import shown
from runtime.images.trees.merged import listed
from runtime.images.trees.stack import is_opaque
from runtime.kernel import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtime.images.names import Path
    from runtime.images.trees.merged import Found, Merged, Numbers
    from runtime.images.trees.owners import Form
    from runtime.images.trees.tree import Tree

ADDED, CHANGED, DELETED, SAME = "A", "C", "D", ""  # the letters of `docker diff`
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_PIECE = 1 << 20
_MAX_NAMES = 1 << 25  # in the paths of all files, for memory's sake: 2,000,000 files may be 16 levels deep
# Notes of overlayfs that say that the upper file alone does not tell what the file is.
_ELSEWHERE = {"redirect": "was renamed", "metacopy": "has its content in a layer below"}
_ATTRIBUTES = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")


class Change:
    """A file that is not as in the image. ``status``: None if it is gone. ``opaque``: nothing of the layers shows in it.

    SAME: it is as in the image, but its directory hides the image's.
    """

    __slots__ = ("kind", "opaque", "path", "status")

    def __init__(self, kind: str, path: "Path", status: "posix.stat_result | None", opaque: bool = False) -> None:
        self.kind = kind
        self.path = path
        self.status = status
        self.opaque = opaque


class Difference:
    """``own``: the container's files; ``whole``: all of them, so that what is missing was deleted. ``mounted``: where mounts are."""

    def __init__(
        self, own: "Tree", layers: "Merged", form: "Form", whole: bool, mounted: "Iterable[Path]" = ()
    ) -> None:
        self._own = own
        self._layers = layers
        self._form = form
        self._whole = whole
        self._mounted = frozenset(mounted)
        self._above_mounts = {path[:length] for path in self._mounted for length in range(len(path))}
        self._rows: dict[Path, Change] = {}  # those that are listed
        self._passed: dict[Path, Change] = {}  # directories that are listed if anything in them is
        self._same: dict[tuple[int, int], list[Change]] = {}  # what is as it was, but may be a new link's other name
        self._waiting: list[tuple[Path, Numbers, bool, bool]] = []
        self._names = 0  # in all paths

    def changes(self) -> "list[Change]":
        """All of them, a directory before what is in it. Raises OSError, and OcirunError for what cannot be told."""
        root = self._layers.root()
        status = posix.fstat(self._own.descriptor(()))
        if root and self._attributes_differ((), b".", status, root):
            self._rows[()] = Change(CHANGED, (), status)
        hidden = not self._whole and is_opaque(self._own.descriptor(()), self._form)
        self._waiting.append(((), root.layers if root else (), self._whole or hidden, hidden))
        while self._waiting:
            self._directory(*self._waiting.pop())
        for row in list(self._rows.values()):
            for twin in self._same.pop((row.status.st_dev, row.status.st_ino), ()) if row.status else ():
                twin.kind = CHANGED
                self._list(twin)
        return [self._rows[path] for path in sorted(self._rows)]

    def _directory(self, path: "Path", below: "Numbers", hides: bool, opaque: bool) -> None:
        """``below``: the layers that have it. ``hides``: what it does not have is gone. ``opaque``: so says overlayfs."""
        seen = set()
        room = names.MAX_PATH - sum(map(len, path)) - len(path) - 1  # for the / after a directory's
        for name in listed(self._own.descriptor(path)):
            if len(name) > room:
                raise OcirunError(
                    f"/{shown(b'/'.join((*path, name)))}: a path of {names.MAX_PATH} bytes or more, which no image has;"
                    " remove it first"
                )
            status = self._own.status(path, name)
            if status is None:  # removed meanwhile
                continue
            old = self._layers.find(below, path, name)
            if not self._whole and is_whiteout(status):
                if old:
                    self._list(Change(DELETED, (*path, name), None))
            else:
                self._file(path, name, status, old, hides, opaque)
            seen.add(name)
        for name in sorted(self._layers.names(below, path) - seen) if hides else ():
            if self._layers.find(below, path, name):
                self._list(Change(DELETED, (*path, name), None))

    def _file(
        self, above: "Path", name: bytes, status: "posix.stat_result", old: "Found | None", hides: bool, opaque: bool
    ) -> None:
        path = (*above, name)
        self._names += len(path)
        if self._names > _MAX_NAMES:
            raise OcirunError(
                f"/{shown(b'/'.join(path))}: too many files in deep directories: more than {_MAX_NAMES} names in all paths"
            )
        self._refuse_notes(path)
        if status.st_mode & S_IFMT != S_IFDIR:
            if old is None and path in self._mounted and status.st_mode & S_IFMT == S_IFREG and not status.st_size:
                return
            kind = ADDED if old is None else CHANGED if self._differs(above, name, status, old) else SAME
            row = Change(kind, path, status)
            if kind or opaque:
                self._list(row)
            if not kind and status.st_nlink > 1:
                self._same.setdefault((status.st_dev, status.st_ino), []).append(row)
            return
        hidden = not self._whole and is_opaque(self._own.descriptor(path), self._form)
        merged = old is not None and old.status.st_mode & S_IFMT == S_IFDIR
        row = Change(ADDED if old is None else CHANGED, path, status, hidden and merged and not opaque)
        if old is None and (path in self._mounted or path in self._above_mounts):
            self._passed[path] = row
        elif old is None or not merged or self._directory_differs(above, name, status, old) or row.opaque:
            self._list(row)
        else:
            row.kind = SAME if opaque else CHANGED
            self._passed[path] = row
            if opaque:
                self._list(row)
        below = old.layers if old and merged else ()
        self._waiting.append((path, below, hides or hidden, opaque or (hidden and merged)))

    def _list(self, row: Change) -> None:
        """List a change, and the directories that it is in."""
        self._rows[row.path] = row
        above = row.path[:-1]
        while above and above not in self._rows:
            if above in self._passed:
                self._rows[above] = self._passed.pop(above)
            above = above[:-1]

    def _refuse_notes(self, path: "Path") -> None:
        prefix = f"{self._form}.overlay."
        for key in attribute_names(self._own, path):
            if key.startswith(prefix) and key.removeprefix(prefix) in _ELSEWHERE:
                what = _ELSEWHERE[key.removeprefix(prefix)]
                raise OcirunError(
                    f"/{shown(b'/'.join(path))} {what} ({key}): the overlay was mounted with redirect_dir or metacopy, which"
                    " cannot be told from outside; mount it without them"
                )

    def _directory_differs(self, above: "Path", name: bytes, status: "posix.stat_result", old: "Found") -> bool:
        """A mount point made in it has changed its time."""
        changed = (*above, name) not in self._above_mounts and status.st_mtime_ns != old.status.st_mtime_ns
        return changed or self._attributes_differ(above, name, status, old)

    def _differs(self, above: "Path", name: bytes, status: "posix.stat_result", old: "Found") -> bool:
        kind = status.st_mode & S_IFMT
        if kind != old.status.st_mode & S_IFMT or self._attributes_differ(above, name, status, old):
            return True
        if status.st_mtime_ns != old.status.st_mtime_ns or status.st_size != old.status.st_size:
            return True
        if kind == S_IFLNK:
            there = self._layers.directory(old.layer, above)
            return posix.readlink(name, dir_fd=self._own.descriptor(above)) != posix.readlink(name, dir_fd=there)
        if kind == S_IFREG:  # times can be set: cp -p, tar and touch do
            return not _same_content(
                posix.open(name, _READ, dir_fd=self._own.descriptor(above)),
                posix.open(name, _READ, dir_fd=self._layers.directory(old.layer, above)),
            )
        return status.st_rdev != old.status.st_rdev

    def _attributes_differ(self, above: "Path", name: bytes, status: "posix.stat_result", old: "Found") -> bool:
        was = old.status
        if (status.st_mode, status.st_uid, status.st_gid) != (was.st_mode, was.st_uid, was.st_gid):
            return True
        there = attributes(self._layers.directory(old.layer, above), name)
        return attributes(self._own.descriptor(above), name) != there


def attribute_names(tree: "Tree", path: "Path") -> "list[str]":
    """The names of a file's extended attributes; those of a link are its own."""
    try:
        return posix.listxattr(_place(tree.descriptor(path[:-1]), path[-1]), follow_symlinks=False)
    except OSError as error:
        if error.errno == ENOTSUP:
            return []
        raise


def attributes(directory: int, name: bytes) -> "dict[str, bytes]":
    """Those extended attributes of a file that an image can have. Raises OSError."""
    place, found = _place(directory, name), {}
    try:
        keys = posix.listxattr(place, follow_symlinks=False)
    except OSError as error:
        if error.errno != ENOTSUP:
            raise
        return {}
    for key in sorted(keys):
        if key in _ATTRIBUTES or (key.startswith("user.") and not key.startswith("user.overlay.")):
            try:
                found[key] = posix.getxattr(place, key, follow_symlinks=False)
            except OSError as error:
                if error.errno != ENODATA:
                    raise
    return found


def _place(directory: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%s" % (directory, name)


def _same_content(one: int, other: int) -> bool:
    """Closes both."""
    try:
        return all(left == right for left, right in zip(_pieces(one), _pieces(other), strict=False))
    finally:
        posix.close(one)
        posix.close(other)


def _pieces(descriptor: int) -> "Iterator[bytes]":
    while True:
        piece = posix.read(descriptor, _PIECE)
        yield piece
        if not piece:
            return
