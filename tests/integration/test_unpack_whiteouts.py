"""Whiteouts and opaque directories of what is not there leave no trace.

In a directory that only its own layer has, overlayfs shows a whiteout as a name without a file.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.images import archive, directory, entry, hardlink, layout, symlink
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
    "in one that is hidden by a later one": ([D, [entry("d/.wh.x"), entry(".wh.d")]], []),
    "in one that an opaque one hides": ([D, [entry(f"d/{OPAQUE}"), entry(".wh.d")]], []),
    "deep in one that is hidden later": (
        [[directory("d"), directory("d/e"), entry("d/e/x")], [entry("d/e/.wh.x"), entry("d/.wh.e"), entry("d/y")]],
        ["d", "d/y"],
    ),
    "opaque in one that is hidden later": (
        [[directory("d"), directory("d/e"), entry("d/e/x")], [entry(f"d/e/{OPAQUE}"), entry("d/y"), entry(".wh.d")]],
        ["d", "d/y"],
    ),
    "in a directory of one that is hidden later": (
        [[directory("d"), directory("d/e"), entry("d/e/x")], [entry("d/e/.wh.x"), entry("d/y"), entry(".wh.d")]],
        ["d", "d/y"],
    ),
    "opaque and then a file": ([D, [entry(f"d/{OPAQUE}"), entry("d")]], ["d"]),
    "of a directory that a hard link is to come to": (
        [[*D, entry("a")], [hardlink("d/l", "a"), entry(".wh.d")]],
        ["a", "d", "d/l"],
    ),
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


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("late", [False, True], ids=["mark first", "mark last"])
def test_an_opaque_directory_on_other_layers(unpacker: Unpacker, late: bool, backwards: bool) -> None:
    """Without an entry for the directory, the layer makes none where there is nothing to hide, and else it is as it was."""
    mark, new = entry(f"d/{OPAQUE}"), entry("d/new")
    top = archive(new, mark) if late else archive(mark, new)
    note = (b"SCHILY.xattr.user.word", b"v")
    lower = archive(directory("d", mode=0o2750, uid=3, gid=4, mtime=1_500_000_000, pax=[note]), entry("d/x"))
    gone, plain, other = archive(entry(".wh.d")), archive(entry("q")), archive(entry("d/e/implied"))
    images = ([lower, top], [plain, top], [lower, other, top], [lower, top, top], [lower, gone, top], [top, lower, top])
    for layers in reversed(images) if backwards else images:
        copy, bundle = both(unpacker, *layers)
        with mounted(bundle) as merged:
            for root in (copy, merged):
                assert os.listdir(root / "d") == ["new"]
                status = os.lstat(root / "d")
                found = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, os.listxattr(root / "d")
                is_kept = lower in layers and gone not in layers
                assert found == ((0o2750, 3, 4, ["user.word"]) if is_kept else (0o755, 0, 0, []))


def test_many_whiteouts_that_hide_nothing(unpacker: Unpacker) -> None:
    """The time that they take grows with their number, not with its square."""
    count = 16000  # 49 seconds where each looked through the directory
    below = archive(directory("a"), directory("a/b"), *(entry(f"a/b/{number}") for number in range(count)))
    hidden = [entry(f"a/b/.wh.{number}") for number in range(count)]
    began = time.monotonic()
    unpacker.unpack(layout(unpacker.path("few"), below, archive(*hidden)), "one")
    took = time.monotonic() - began
    began = time.monotonic()
    unpacker.unpack(layout(unpacker.path("many"), below, archive(*hidden, entry(f"a/{OPAQUE}"))), "two")
    assert time.monotonic() - began < 5 * took + 5


def test_a_layer_of_an_older_store(unpacker: Unpacker) -> None:
    """A layer whose whiteouts are not in its facts, as older builds wrote them, is unpacked once more."""
    below, top = archive(*D), archive(directory("d"), entry("d/.wh.x"))
    bundle = unpacker.unpack(layout(unpacker.path("one"), below, top), "first")
    name = stored(bundle)[1]
    facts = unpacker.store / "layers" / f"{name.replace(':', '/')}.json"
    document = json.loads(facts.read_text())
    del document["hides"]
    facts.write_text(json.dumps(document))
    again = unpacker.unpack(layout(unpacker.path("other"), archive(entry("q")), top), "second")
    assert stored(again)[1] != name
    with mounted(again) as merged:
        assert sorted(walk(merged)) == ["d", "q"]


NAMES = ("a", "b", "a/x", "a/b", "b/x", "a/b/x", "b/y", "x", "a/b/y")
KINDS = "ffddddwwwwoos"


def drawn(choices: random.Random) -> bytes:
    """A layer of a few entries, which have few names."""
    entries = []
    for _ in range(choices.randint(1, 6)):
        kind, name = choices.choice(KINDS), choices.choice(NAMES)
        above, _, last = name.rpartition("/")
        if kind == "f":
            entries.append(entry(name, bytes([choices.randint(97, 122)])))
        elif kind == "d":
            entries.append(directory(name, mode=choices.choice((0o755, 0o700))))
        elif kind == "s":
            entries.append(symlink(name, choices.choice(("a", "/b", "../x"))))
        else:
            entries.append(entry(f"{above}/.wh.{last}" if kind == "w" else f"{name}/{OPAQUE}"))
    return archive(*entries)


def found(root: Path, mode: bool = True) -> dict[str, tuple[object, ...]]:
    """What each name is. ``mode``: with the mode of a directory."""
    facts: dict[str, tuple[object, ...]] = {}
    for name in walk(root):
        path = root / name
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        facts[name] = stat.S_IFMT(status.st_mode), content, mode and stat.S_IMODE(status.st_mode)
    return facts


@pytest.mark.parametrize("seed", range(3))
def test_any_layers(unpacker: Unpacker, seed: int) -> None:
    """A copy, the overlay, and what umoci makes of the same layers are one tree, whatever the store has of them already.

    But for the mode of a directory that its layer hides and needs again, which umoci keeps.
    """
    choices = random.Random(seed)
    layers = [drawn(choices) for _ in range(12)]
    compared = 0
    for number in range(40):
        source = layout(unpacker.path(f"layout{number}"), *choices.sample(layers, choices.randint(2, 4)))
        copy, bundle = unpacker.path(f"copy{number}"), unpacker.path(f"bundle{number}")
        refused = unpacker.call("unpack", "--copy", source, copy)
        assert unpacker.call("unpack", source, bundle).code == refused.code
        if refused.code:
            assert refused.err.count("\n") == 1
            continue
        with mounted(bundle) as merged:
            assert found(merged) == found(copy / "rootfs")
        other = unpacker.path(f"umoci{number}")
        words = ["umoci", "unpack", "--image", f"{source}:latest", str(other)]
        if shutil.which("umoci") and not subprocess.run(words, capture_output=True, check=False).returncode:
            assert found(copy / "rootfs", mode=False) == found(other / "rootfs", mode=False)
            compared += 1
    assert compared > 10 or not shutil.which("umoci")
