"""The whiteouts and opaque directories of a layer: what of the layers below is hidden, and nothing else.

Overlayfs shows a whiteout that hides nothing as a name without a file, in a directory that one layer alone has.
"""

import errno
import posix

from runtime.host.overlay import is_whiteout
from runtime.images import names
from runtime.images.errors import NotADirectory
from runtime.images.trees import attributes
from runtime.kernel import S_IFCHR, S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.budget import Budget
    from runtime.images.layers.below import Below
    from runtime.images.layers.stacked import StackedTree
    from runtime.images.names import Path
    from runtime.images.trees.owners import Rights


class Whiteouts:
    """``hidden``: the real paths of the whiteouts; each hides something of the layers below, once `finish` was called."""

    def __init__(self, tree: "StackedTree", rights: "Rights", budget: "Budget", below: "Below | None") -> None:
        self.hidden: set[bytes] = set()
        self._tree = tree
        self._rights = rights
        self._budget = budget
        self._below = below
        self._emptied: set[bytes] = set()  # opaque directories without an entry, which the layers below have too

    def add(self, path: "Path") -> None:
        """Hide what the layers below have: all in a directory, or one name. What this layer has stays. Raises OSError, BadImage."""
        opaque = path[-1] == names.OPAQUE
        target = b"" if opaque else names.hidden(path[-1])
        if not target and not opaque:
            return
        try:
            above = self._tree.merged(path[:-1])
        except (FileNotFoundError, NotADirectory):
            self._tree.is_bound = True  # on top of others there may be something to hide
            return
        if opaque:
            self._empty(self._tree.real(above, make=True))
        else:
            self._hide(above, target)

    def _empty(self, path: "Path") -> None:
        """Make a directory opaque."""
        key = b"/".join(path)
        if key in self._tree.implied and self._tree.shows(path):
            self._budget.name(len(key))
            self._emptied.add(key)
        self._rights.set_opaque(self._tree.descriptor(path))

    def _hide(self, above: "Path", name: bytes) -> None:
        status = self._tree.status(above, name)
        if status and status.st_mode & S_IFMT == S_IFDIR and self._is_empty((*above, name)):
            self._tree.remove(above, name)
            status = None
        if status:
            if status.st_mode & S_IFMT == S_IFDIR:
                self._rights.set_opaque(self._tree.descriptor((*above, name)))
        elif self._tree.lower(above, name):
            posix.mknod(name, S_IFCHR, 0, dir_fd=self._tree.descriptor(self._tree.real(above, make=True)))
            key = b"/".join((*above, name))
            self._budget.name(len(key))
            self.hidden.add(key)
        else:
            self._tree.is_bound = True

    def _is_empty(self, path: "Path") -> bool:
        """Whether the layer has a directory for the sake of whiteouts alone: no entry is for it, nor for anything in it."""
        waiting, seen = [path], []
        while waiting:
            here = waiting.pop()
            seen.append(b"/".join(here))
            if seen[-1] not in self._tree.implied or seen[-1] in self._tree.held:
                return False
            listed = posix.listdir(self._tree.descriptor(here))
            self._budget.steps(1 + len(listed))
            for name in listed:
                part = name.encode("utf-8", "surrogateescape")
                status = self._tree.status(here, part)
                if status and status.st_mode & S_IFMT == S_IFDIR:
                    waiting.append((*here, part))
                elif status and not is_whiteout(status):
                    return False
        self._emptied.difference_update(seen)
        return True

    def finish(self) -> None:
        """After all entries: remove what hides nothing, because a later entry hides its whole directory."""
        self._tree.look_again()
        useless: set[Path] = set()  # directories that may have been there for the sake of whiteouts alone
        for key in sorted(self.hidden, key=names.walked):
            path = names.components(key)
            status = self._status(path)
            if status is None or not is_whiteout(status):
                self.hidden.discard(key)
            elif not self._tree.shows(path[:-1]):
                posix.unlink(path[-1], dir_fd=self._tree.descriptor(path[:-1]))
                self.hidden.discard(key)
                useless.add(path[:-1])
        emptied = [names.components(key) for key in self._emptied & self._tree.implied]
        useless.update(path for path in emptied if path and not self._tree.shows(path[:-1]))
        for path in sorted(useless, key=len, reverse=True):
            self._prune(path)
        for path in emptied:
            status = self._status(path)
            if status and status.st_mode & S_IFMT == S_IFDIR:
                self._adopt(path)

    def _status(self, path: "Path") -> "posix.stat_result | None":
        """Of what is there; None too where a file has replaced a directory above."""
        try:
            return self._tree.status(path[:-1], path[-1] if path else b".")
        except NotADirectoryError:
            return None

    def _prune(self, path: "Path") -> None:
        """Remove a directory that was there for the sake of whiteouts, and those above it that were."""
        while path and b"/".join(path) in self._tree.implied and self._status(path):
            if self._tree.shows(path[:-1]):
                return
            try:
                posix.rmdir(path[-1], dir_fd=self._tree.descriptor(path[:-1]))
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    return
                raise
            self._tree.forget()
            path = path[:-1]

    def _adopt(self, path: "Path") -> None:
        """Give an opaque directory the owner, mode and attributes that it has below: only its content is hidden."""
        self._tree.is_bound = True
        source = self._below.attributes(path) if self._below else -1
        if source >= 0:
            attributes.copy(source, self._tree.descriptor(path))
            self._tree.implied.discard(b"/".join(path))
