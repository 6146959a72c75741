"""The hard links of a layer, to its own files, and to files of the layers below, which are copied up first, as overlayfs does."""

import posix

from runtime.errors import system_failure
from runtime.host.overlay import is_whiteout
from runtime.images import names
from runtime.images.errors import BadImage, shown
from runtime.images.trees.copy import FileCopier
from runtime.kernel import S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.budget import Budget
    from runtime.images.layers.below import Below
    from runtime.images.layers.stacked import StackedTree
    from runtime.images.names import Path


class HardLinks:
    """A link whose target the layer does not have yet waits until all entries are there. Then what the layers below have is linked.

    ``files``, ``size``: what was copied up.
    """

    def __init__(self, tree: "StackedTree", budget: "Budget", below: "Below | None") -> None:
        self.files = self.size = 0
        self._tree = tree
        self._budget = budget
        self._below = below
        self._waiting: dict[bytes, tuple[bytes, bytes]] = {}  # by the real path: name and target
        self._replaced: list[tuple[bytes, bytes]] = []  # whose place a later entry has
        self._copier = FileCopier()
        self._copies: dict[tuple[int, int], Path] = {}  # of a layer and an inode: where its copy is
        self._copied: dict[Path, tuple[int, int]] = {}  # the other way round
        tree.reserved = self._waiting

    def add(self, name: bytes, link: bytes) -> None:
        """Make a hard link of this name to ``link``, or note it. Raises OSError and BadImage."""
        path, target = names.parts(name), names.parts(link)
        if not path or not target:
            raise BadImage(f"{shown(name)}: a hard link from or to the root")
        place = (*self._tree.real(path[:-1], make=True), path[-1])
        self.drop(place)
        if source := self._own(name, target):
            self._join(place, source)
            return
        key = b"/".join(place)
        self._budget.name(len(key) + len(name) + len(link))
        self._waiting[key] = name, link
        self._tree.held.add(b"/".join(place[:-1]))

    def drop(self, place: "Path") -> None:
        """A later entry has this path."""
        if self._waiting and (link := self._waiting.pop(b"/".join(place), None)):
            self._replaced.append(link)

    def finish(self) -> None:
        """Make the links that wait. Raises OcirunError."""
        self._tree.reserved = ()
        for key, (name, link) in self._waiting.items():
            self._finish(name, link, names.components(key))
        for name, link in self._replaced:
            self._finish(name, link, ())

    def _finish(self, name: bytes, link: bytes, place: "Path") -> None:
        """``place``: where the link is to be, () for nowhere."""
        try:
            source = self._source(name, link)
            if place and self._is_there(place[:-1]):
                self._join(place, source)
        except OSError as error:
            raise system_failure(f"unpack {shown(name)}", error) from None

    def _is_there(self, directory: "Path") -> bool:
        """Whether no later entry has replaced a directory."""
        try:
            self._tree.descriptor(directory)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _source(self, name: bytes, link: bytes) -> "Path":
        """The real path of the file to link to, which the layer has then. Raises BadImage if there is none."""
        target = names.parts(link)
        if found := self._own(name, target) or self._from_below(name, target):
            return found
        raise BadImage(f"{shown(name)}: a hard link to {shown(link)}, which neither its layer nor one below it has")

    def _own(self, name: bytes, target: "Path") -> "Path | None":
        """The real path of a file of this layer, by the layer's own links alone."""
        try:
            above = self._tree.real(target[:-1], make=False)
        except FileNotFoundError:
            return None
        status = self._tree.status(above, target[-1])
        return (*above, target[-1]) if status and not is_whiteout(_linkable(status, name)) else None

    def _from_below(self, name: bytes, target: "Path") -> "Path | None":
        """The real path of a file that the layers below have, after it was copied up; or of this layer's, by links of theirs."""
        try:
            above = self._tree.merged(target[:-1])
        except FileNotFoundError:
            return None
        status = self._tree.status(above, target[-1])
        if status:
            return None if is_whiteout(_linkable(status, name)) else (*above, target[-1])
        found = self._tree.lower(above, target[-1])
        if not found or not self._below:
            return None
        self._tree.is_bound = True
        key = found.layer, _linkable(found.status, name).st_ino
        place = (*self._tree.real(above, make=True), target[-1])
        if copy := self._copies.get(key):
            self._budget.entry(0)
            self._join(place, copy)
            return place
        self._budget.copied(found.status.st_size)
        self.files += 1
        self.size += found.status.st_size
        directory = self._below.directory(found, above)
        self._copier.copy(directory, self._tree.descriptor(above), target[-1], found.status)
        self._copies[key], self._copied[place] = place, key
        return place

    def _join(self, place: "Path", source: "Path") -> None:
        """Make the hard link, in the place of what is there."""
        if place == source:
            return
        above, name = place[:-1], place[-1]
        if status := self._tree.status(above, name):
            self._forget(place, status)
            self._tree.remove(above, name)
        held = posix.dup(self._tree.descriptor(source[:-1]))
        try:
            directory = self._tree.descriptor(above)
            posix.link(source[-1], name, src_dir_fd=held, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            posix.close(held)

    def _forget(self, place: "Path", status: "posix.stat_result") -> None:
        """A copy that will be gone is not one to link to."""
        if status.st_mode & S_IFMT == S_IFDIR:
            self._copies.clear()
            self._copied.clear()
        elif key := self._copied.pop(place, None):
            del self._copies[key]


def _linkable(status: "posix.stat_result", name: bytes) -> "posix.stat_result":
    """BadImage for a directory."""
    if status.st_mode & S_IFMT == S_IFDIR:
        raise BadImage(f"{shown(name)}: a hard link to a directory")
    return status
