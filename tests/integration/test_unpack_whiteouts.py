"""Whiteouts and opaque directories of what is not there leave no trace.

In a directory that only its own layer has, overlayfs shows a whiteout as a name without a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.images import archive, directory, entry, symlink
from tests.integration.test_unpack import Unpacker, mounted, unpacker
from tests.integration.test_unpack_applied import both, stored

__all__ = ["unpacker"]  # a fixture
pytestmark = pytest.mark.not_on("runc", "crun", reason="has no images")

OPAQUE = ".wh..wh..opq"
D = [directory("d"), entry("d/x", b"1")]
CASES: dict[str, tuple[list[list[bytes]], list[str]]] = {
    "in a directory of its own": ([[entry("q")], [directory("d"), entry("d/k"), entry("d/.wh.x")]], ["d", "d/k", "q"]),
    "in no directory": ([[entry("q")], [entry("e/.wh.x")]], ["q"]),
    "deep in no directory": ([D, [entry("d/e/f/.wh.x")]], ["d", "d/x"]),
    "below a file": ([[entry("f")], [entry("f/.wh.x")]], ["f"]),
    "below a file of the layer": ([[entry("q")], [entry("f"), entry("f/.wh.x")]], ["f", "q"]),
    "in a directory that a file has replaced": ([D, [entry("d")], [entry("d/.wh.x")]], ["d"]),
    "in a directory that comes again": ([D, [entry("d")], [directory("d"), entry("d/.wh.x")]], ["d"]),
    "in a directory that is hidden": ([D, [entry(".wh.d")], [entry("d/.wh.x")]], []),
    "in one that is hidden by the layer": ([D, [entry(".wh.d"), entry("d/.wh.x")]], []),
    "in a new one": ([D, [entry(".wh.d")], [entry("d/.wh.x"), entry("d/y")]], ["d", "d/y"]),
    "in one that becomes opaque": ([D, [entry("d/.wh.x"), entry(f"d/{OPAQUE}"), entry("d/y")]], ["d", "d/y"]),
    "in one that is hidden later": ([D, [directory("d"), entry("d/.wh.x"), entry(".wh.d")]], ["d"]),
    "in one that was opaque": ([D, [entry(f"d/{OPAQUE}"), entry("d/.wh.x")]], ["d"]),
    "in one that becomes a file": ([D, [entry("d/.wh.x"), entry("d")]], ["d"]),
    "twice": ([D, [entry("d/.wh.x")], [entry("d/.wh.x")]], ["d"]),
    "of the first layer": ([[directory("d"), entry("d/k"), entry("d/.wh.x")], [entry("q")]], ["d", "d/k", "q"]),
    "through a link": ([[*D, symlink("l", "d")], [entry("l/.wh.x"), entry("l/.wh.y")]], ["d", "l"]),
    "opaque and not there": ([D, [entry(f"e/{OPAQUE}")]], ["d", "d/x"]),
    "opaque and a file": ([[entry("f")], [entry(f"f/{OPAQUE}")]], ["f"]),
}


def walk(root: Path) -> Iterator[str]:
    """All names in a tree, also of what cannot be opened."""
    for above, directories, files in os.walk(root):
        for name in (*directories, *files):
            os.lstat(os.path.join(above, name))
            yield os.path.relpath(os.path.join(above, name), root)


@pytest.mark.parametrize("name", CASES)
def test_whiteouts_of_nothing(unpacker: Unpacker, name: str) -> None:
    """Every name that a directory lists is a file, and what a whiteout cannot mean is as it was."""
    layers, wanted = CASES[name]
    copy, bundle = both(unpacker, *(archive(*entries) for entries in layers))
    assert sorted(walk(copy)) == wanted
    with mounted(bundle) as merged:
        assert sorted(walk(merged)) == wanted


def test_a_layer_of_whiteouts_on_other_layers(unpacker: Unpacker) -> None:
    """A stored layer serves again where its whiteouts hide something; elsewhere it is unpacked once more, in each order."""
    base, other = archive(*D), archive(directory("d"), entry("d/k"))
    top = archive(directory("d"), entry("d/.wh.x"), entry("d/y"))
    for first, second in ((base, other), (other, base)):
        for below in (first, second, archive(*D, entry("q")), None):
            copy, bundle = both(unpacker, *([below] if below else []), top)
            wanted = {
                "d",
                "d/y",
                *(["d/k"] if below == other else []),
                *(["q"] if below not in (base, other, None) else []),
            }
            assert set(walk(copy)) == wanted
            if below:
                with mounted(bundle) as merged:
                    assert set(walk(merged)) == wanted
    one = stored(both(unpacker, base, top)[1])[1]
    assert stored(both(unpacker, archive(*D, entry("q")), top)[1])[1] == one
    assert stored(both(unpacker, other, top)[1])[1] != one


def test_an_opaque_directory_on_other_layers(unpacker: Unpacker) -> None:
    """Without an entry for the directory itself, the layer makes none where there is nothing to hide."""
    top = archive(entry(f"d/{OPAQUE}"), entry("y"))
    for order in ([archive(*D), archive(entry("q"))], [archive(entry("q")), archive(*D)]):
        for below in order:
            copy, bundle = both(unpacker, below, top)
            wanted = ["d", "y"] if below == archive(*D) else ["q", "y"]
            assert sorted(walk(copy)) == wanted
            with mounted(bundle) as merged:
                assert sorted(walk(merged)) == wanted
