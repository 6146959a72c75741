"""Layers that no bundle names any more are removed, and what a killed call has left."""

import posix

from runtime.errors import OcirunError, system_failure, system_words
from runtime.images import documents
from runtime.images.bundles.bundle import IMAGE, Place
from runtime.images.bundles.facts import is_path
from runtime.images.layouts import digests
from runtime.images.store import Store, is_directory, layer_name
from runtime.images.trees.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import JsonObject


def prune(store: Store, warn: "Callable[[str], None]") -> "list[str]":
    """Wait for the calls that unpack, then remove what is of no use. Returns the names of the layers removed. Raises OcirunError.

    What cannot be removed, or is not the store's, stays with a warning.
    """
    lock = store.lock("lock", exclusive=True)
    try:
        _empty(store, "tmp", warn)
        kept = {layer for record in _bundles(store, warn) for layer in _layers(record)}
        removed = [layer for layer in _stored(store, warn) if layer not in kept]
        for layer in removed:
            posix.rename(
                layer_name(layer),
                f"tmp/{layer.partition(':')[2]}",
                src_dir_fd=store.descriptor,
                dst_dir_fd=store.descriptor,
            )
        _sweep(store, warn)
    except OSError as error:
        raise system_failure(f"prune {store.path}", error) from None
    finally:
        posix.close(lock)
    return removed


def _bundles(store: Store, warn: "Callable[[str], None]") -> "list[JsonObject]":
    """The records of bundles that are there. Others are removed, with what was made of the bundle."""
    found = []
    for name in _names(store, "bundles"):
        path = ""
        try:
            record = documents.read(f"bundles/{name}", store.descriptor)
            path = record["path"] if isinstance(record, dict) and is_path(record.get("path")) else ""
        except ValueError:
            record = {}
        if path and isinstance(record, dict) and posix.access(f"{path}/{IMAGE}", posix.F_OK):
            found.append(record)
            continue
        if path:
            _remove_partial(path, warn)
        _remove(store, f"bundles/{name}", warn)
    return found


def _remove_partial(path: str, warn: "Callable[[str], None]") -> None:
    """Remove what a killed call has made of a bundle, if its path leads where it led: a link may have taken a directory's place."""
    above = path.rpartition("/")[0] or "/"
    if not posix.access(above, posix.F_OK):
        return
    try:
        place = Place(path)
        try:
            if place.path == path:
                remove_tree(place.above, place.partial)
        finally:
            posix.close(place.above)
    except OSError as error:
        warn(f"what was made of {path} is left: {system_words(error.errno or 0)}")
    except OcirunError as error:
        warn(f"what was made of {path} is left: {error.message}")


def _layers(record: "JsonObject") -> "list[str]":
    layers = record.get("layers")
    return [str(each) for each in layers] if isinstance(layers, list) else []


def _names(store: Store, directory: str) -> "list[str]":
    descriptor = store.open(directory)
    try:
        return sorted(posix.listdir(descriptor))
    finally:
        posix.close(descriptor)


def _stored(store: Store, warn: "Callable[[str], None]") -> "list[str]":
    """The names of the layers."""
    found = []
    for algorithm in digests.LENGTHS:
        for name in _names(store, f"layers/{algorithm}"):
            if name.endswith(".json"):
                continue
            if digests.is_one(f"{algorithm}:{name}"):
                found.append(f"{algorithm}:{name}")
            else:
                warn(f"{store.path}/layers/{algorithm}/{name} is left: it is no layer")
    return found


def _remove(store: Store, name: str, warn: "Callable[[str], None]") -> None:
    """Remove a file or a tree."""
    above, _, last = name.rpartition("/")
    try:
        descriptor = store.open(above)
        try:
            if is_directory(last, descriptor):
                remove_tree(descriptor, last)
            else:
                posix.unlink(last, dir_fd=descriptor)
        finally:
            posix.close(descriptor)
    except OSError as error:
        warn(f"{store.path}/{name} is left: {system_words(error.errno or 0)}")


def _empty(store: Store, directory: str, warn: "Callable[[str], None]") -> None:
    for name in _names(store, directory):
        _remove(store, f"{directory}/{name}", warn)


def _sweep(store: Store, warn: "Callable[[str], None]") -> None:
    """Remove what is in tmp/ and locks/, and facts and short names of layers that are gone."""
    for directory in ("tmp", "locks"):
        _empty(store, directory, warn)
    for algorithm in digests.LENGTHS:
        there = set(_names(store, f"layers/{algorithm}"))
        for name in there:
            if name.endswith(".json") and name.removesuffix(".json") not in there:
                _remove(store, f"layers/{algorithm}/{name}", warn)
    for name in _names(store, "l"):
        if not posix.access(f"l/{name}", posix.F_OK, dir_fd=store.descriptor):
            _remove(store, f"l/{name}", warn)
