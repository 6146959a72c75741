"""A layer is applied to the tree of the layers below it: hard links to their files, and paths through their links."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.images.layouts.digests import chain_ids
from tests.integration.caller import TREE, Result
from tests.integration.images import Layout, archive, digest, directory, entry, hardlink, layout, symlink
from tests.integration.test_unpack import Unpacker, mounted, remove, unpacker

__all__ = ["unpacker"]  # a fixture
pytestmark = pytest.mark.not_on("runc", "crun", reason="has no images")

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
XATTRS = [(b"SCHILY.xattr.user.word", b"v"), (b"SCHILY.xattr.security.capability", CAPABILITY)]
BASE = archive(
    directory("usr"),
    directory("usr/lib", mode=0o711, uid=3),
    symlink("lib", "usr/lib"),
    directory("d", mode=0o710),
    entry("d/f", b"data", mode=0o4751, uid=5, gid=6, pax=[*XATTRS, (b"mtime", b"1234567890.5")]),
    hardlink("d/g", "d/f"),
    symlink("s", "d/f", uid=7),
    entry("fifo", kind="6", mode=0o640),
)


def both(unpacker: Unpacker, *layers: bytes) -> tuple[Path, Path]:
    """A copy and an overlay bundle of the layers."""
    source = layout(unpacker.path(f"layout{len(list(unpacker.place.iterdir()))}"), *layers)
    name = f"bundle{len(list(unpacker.place.iterdir()))}"
    return unpacker.unpack(source, f"{name}-copy", "--copy") / "rootfs", unpacker.unpack(source, name)


def inodes(root: Path, *names: str) -> set[int]:
    return {os.lstat(root / name).st_ino for name in names}


def stored(bundle: Path) -> list[str]:
    names: list[str] = json.loads((bundle / "image.json").read_text())["layers"]
    return names


def test_a_hard_link_to_a_file_of_a_lower_layer(unpacker: Unpacker) -> None:
    """It is copied up with all that it has, and all names of it that the layer gives are one file."""
    top = archive(
        hardlink("one", "d/f"), hardlink("new/two", "d/f"), hardlink("three", "d/g"), hardlink("lib/four", "one")
    )
    copy, bundle = both(unpacker, BASE, top)
    with mounted(bundle) as merged:
        for root in (copy, merged):
            names = ("one", "new/two", "three", "usr/lib/four", "d/f", "d/g")
            assert len(inodes(root, *names)) == 1
            status = os.lstat(root / "one")
            assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o4751, 5, 6)
            assert (status.st_mtime, (root / "one").read_text()) == (1234567890.5, "data")
            assert os.getxattr(root / "one", "user.word") == b"v"
            assert os.getxattr(root / "one", "security.capability") == CAPABILITY
            assert stat.S_IMODE(os.lstat(root / "d").st_mode) == 0o710
    assert stored(bundle) == chain_ids([digest(BASE), digest(top)])


def test_hard_links_to_other_kinds_of_file(unpacker: Unpacker) -> None:
    """To a symbolic link itself, to a FIFO and a device, and to what a later entry of the layer has put in a lower file's place."""
    device = archive(entry("null", kind="3", mode=0o622, uid=4, major=1, minor=3))
    top = archive(
        hardlink("l", "s"), hardlink("p", "fifo"), hardlink("n", "null"), hardlink("x", "d/f"), entry("d/f", b"new")
    )
    copy, bundle = both(unpacker, BASE, device, top)
    with mounted(bundle) as merged:
        for root in (copy, merged):
            assert (os.readlink(root / "l"), os.lstat(root / "l").st_uid) == ("d/f", 7)
            assert stat.S_ISFIFO(os.lstat(root / "p").st_mode)
            status = os.lstat(root / "n")
            assert (status.st_rdev, stat.S_IMODE(status.st_mode), status.st_uid) == (os.makedev(1, 3), 0o622, 4)
            assert (root / "x").read_text() == "new"


