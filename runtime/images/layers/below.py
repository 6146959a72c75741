"""What the layers below one that is unpacked have: looked up where that layer leaves it open, and not before."""

import posix

from runtime.host.overlay import is_whiteout
from runtime.images.trees.merged import Found
from runtime.images.trees.stack import is_opaque
from runtime.images.trees.tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.images.budget import Budget
    from runtime.images.names import Path
    from runtime.images.trees.owners import Form

_OPEN = 32  # directories: the layers' roots are open too
_STEP = 4  # directories that are opened again for one step of the budget


class Sight:
    """Whether a directory of a layer shows what the layers below have there. The last answers are kept, for paths that share them."""

    def __init__(self, tree: Tree, form: "Form") -> None:
        self._tree = tree
        self._form = form
        self._shown: Path | None = None  # a directory that is not opaque, nor is one above it
        self._hidden: Path | None = None  # one that is opaque

    def forget(self) -> None:
        """The layer may have changed."""
        self._shown = self._hidden = None

    def shows(self, here: "Path") -> bool:
        """``here``: directories, of which the layer may have the first ones alone."""
        if self._hidden is not None and here[: len(self._hidden)] == self._hidden:
            return False
        known = 0
        if self._shown is not None and here[: len(self._shown)] == self._shown:
            known = len(self._shown) + 1
        for depth in range(known, len(here) + 1):
            try:
                directory = self._tree.descriptor(here[:depth])
            except FileNotFoundError:  # only the layers below have it
                break
            if is_opaque(directory, self._form):
                self._hidden = here[:depth]
                return False
        self._shown = here
        return True


class Below:
    """``roots``: opens the layers' roots, the top one first, when something is looked up first; they are closed by `close`.

    ``form``: see `owners.Rights`. What is looked up counts in ``budget``. ``implied``: given a layer's number, the
    directories that it has no entry for.
    """

    def __init__(
        self,
        roots: "Callable[[], Sequence[int]]",
        form: "Form",
        budget: "Budget",
        implied: "Callable[[int], frozenset[bytes]]" = lambda _: frozenset(),
    ) -> None:
        self._open_roots = roots
        self._implied = implied
        self._form = form
        self._budget = budget
        self._roots: Sequence[int] = ()
        self._layers: list[tuple[Tree, Sight]] = []
        self._is_open = False
        self._opened = 0  # directories

    def find(self, above: "Path", name: bytes, counts: bool = True) -> "Found | None":
        """What the directory ``above`` has by a name: of the topmost layer that has it. ``above``: directories, and no links."""
        for number, (tree, sight) in enumerate(self._opened_layers()):
            if counts:
                self._budget.steps(1 + len(above) // _STEP)
            before = tree.opened
            try:
                status = tree.status(above, name)
                if status:
                    return None if is_whiteout(status) else Found(status, number)
                if not sight.shows(above):
                    return None
            except NotADirectoryError:  # the layer has a file there, or a whiteout
                return None
            finally:
                self._opened += tree.opened - before
                if self._opened > _OPEN:
                    self._close_all_but(tree)
        return None

    def _opened_layers(self) -> "list[tuple[Tree, Sight]]":
        if not self._is_open:
            self._roots = self._open_roots()
            trees = [Tree(root) for root in self._roots]
            self._layers = [(tree, Sight(tree, self._form)) for tree in trees]
            self._is_open = True
        return self._layers

    def attributes(self, path: "Path") -> int:
        """A descriptor of the directory whose owner, mode and attributes count: the top one that a layer has an entry for.

        Until the next call; -1 if the layers have no such directory.
        """
        key, best = b"/".join(path), -1
        for number, (tree, sight) in enumerate(self._opened_layers()):
            self._budget.steps(1 + len(path) // _STEP)
            try:
                tree.descriptor(path)
            except FileNotFoundError:
                if sight.shows(path):
                    continue
                break
            except NotADirectoryError:
                break
            if best < 0 or key not in self._implied(number):
                best = number
            self._close_all_but(tree)
            if key not in self._implied(number) or not sight.shows(path):
                break
        return self._layers[best][0].descriptor(path) if best >= 0 else -1

    def directory(self, found: "Found", above: "Path") -> int:
        """A descriptor of the directory that has the file, in the file's layer; until the next call."""
        return self._layers[found.layer][0].descriptor(above)

    def target(self, found: "Found", above: "Path", name: bytes) -> bytes:
        """What a symbolic link names."""
        return posix.readlink(name, dir_fd=self.directory(found, above))

    def _close_all_but(self, last: Tree) -> None:
        """Few directories stay open, however many layers have them."""
        for tree, _ in self._layers:
            if tree is not last:
                tree.close()
        self._opened = last.opened

    def close(self) -> None:
        for tree, _ in self._layers:
            tree.close()
        for root in self._roots:
            posix.close(root)
        self._roots, self._layers, self._is_open = (), [], False
        self._opened = 0
