"""The directory of a layer that is unpacked, on top of the layers below: they are asked for what the layer leaves open.

A path such as lib/x, in a layer without an entry for lib, goes on through the link that the layers below have as lib. So the
layer is applied to their tree, as image-spec says (layer.md, "Applying Changesets"), and still has a directory of its own.
"""

from runtime.images.errors import BadImage, shown
from runtime.images.layers.below import Sight
from runtime.images.trees.tree import Tree
from runtime.kernel import S_IFDIR, S_IFLNK, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from runtime.images.budget import Budget
    from runtime.images.layers.below import Below
    from runtime.images.names import Path
    from runtime.images.trees.merged import Found
    from runtime.images.trees.owners import Rights


class StackedTree(Tree):
    """``below``: None for the lowest layer.

    ``is_bound``: something in the directory is as it is because of the layers below, so that it is right on top of them alone.
    ``asked``: paths of directories that were made because the layers below have no link there. ``reserved``: real paths of
    files that are not there yet, and ``held`` those of their directories.
    """

    def __init__(self, root: int, rights: "Rights", budget: "Budget", below: "Below | None") -> None:
        super().__init__(root, rights.set_opaque, budget)
        self.is_bound = False
        self.asked: set[bytes] = set()
        self.reserved: Container[bytes] = ()
        self.held: set[bytes] = set()
        self._below = below
        self._sight = Sight(self, rights.form)
        self._through = False  # whether directories that only the layers below have are walked through, and not made

    def real(self, path: "Path", make: bool) -> "Path":
        self._sight.forget()
        return super().real(path, make)

    def merged(self, path: "Path") -> "Path":
        """The real path of a directory that the layer has, or those below it. Raises as `real` does."""
        self._through = True
        try:
            return self.real(path, make=False)
        finally:
            self._through = False

    def shows(self, here: "Path") -> bool:
        """Whether the layers below show through a directory of this layer, as of the last `real` or `look_again`."""
        return self._sight.shows(here)

    def look_again(self) -> None:
        """Forget which directories were opaque."""
        self._sight.forget()

    def lower(self, here: "Path", part: bytes) -> "Found | None":
        """What the layers below have, unless the directory is opaque here. ``here``: as `real` or `merged` returned it last."""
        return self._below.find(here, part) if self._below and self._sight.shows(here) else None

    def _missing(self, here: "Path", part: bytes, make: bool) -> int:
        found = self.lower(here, part) if make or self._through else None
        kind = found.status.st_mode & S_IFMT if found else 0
        if kind == S_IFLNK:
            self.is_bound = True
        if kind == S_IFLNK or (kind and not make):
            return kind
        if not make:
            raise FileNotFoundError(part)
        made = self._make(here, part)
        if self._sight.shows(here):
            self.asked.add(made)
        return S_IFDIR

    def _target(self, here: "Path", part: bytes) -> bytes:
        try:
            return super()._target(here, part)
        except FileNotFoundError:
            found = self.lower(here, part)
            if not found or not self._below:
                raise
            return self._below.target(found, here, part)

    def _make(self, here: "Path", part: bytes) -> bytes:
        made = b"/".join((*here, part))
        if made in self.reserved:
            raise BadImage(f"{shown(made)} is not a directory, but a hard link")
        return super()._make(here, part)
