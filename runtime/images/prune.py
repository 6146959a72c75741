"""Layers that no bundle names any more are removed, and what a killed call has left."""

import posix

from runtime import files
from runtime.errors import system_failure
from runtime.images.bundle import IMAGE, Place
from runtime.images.store import Store, layer_name
from runtime.images.tree import remove_tree
from runtime.lifecycle.document import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject


def prune(store: Store) -> "list[str]":
    """Wait for the calls that unpack, then remove what is of no use. Returns the diff_ids removed. Raises OcirunError."""
    lock = store.lock("lock", exclusive=True)
    try:
        kept = {diff_id for record in _bundles(store) for diff_id in _layers(record)}
        removed = [diff_id for diff_id in _stored(store) if diff_id not in kept]
        for diff_id in removed:
            posix.rename(
                layer_name(diff_id),
                f"tmp/{diff_id.partition(':')[2]}",
                src_dir_fd=store.descriptor,
                dst_dir_fd=store.descriptor,
            )
        _sweep(store)
    except OSError as error:
        raise system_failure(f"prune {store.path}", error) from None
    finally:
        posix.close(lock)
    return removed


def _bundles(store: Store) -> "list[JsonObject]":
    """The records of bundles that are there. Others are removed, with what was made of the bundle."""
    found = []
    for name in _names(store, "bundles"):
        try:
            record = loads(files.read(f"bundles/{name}", store.descriptor))
        except ValueError:
            record = {}
        path = record.get("path") if isinstance(record, dict) else None
        if isinstance(record, dict) and isinstance(path, str) and posix.access(f"{path}/{IMAGE}", posix.F_OK):
            found.append(record)
            continue
        if isinstance(path, str) and posix.access(path.rpartition("/")[0] or "/", posix.F_OK):
            place = Place(path)
            remove_tree(place.above, place.partial)
            posix.close(place.above)
        posix.unlink(f"bundles/{name}", dir_fd=store.descriptor)
    return found


def _layers(record: "JsonObject") -> "list[str]":
    layers = record.get("layers")
    return [str(each) for each in layers] if isinstance(layers, list) else []


def _names(store: Store, directory: str) -> "list[str]":
    descriptor = store.open(directory)
    try:
        return sorted(posix.listdir(descriptor))
    finally:
        posix.close(descriptor)


def _stored(store: Store) -> "list[str]":
    return [
        f"{algorithm}:{name}"
        for algorithm in _names(store, "layers")
        for name in _names(store, f"layers/{algorithm}")
        if not name.endswith(".json")
    ]


def _sweep(store: Store) -> None:
    """Remove what is in tmp/ and locks/, and facts and short names of layers that are gone."""
    for directory in ("tmp", "locks"):
        descriptor = store.open(directory)
        try:
            for name in posix.listdir(descriptor):
                try:
                    posix.unlink(name, dir_fd=descriptor)
                except IsADirectoryError:
                    remove_tree(descriptor, name)
        finally:
            posix.close(descriptor)
    stored = set(_stored(store))
    for algorithm in _names(store, "layers"):
        for name in _names(store, f"layers/{algorithm}"):
            if name.endswith(".json") and f"{algorithm}:{name.removesuffix('.json')}" not in stored:
                posix.unlink(f"layers/{algorithm}/{name}", dir_fd=store.descriptor)
    for name in _names(store, "l"):
        if not posix.access(f"l/{name}", posix.F_OK, dir_fd=store.descriptor):
            posix.unlink(f"l/{name}", dir_fd=store.descriptor)