def test_what_takes_a_hard_links_place(unpacker: Unpacker) -> None:
    """A later entry of its name counts, and nothing can be below it; one in a directory that is gone is gone."""
    gone = (directory("e"), hardlink("e/x", "d/f"), entry("e", b"file"))
    top = archive(hardlink("one", "d/f"), entry("one", b"1"), hardlink("two", "d/f"), directory("two"), *gone)
    copy, _ = both(unpacker, BASE, top)
    assert (copy / "one").read_text() == "1"
    assert (copy / "two").is_dir()
    assert (copy / "e").read_text() == "file"
    below = layout(unpacker.path("below"), BASE, archive(hardlink("one", "d/f"), entry("one/x")))
    unpacker.refused(below, "one is not a directory, but a hard link")


HIDDEN = {
    "by a whiteout between": ([archive(entry("d/.wh.f"))], []),
    "by an opaque directory between": ([archive(directory("d"), entry("d/.wh..wh..opq"))], []),
    "by a file between": ([archive(entry("d"))], []),
    "by a whiteout of the layer": ([], [entry("d/.wh.f")]),
    "by a whiteout of the directory": ([], [entry(".wh.d")]),
    "by an opaque directory of the layer": ([], [entry("d/.wh..wh..opq")]),
    "by an opaque root": ([], [entry(".wh..wh..opq")]),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_hidden_file_is_no_target(unpacker: Unpacker, how: str) -> None:
    """Wherever in the layer the mark is."""
    between, own = HIDDEN[how]
    for number, entries in enumerate(([hardlink("x", "d/f"), *own], [*own, hardlink("x", "d/f")])):
        source = layout(unpacker.path(f"layout{number}"), BASE, *between, archive(*entries))
        if how == "by a file between":
            unpacker.refused(source, "d is not a directory")
        else:
            unpacker.refused(source, "x: a hard link to d/f, which neither its layer nor one below it has")


def test_a_directory_is_no_target(unpacker: Unpacker) -> None:
    for number, target in enumerate(("usr/lib", "lib/../d")):
        words = "a hard link to a directory" if not number else "with .. in it"
        unpacker.refused(layout(unpacker.path(f"layout{number}"), BASE, archive(hardlink("x", target))), words)


def test_paths_through_links_of_lower_layers(unpacker: Unpacker) -> None:
    """Files, directories, links, hard links' targets and whiteouts go where the link leads; the directory there stays as it is."""
    middle = archive(
        symlink("up", "../../../../lib"), symlink("nowhere", "/not/there"), entry("usr/lib/old"), entry("usr/lib/kept")
    )
    top = archive(
        entry("lib/foo", b"1"),
        directory("lib/sub", mode=0o700),
        entry("up/bar", b"2"),
        entry("lib/.wh.old"),
        entry("nowhere/x", b"3"),
        hardlink("hard", "lib/foo"),
        hardlink("lower", "up/kept"),
        entry("lib/sub/.wh..wh..opq"),
    )
    copy, bundle = both(unpacker, BASE, middle, top)
    with mounted(bundle) as merged:
        for root in (copy, merged):
            assert os.readlink(root / "lib") == "usr/lib"
            assert sorted(os.listdir(root / "usr/lib")) == ["bar", "foo", "kept", "sub"]
            assert (root / "not/there/x").read_text() == "3"
            status = os.lstat(root / "usr/lib")
            assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o711, 3)
            assert len(inodes(root, "hard", "usr/lib/foo")) == 1
            assert len(inodes(root, "lower", "usr/lib/kept")) == 1


def test_what_replaces_a_lower_layers_link(unpacker: Unpacker) -> None:
    """An entry for the directory itself, as image-spec says, a whiteout, and an opaque directory above."""
    base = archive(directory("a"), symlink("a/l", "/d"), directory("d"), entry("d/x"))
    tops = {
        "an entry": archive(directory("a/l"), entry("a/l/y")),
        "a whiteout": archive(entry("a/.wh.l"), entry("a/l/y")),
        "an opaque directory": archive(entry("a/.wh..wh..opq"), entry("a/l/y")),
    }
    for top in tops.values():
        copy, bundle = both(unpacker, base, top)
        assert (os.listdir(copy / "a/l"), os.listdir(copy / "d")) == (["y"], ["x"])
        with mounted(bundle) as merged:
            assert (os.listdir(merged / "a/l"), os.listdir(merged / "d")) == (["y"], ["x"])


