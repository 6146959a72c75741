"""Layers into the store: what is missing is unpacked, under a lock, and has its name only when it is whole and verified.

A layer is applied to the layers below it. Where they have an effect on its own directory, this is right on top of them alone,
and has a name of its own (`digests.bound_names`). The others have their diff_id, and are shared by any images: but not on top
of a link that would lead a path of theirs elsewhere, nor where there is nothing that a whiteout of theirs could hide.
"""

import posix

from runtime.errors import OcirunError, system_failure
from runtime.images import names
from runtime.images.errors import BadImage
from runtime.images.layers.below import Below
from runtime.images.layers.tree import LayerTree
from runtime.images.layouts import digests
from runtime.images.layouts.blobs import Content
from runtime.images.store.stored import implied_of, open_roots, paths_of, top_first
from runtime.images.tar.reader import TarReader
from runtime.images.trees.tree import remove_tree
from runtime.kernel import S_IFDIR, S_IFLNK, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Json, JsonObject
    from runtime.images.budget import Budget
    from runtime.images.layouts.blobs import Blob
    from runtime.images.layouts.image import Image
    from runtime.images.store import Store
    from runtime.images.trees.owners import Rights


def ensure(store: "Store", image: "Image", rights: "Rights", budget: "Budget") -> "list[str]":
    """Unpack the layers of the image that the store does not have. Returns their names in the store, the lowest first.

    Raises OcirunError.
    """
    stored: list[str] = []
    for index, (diff_id, bound_name) in enumerate(
        zip(image.diff_ids, digests.bound_names(image.diff_ids), strict=True)
    ):
        layer = _Layer(store, diff_id, bound_name, stored[:], budget)
        which = f"layer {index + 1} of {len(image.diff_ids)}"
        try:
            name = layer.stored()
            if not name:
                lock = store.lock(f"locks/{diff_id.partition(':')[2]}", exclusive=True)
                try:
                    name = layer.stored()
                    if not name:
                        blob = image.blob(index)
                        budget.begin(which, blob.size)
                        name = layer.unpack(blob, rights)
                finally:
                    posix.close(lock)
            stored.append(name)
        except (OcirunError, OSError) as error:
            failure = error if isinstance(error, OcirunError) else system_failure(f"unpack into {store.path}", error)
            failure.message = f"{which}: {failure.message}"
            raise failure from None
        finally:
            layer.below.close()
    return stored


class _Layer:
    """One layer on top of ``stored``, the names of those below it in the store, the lowest first."""

    def __init__(
        self, store: "Store", diff_id: str, bound_name: str, stored: "Sequence[str]", budget: "Budget"
    ) -> None:
        self.diff_id, self.bound_name = diff_id, bound_name
        self.below = Below(lambda: open_roots(store, stored)[1], store.form, budget, self._implied)
        self._store = store
        self._under = stored
        self._budget = budget

    def _implied(self, number: int) -> "frozenset[bytes]":
        """The directories without an entry of a layer below, the top one first."""
        return implied_of(self._store, top_first(self._under)[number])

    def stored(self) -> str:
        """Its name in the store; "" if the store does not have it, or as it is on top of other layers. Raises OSError."""
        if self._is_there(self.bound_name):
            return self.bound_name
        return self.diff_id if self._is_there(self.diff_id) and self._suits() else ""

    def _is_there(self, name: str) -> bool:
        """Whether the store has this layer by a name; no other layer's name is taken for a diff_id."""
        if not self._store.has(name):
            return False
        facts = self._store.facts(name)
        if name != self.diff_id and "diff_id" not in facts:
            raise self._store.damaged(name, "it has no diff_id")
        return bool(facts.get("diff_id", name) == self.diff_id)

    def _suits(self) -> bool:
        """Whether no link below would have led a path elsewhere, of which the layer has no entry for a directory, and each of its
        whiteouts hides something.

        Not where that would take too long to say: then it is unpacked once more, and has a name of its own.
        """
        facts = self._store.facts(self.diff_id)
        if "hides" not in facts:  # an older build's: its whiteouts may hide nothing
            return False
        paths = paths_of(facts.get("asked", facts.get("implied")))
        hides = paths_of(facts.get("hides"))
        if not self._under:
            return not hides
        if not self._budget.may_look_up(len(hides) * len(self._under)):
            return False
        for path in sorted(hides, key=names.walked):
            *above, name = names.components(path)
            if not self.below.find(tuple(above), name, counts=False):
                return False
        absent = b"\0"
        for path in sorted(paths, key=names.walked):
            parts = names.components(path)
            if not parts or path.startswith(absent):
                continue
            if not self._budget.may_look_up(len(self._under)):
                return False
            found = self.below.find(parts[:-1], parts[-1], counts=False)
            kind = found.status.st_mode & S_IFMT if found else 0
            if kind == S_IFLNK:
                return False
            if kind != S_IFDIR:
                absent = path + b"/"
        return True

    def unpack(self, blob: "Blob", rights: "Rights") -> str:
        """Unpack it into tmp/ and publish it; nothing stays if that fails. Returns its name."""
        fresh = self.diff_id.partition(":")[2]
        temporary = self._store.open("tmp")
        try:
            remove_tree(temporary, fresh)  # of a call that was killed
            posix.mkdir(fresh, 0o755, dir_fd=temporary)
            tree = posix.open(fresh, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=temporary)
            try:
                name, facts = self._fill(tree, blob, rights)
            finally:
                posix.close(tree)
            self._store.publish(name, fresh, facts)
            return name
        except BaseException:
            remove_tree(temporary, fresh)
            raise
        finally:
            posix.close(temporary)
            blob.close()

    def _fill(self, tree: int, blob: "Blob", rights: "Rights") -> "tuple[str, JsonObject]":
        """The name that becomes the layer's, and its facts."""
        content = Content(blob, self.diff_id, self._budget)
        unpacked = LayerTree(tree, rights, self._budget, self.below)
        try:
            unpacked.unpack(TarReader(content))
        except BadImage:
            _blame_digest(blob)
            raise
        content.finish()
        facts: JsonObject = {"version": 1, "implied": _listed(unpacked.tree.implied)}
        facts |= {"files": unpacked.files, "size": unpacked.size}
        if unpacked.tree.asked != unpacked.tree.implied - {b""}:
            facts["asked"] = _listed(unpacked.tree.asked)
        facts["hides"] = _listed(unpacked.hidden)
        if unpacked.tree.is_bound or self._store.has(self.diff_id):
            return self.bound_name, {**facts, "diff_id": self.diff_id}
        return self.diff_id, facts


def _listed(paths: "set[bytes]") -> "list[Json]":
    return [path.decode(errors="surrogateescape") for path in sorted(paths)]


def _blame_digest(blob: "Blob") -> None:
    """BadImage if the blob has not its digest: then that is why it cannot be read."""
    for _ in blob.pieces():
        pass
