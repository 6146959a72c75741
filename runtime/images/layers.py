"""Layers into the store: what is missing is unpacked, under a lock, and has its name only when it is whole and verified."""

import posix

from runtime.errors import OcirunError, system_failure
from runtime.images.blobs import Content
from runtime.images.errors import BadImage
from runtime.images.layer_tree import LayerTree
from runtime.images.tar_reader import TarReader
from runtime.images.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject
    from runtime.images.blobs import Blob
    from runtime.images.budget import Budget
    from runtime.images.image import Image
    from runtime.images.owners import Rights
    from runtime.images.store import Store


def ensure(store: "Store", image: "Image", rights: "Rights", budget: "Budget") -> "list[str]":
    """Unpack the layers of the image that the store does not have. Returns their diff_ids. Raises OcirunError."""
    made = []
    for index, diff_id in enumerate(image.diff_ids):
        if store.has(diff_id):
            continue
        lock = store.lock(f"locks/{diff_id.partition(':')[2]}", exclusive=True)
        try:
            if not store.has(diff_id):
                blob = image.blob(index)
                budget.begin(f"layer {index + 1} of {len(image.diff_ids)}", blob.size)
                _unpack(store, blob, diff_id, rights, budget)
                made.append(diff_id)
        except OcirunError as error:
            error.message = f"layer {index + 1} of {len(image.diff_ids)}: {error.message}"
            raise
        finally:
            posix.close(lock)
    return made


def _unpack(store: "Store", blob: "Blob", diff_id: str, rights: "Rights", budget: "Budget") -> None:
    """Unpack one layer into tmp/ and publish it; nothing stays if that fails."""
    fresh = diff_id.partition(":")[2]
    temporary = store.open("tmp")
    try:
        remove_tree(temporary, fresh)  # of a call that was killed
        posix.mkdir(fresh, 0o755, dir_fd=temporary)
        tree = posix.open(fresh, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=temporary)
        try:
            facts = _fill(tree, blob, diff_id, rights, budget)
        finally:
            posix.close(tree)
        store.publish(diff_id, fresh, facts)
    except OSError as error:
        remove_tree(temporary, fresh)
        raise system_failure(f"unpack into {store.path}", error) from None
    except BaseException:
        remove_tree(temporary, fresh)
        raise
    finally:
        posix.close(temporary)
        blob.close()


def _fill(tree: int, blob: "Blob", diff_id: str, rights: "Rights", budget: "Budget") -> "JsonObject":
    content = Content(blob, diff_id, budget)
    unpacked = LayerTree(tree, rights, budget)
    try:
        unpacked.unpack(TarReader(content))
    except BadImage:
        _blame_digest(blob)
        raise
    content.finish()
    implied = sorted(path.decode(errors="surrogateescape") for path in unpacked.tree.implied)
    return {"version": 1, "implied": implied, "files": unpacked.files, "size": unpacked.size}


def _blame_digest(blob: "Blob") -> None:
    """BadImage if the blob has not its digest: then that is why it cannot be read."""
    for _ in blob.pieces():
        pass