@pytest.mark.parametrize("late", [False, True])
def test_a_layer_is_shared_where_it_means_the_same(unpacker: Unpacker, late: bool) -> None:
    """The same layer is unpacked again where a link below leads it elsewhere, and taken from the store where none does."""
    plain, other = archive(directory("lib", mode=0o711), entry("lib/old")), archive(entry("usr/x"))
    top = archive(entry("lib/foo"), *([directory("lib", mode=0o750)] if late else []))
    first, own = both(unpacker, plain, top)
    second, linked = both(unpacker, BASE, top)
    third, again = both(unpacker, other, top)
    assert sorted(os.listdir(first / "lib")) == ["foo", "old"]
    assert os.listdir(second / "usr/lib") == ["foo"]
    assert (second / "lib").is_symlink() != late
    assert os.listdir(third / "lib") == ["foo"]
    assert [stored(each)[1] for each in (own, again)] == [digest(top)] * 2
    assert stored(linked)[1] == chain_ids([digest(BASE), digest(top)])[1]
    assert len(unpacker.layers()) == 5
    both(unpacker, BASE, top)
    assert len(unpacker.layers()) == 5


def test_a_layer_that_is_bound_comes_first(unpacker: Unpacker) -> None:
    """Its name is its ChainID from the start; another image has the layer by its diff_id then."""
    top = archive(entry("lib/foo"))
    second, linked = both(unpacker, BASE, top)
    assert digest(top)[7:] not in unpacker.layers()
    first, own = both(unpacker, archive(directory("lib")), top)
    assert stored(own)[1] == digest(top)
    assert (os.listdir(first / "lib"), os.listdir(second / "usr/lib")) == (["foo"], ["foo"])
    assert stored(linked)[1] != digest(top)


def unpack_with(unpacker: Unpacker, change: str, source: Path, name: str) -> Result:
    """`bundle unpack` with another limit."""
    words = ["bundle", "unpack", "--store", str(unpacker.store), str(source), str(unpacker.path(name))]
    code = f"import sys; from runtime import cli; from runtime.images import budget, store; {change}; sys.exit(cli.main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=TREE)
    return Result(done.returncode, done.stdout, done.stderr)


def test_a_layer_that_takes_long_to_compare(unpacker: Unpacker) -> None:
    """It is unpacked once more, and then found by its ChainID. What is below a directory that is not there needs no look-up."""
    top, other = archive(entry("lib/a/b/c/foo")), archive(entry("usr/x"))
    both(unpacker, archive(directory("x")), top)
    source = layout(unpacker.path("other"), other, top)
    unpack_with(unpacker, "budget.MAX_LOOKUPS = 1", source, "one").ok()
    assert stored(unpacker.path("one")) == [digest(other), digest(top)]
    for name in ("two", "three"):
        unpack_with(unpacker, "budget.MAX_LOOKUPS = 0", source, name).ok()
        assert stored(unpacker.path(name)) == chain_ids([digest(other), digest(top)])
    assert len(unpacker.layers()) == 4


def test_facts_that_could_not_be_read(unpacker: Unpacker) -> None:
    """A layer whose facts would be too large is refused before it has a name."""
    source = layout(unpacker.path("layout"), archive(entry(f"{'d' * 80}/e/f")))
    done = unpack_with(unpacker, "store._MAX_FACTS = 200", source, "one").failed(1)
    assert "layer 1 of 1: the names of its directories take more than 200 bytes" in done.err
    assert unpacker.layers() == os.listdir(unpacker.store / "tmp") == []
    unpack_with(unpacker, "store._MAX_FACTS = 400", source, "one").ok()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"size": "x"}',
        '{"diff_id": 1}',
        '{"implied": 1}',
        '{"implied": ["\\ud800"]}',
        '{"asked": ["\\u0000"]}',
        None,
    ],
)
def test_damaged_facts(unpacker: Unpacker, text: str | None) -> None:
    """They are named with the remedy, which helps."""
    source = layout(unpacker.path("layout"), BASE, archive(entry("lib/foo")))
    unpacker.unpack(source, "one")
    facts = next(unpacker.store.glob("layers/sha256/*.json"))
    facts.unlink()
    if text is not None:
        facts.write_text(text)
    done = unpacker.refused(source, f"{facts} is damaged (")
    command = done.err.partition("unpack the image again after ")[2]
    assert command == f"rm -rf {facts.with_suffix('')} {facts}\n"
    subprocess.run(command.split(), check=True)
    unpacker.unpack(source, "two")


