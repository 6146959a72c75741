"""The layers below a container's own files, merged as overlayfs does: what was there before the container changed it.

A directory is a path and the numbers of the layers that have it there. Descriptors are few however many layers and
directories there are.
"""

import posix

from runtime.host.overlay import is_whiteout
from runtime.images.trees.stack import is_opaque
from runtime.images.trees.tree import Tree
from runtime.kernel import S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.images.names import Path
    from runtime.images.trees.owners import Form

    Numbers = tuple[int, ...]

_MOST = 112  # directories that may be open, beside those of the last layer that was asked for


class Found:
    """A file of the layers. ``layers``: a directory's, the top one first. ``layer``: the one whose attributes count."""

    __slots__ = ("layer", "layers", "status")

    def __init__(self, status: "posix.stat_result", layer: int, layers: "Numbers" = ()) -> None:
        self.status = status
        self.layer = layer
        self.layers = layers


class Merged:
    """``layers``: descriptors of their roots, the top one first; they stay the caller's. ``implied``: see `stored.implied_of`."""

    def __init__(self, layers: "Sequence[int]", implied: "Sequence[frozenset[bytes]]", form: "Form") -> None:
        self._trees = [Tree(layer) for layer in layers]
        self._implied = implied
        self._form = form
        self._opened = 0

    def close(self) -> None:
        for tree in self._trees:
            tree.close()
        self._opened = 0

    def directory(self, layer: int, path: "Path") -> int:
        """A descriptor, until the next call."""
        tree = self._trees[layer]
        before = tree.opened
        found = tree.descriptor(path)
        self._opened += tree.opened - before
        if self._opened > _MOST:
            self._close_most(tree)
        return found

    def _close_most(self, but: Tree) -> None:
        """Keep the descriptors of one tree, and of the others one each if these are not too many themselves."""
        few = len(self._trees) <= _MOST // 2
        for tree in self._trees:
            if tree is not but:
                tree.keep_deepest() if few else tree.close()
        self._opened = sum(tree.opened for tree in self._trees)

    def root(self) -> "Found | None":
        """None if there are no layers."""
        layers = tuple(range(len(self._trees)))
        return self._told((), layers) if layers else None

    def find(self, above: "Numbers", path: "Path", name: bytes) -> "Found | None":
        """What a directory has by a name; None for nothing, and for what a whiteout hides."""
        layers: list[int] = []
        for layer in above:
            try:
                status = posix.stat(name, dir_fd=self.directory(layer, path), follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_mode & S_IFMT != S_IFDIR:
                if layers:
                    break
                return None if is_whiteout(status) else Found(status, layer)
            layers.append(layer)
            if is_opaque(self.directory(layer, (*path, name)), self._form):
                break
        return self._told((*path, name), tuple(layers)) if layers else None

    def names(self, above: "Numbers", path: "Path") -> "set[bytes]":
        """The names in a directory, also those that a whiteout hides."""
        return {name for layer in above for name in listed(self.directory(layer, path))}

    def _told(self, path: "Path", layers: "Numbers") -> Found:
        text = b"/".join(path)
        layer = next((each for each in layers if text not in self._implied[each]), layers[0])
        return Found(posix.fstat(self.directory(layer, path)), layer, layers)


def listed(directory: int) -> "list[bytes]":
    """The names in a directory, as bytes, in order."""
    return sorted(name.encode("utf-8", "surrogateescape") for name in posix.listdir(directory))
