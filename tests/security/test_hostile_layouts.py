"""What others have put into a bundle, a layout or a store, for `bundle diff`, `commit` and `prune` to read, write or remove."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.caller import Result
from tests.integration.images import archive, directory, entry, layout
from tests.security.attack import Target, attack
from tests.security.test_oversized import crashed, limit_memory

PARTIAL = ".ocirun-0123456789abcdef"
SECRET = {"schemaVersion": 2, "manifests": [], "secret": "the host's"}
LAYER = archive(directory("d"), entry("d/file", b"content"))
HANGS = 10  # seconds


class Scene:
    """A bundle with a change, the layout that it comes from, and a place outside that nobody may touch."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.place = target.caller.directory / "scene"
        self.outside = self.place / "outside"
        for name in ("sha256", "tmp"):
            (self.outside / name).mkdir(parents=True)
        for name in ("kept", PARTIAL, f"sha256/{PARTIAL}"):
            (self.outside / name).write_text("kept")
        (self.outside / "index.json").write_text(json.dumps(SECRET))
        self.source = layout(self.place / "source", LAYER)
        self.store = self.place / "store"
        self.bundle = self.place / "bundle"
        self.call("unpack", "--store", self.store, self.source, self.bundle).ok()
        (self.bundle / "upper/new").write_text("new")
        self.before = self.state()
        self.count = 0

    def call(self, *words: str | Path) -> Result:
        return self.target.caller.call("bundle", *words, timeout=HANGS, preexec_fn=limit_memory)

    def commit(self, place: Path) -> Result:
        return self.call("commit", self.bundle, place)

    def state(self) -> dict[str, Any]:
        return {
            str(path): (path.lstat().st_mode, path.lstat().st_ino, path.read_bytes() if path.is_file() else b"")
            for path in (self.outside, *self.outside.rglob("*"))
        }

    def new(self) -> Path:
        """A layout with another image."""
        self.count += 1
        return layout(self.place / f"layout{self.count}", archive(entry("other")))

    def judge(self, done: Result, evidence: object, words: str = "") -> None:
        """Nothing outside has changed. ``words``: of the one line that it is refused with; "" if it is not."""
        self.target.judge(crashed(done) or self.state() != self.before, (evidence, done))
        assert (done.code, bool(words)) in ((0, False), (1, True)), (evidence, done)
        assert words in done.err, (evidence, done)
        assert done.err.count("\n") == bool(words), (evidence, done)

    def rewrite(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a document of the bundle, as it was when it was new."""
        path, kept = self.bundle / name, self.place / name
        if not kept.exists():
            shutil.copy(path, kept)
        document = json.loads(kept.read_text())
        change(document)
        path.write_text(json.dumps(document))


@attack(
    "own find",
    "blobs or blobs/sha256 of a layout is a link to a directory of the host's, in which `bundle commit` writes and cleans up",
    stops="each directory of a layout is opened below the one before it, without links; only own names are removed",
)
def test_a_layout_that_leads_out(target: Target) -> None:
    """The files outside have the names of blobs that were not finished."""
    scene = Scene(target)
    for name in ("blobs", "blobs/sha256"):
        place = scene.new()
        shutil.rmtree(place / name)
        (place / name).symlink_to(scene.outside)
        scene.judge(scene.commit(place), name, "which must not be a link")
    place = scene.new()
    for name in (PARTIAL, ".ocirun-notes"):
        (place / "blobs/sha256" / name).touch()
    scene.judge(scene.commit(place), "own names")
    assert [path.name for path in (place / "blobs/sha256").glob(".*")] == [".ocirun-notes"]


@attack(
    "own find",
    "index.json of a layout is a link to a document that only root may read, a name of the host's file, or a FIFO",
    stops="a layout's documents must be regular files, at most 8 MiB; what is written is always a new file",
)
def test_documents_of_a_layout(target: Target) -> None:
    """The new index.json, which all may read, would have what the link leads to."""
    scene = Scene(target)
    for name in ("index.json", "oci-layout"):
        for make in (lambda path: path.symlink_to(scene.outside / "index.json"), os.mkfifo):
            place = scene.new()
            (place / name).unlink()
            make(place / name)
            scene.judge(scene.commit(place), name, "not a regular file")
    place = scene.new()
    os.truncate(place / "index.json", 9 << 20)
    scene.judge(scene.commit(place), "large", "more than 8388608 bytes")
    place = scene.new()
    deep = "[" * 500 + "]" * 500
    (place / "index.json").write_text(f'{{"schemaVersion": 2, "manifests": [], "x": {deep}}}')
    scene.judge(scene.call("commit", "--base", scene.source, scene.bundle, place), "deep", "too deep")
    place = scene.new()
    os.link(scene.outside / "kept", place / ".ocirun-index")
    scene.judge(scene.commit(place), "hard link")
    assert len(json.loads((place / "index.json").read_text())["manifests"]) == 1  # of the same name, replaced


@attack(
    "own find",
    "a layout has another content under the digest of one of the image's layers, and of its size",
    stops="a blob that is there counts if its content has its digest; otherwise it is written anew",
)
def test_blobs_of_a_layout(target: Target) -> None:
    """The new image would name it."""
    scene = Scene(target)
    for make in (
        lambda path, size: path.write_bytes(bytes(size)),
        lambda path, _: path.symlink_to(scene.outside / "kept"),
    ):
        place = scene.new()
        for path in (scene.source / "blobs/sha256").iterdir():
            make(place / "blobs/sha256" / path.name, path.stat().st_size)
        scene.judge(scene.commit(place), make)
        scene.count += 1
        bundle = scene.place / f"again{scene.count}"
        scene.call("unpack", "--copy", "--store", scene.place / f"store{scene.count}", place, bundle).ok()
        assert (bundle / "rootfs/d/file").read_bytes() == b"content"


@attack(
    "own find",
    "image.json of a bundle names a directory of the host's as its store, in which `bundle diff` and `commit` write",
    stops="a store that is only read has store.json and its lock, or is refused",
)
def test_a_bundle_that_names_a_store(target: Target) -> None:
    """With and without a store.json."""
    scene = Scene(target)
    scene.rewrite("image.json", lambda facts: facts.update(store=str(scene.outside)))
    for words in (["diff"], ["commit"]):
        more = [scene.place / "new"] if words == ["commit"] else []
        scene.judge(scene.call(*words, scene.bundle, *more), words, "is no store of layers")
    shutil.copy(scene.store / "store.json", scene.outside)
    scene.before = scene.state()
    scene.judge(scene.call("diff", scene.bundle), "store.json", "no such file or directory")
    assert not (scene.place / "new").exists()


@attack(
    "own find",
    "image.json or config.json of a bundle is a FIFO, an endless device or larger than the memory",
    stops="each must be a regular file, and has a limit",
)
def test_documents_of_a_bundle(target: Target) -> None:
    """image.json is refused; without a config.json there are no mount points to leave out."""
    scene = Scene(target)

    def large(path: Path) -> None:
        path.touch()
        os.truncate(path, 9 << 20)

    for name, words in (("config.json", ""), ("image.json", "only a bundle that `bundle unpack` made")):
        for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), large):
            (scene.bundle / name).unlink()
            make(scene.bundle / name)
            scene.judge(scene.call("diff", scene.bundle), name, words)


SHAPES: tuple[tuple[str, object, str], ...] = (
    ("image", 5, "image has no rootfs"),
    ("image/rootfs", [], "image has no rootfs"),
    ("image/rootfs", {}, "image.rootfs.diff_ids are not its layers"),
    ("image/rootfs/diff_ids", 5, "image.rootfs.diff_ids are not its layers"),
    ("image/rootfs/diff_ids", [1], "image.rootfs.diff_ids are not its layers"),
    ("layers", ["sha256:../../x"], "layers and config are no digests"),
    ("config", {}, "layers and config are no digests"),
    ("image/os", {}, "image.os is no text"),
    ("image/variant", 1, "image.variant is no text"),
    ("store", "\ud800", "store is no absolute path"),
    ("store", "/a\0b", "store is no absolute path"),
    ("store", "store", "store is no absolute path"),
    ("source", 5, "source is no absolute path"),
)


@attack(
    "own find",
    "image.json of a bundle has another shape than it was written with: `bundle commit` fails within, or writes it into an image",
    stops="it is checked by its shape before anything is opened",
)
def test_shapes_of_image_json(target: Target) -> None:
    """Each is one line that says what is wrong, and no layout is made."""
    scene = Scene(target)
    for place, value, words in SHAPES:
        *above, name = place.split("/")

        def change(facts: dict[str, Any], above: list[str] = above, name: str = name, value: object = value) -> None:
            for each in above:
                facts = facts[each]
            facts[name] = value

        scene.rewrite("image.json", change)
        scene.judge(scene.commit(scene.place / "new"), (place, value), f"image.json is damaged: {words}")
    assert not (scene.place / "new").exists()


@attack(
    "own find",
    "a directory in which a bundle was being made becomes a link, and `bundle prune` cleans up where it leads",
    stops="it cleans up only where the bundle's real path is the one that was recorded",
)
def test_prune_through_a_link(target: Target) -> None:
    """As if `bundle unpack` had been killed; then again where it was."""
    scene = Scene(target)
    home = scene.place / "home"
    home.mkdir()
    bundle = home / "b"
    scene.call("unpack", "--store", scene.store, scene.source, bundle).ok()
    records = list((scene.store / "bundles").iterdir())
    record = next(path for path in records if str(bundle) in path.read_text())
    text = record.read_text()
    for name in ("outside", "home"):
        (scene.place / name / ".b.ocirun-partial").mkdir()
    scene.before = scene.state()
    shutil.rmtree(bundle)
    home.rename(scene.place / "moved")
    home.symlink_to(scene.outside)
    scene.judge(scene.call("prune", "--store", scene.store), "link")
    home.unlink()
    (scene.place / "moved").rename(home)
    record.write_text(text)
    scene.judge(scene.call("prune", "--store", scene.store), "real")
    assert os.listdir(home) == []


def descend(here: int, levels: int) -> int:
    """A directory so many levels below another one; its descriptor, instead of ``here``."""
    for _ in range(levels):
        os.mkdir("n", dir_fd=here)
        below = os.open("n", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    return here


@attack(
    "own find",
    "a container makes directories thousands deep, or very many files in them, which `bundle diff` takes gigabytes for",
    stops="a path of 4,096 bytes is refused, and so are 33 million names in all paths",
)
def test_deep_trees(target: Target) -> None:
    """2,040 levels are compared, and 2,100 are not. For the number of names see tests/runtime/images/trees/test_difference.py."""
    scene = Scene(target)
    here = descend(os.open(scene.bundle / "upper", os.O_RDONLY), 2040)
    assert len(scene.call("diff", scene.bundle).ok().out.splitlines()) == 2041
    os.close(descend(here, 60))
    done = scene.call("diff", scene.bundle)
    subprocess.run(["rm", "-rf", scene.bundle], check=True)  # deeper than Python goes
    scene.judge(done, "deep", "a path of 4096 bytes or more")
