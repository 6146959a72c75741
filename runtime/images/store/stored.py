"""The layers of a bundle in the store, by their names: see `digests.chain_ids`."""

import posix

from runtime.images.store import layer_name
from runtime.images.trees.stack import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.images.store import Store


def top_first(stored: "Sequence[str]") -> "list[str]":
    """The layers as overlayfs takes them: none twice, since what comes again hides itself. ``stored``: the lowest first."""
    return list(dict.fromkeys(reversed(stored)))


def open_roots(store: "Store", stored: "Sequence[str]") -> "tuple[list[str], list[int]]":
    """The layers that count, the top one first: their names, and descriptors. ``stored``: the lowest first. Raises OSError."""
    found = top_first(stored)
    layers = [store.open(layer_name(each)) for each in found]
    for hidden in layers[(count := visible(layers, store.form)) :]:
        posix.close(hidden)
    return found[:count], layers[:count]


def open_layers(store: "Store", stored: "Sequence[str]") -> "tuple[list[str], list[int], list[frozenset[bytes]]]":
    """As `open_roots`, and see `implied_of`."""
    found, layers = open_roots(store, stored)
    return found, layers, [implied_of(store, each) for each in found]


def implied_of(store: "Store", stored: str) -> "frozenset[bytes]":
    """The directories of a layer that it has no entry for."""
    return paths_of(store.facts(stored).get("implied"))


def paths_of(listed: object) -> "frozenset[bytes]":
    """Paths that the facts of a layer list."""
    paths = listed if isinstance(listed, list) else []
    return frozenset(path.encode(errors="surrogateescape") for path in paths if isinstance(path, str))