def test_a_store_of_an_older_release(unpacker: Unpacker) -> None:
    """It has the layer with a directory in the link's place: not taken on top of the link; bundles that have it stay as they are."""
    top = archive(entry("lib/foo"))
    _, old = both(unpacker, archive(directory("x")), top)
    file = unpacker.store / f"layers/sha256/{digest(top)[7:]}.json"
    facts = json.loads(file.read_text())
    assert facts.pop("hides") == []
    file.write_text(json.dumps(facts))
    assert facts == {"version": 1, "implied": ["", "lib"], "files": 1, "size": 0}
    copy, _ = both(unpacker, BASE, top)
    assert os.listdir(copy / "usr/lib") == ["foo"]
    with mounted(old) as merged:
        assert os.listdir(merged / "lib") == ["foo"]
    assert unpacker.runtime.call("bundle", "diff", old).ok().out == ""


def test_prune_and_commit_of_bound_layers(unpacker: Unpacker) -> None:
    """A bundle keeps its layers, whatever their names; what is committed on top is the image's layers and one more."""
    top = archive(entry("lib/foo"), hardlink("one", "d/f"))
    source = layout(unpacker.path("layout"), BASE, top)
    bundle = unpacker.unpack(source)
    assert unpacker.call("prune").ok().out == ""
    (bundle / "upper/usr").mkdir(exist_ok=True)
    (bundle / "upper/usr/new").write_text("new")
    assert "A /usr/new" in unpacker.runtime.call("bundle", "diff", bundle).ok().out
    unpacker.runtime.call("bundle", "commit", bundle, f"{unpacker.path('committed')}:x").ok()
    copy = unpacker.unpack(f"{unpacker.path('committed')}:x", "copy", "--copy")
    assert json.loads((copy / "image.json").read_text())["image"]["rootfs"]["diff_ids"][:2] == [
        digest(BASE),
        digest(top),
    ]
    assert stored(copy)[:2] == stored(bundle)
    assert (copy / "rootfs/usr/lib/foo").exists()
    assert (copy / "rootfs/usr/new").read_text() == "new"
    for each in (bundle, copy):
        remove(each)
    assert len(unpacker.call("prune").ok().out.splitlines()) == 3
    assert unpacker.layers() == []


def test_a_diff_id_is_not_a_chain_id(unpacker: Unpacker) -> None:
    """An image that gives another's ChainID as its own layer does not get that tree, of which nobody can have the archive."""
    top = archive(hardlink("one", "d/f"))
    bound = stored(both(unpacker, BASE, top)[1])[1]
    made = Layout(unpacker.path("other"))
    manifest = made.image([top])
    path = made.directory / "blobs" / manifest["digest"].replace(":", "/")
    document = json.loads(path.read_text())
    config = json.loads((made.directory / "blobs" / document["config"]["digest"].replace(":", "/")).read_text())
    config["rootfs"]["diff_ids"] = [bound]
    document["config"] = made.document(config, document["config"]["mediaType"])
    made.add(made.document(document, manifest["mediaType"]), "x")
    unpacker.refused(made.directory, "layer 1 of 1")


def test_a_layer_twice_on_top_of_a_link(unpacker: Unpacker) -> None:
    """The link comes between: the second time the layer is another tree."""
    same, link = archive(entry("a/x", b"1")), archive(directory("b"), entry(".wh.a"), symlink("a", "b"))
    copy, bundle = both(unpacker, same, link, same)
    assert (os.readlink(copy / "a"), os.listdir(copy / "b")) == ("b", ["x"])
    with mounted(bundle) as merged:
        assert (os.readlink(merged / "a"), os.listdir(merged / "b")) == ("b", ["x"])
    shutil.rmtree(bundle)
