"""Images that attack whoever unpacks them: refused or contained, in bounded memory; nothing outside changes, nothing half made stays."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import Result
from tests.integration.images import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    OCI,
    Layout,
    archive,
    digest,
    directory,
    docker_archive,
    entry,
    layout,
    packed,
    symlink,
)
from tests.integration.mounts import mount, with_mounts
from tests.security import hostile_images
from tests.security.attack import Target, attack
from tests.security.hostile_images import Hostile, Stacked
from tests.security.test_oversized import PATIENCE, crashed, limit_memory


class Victim:
    """A place with something to spoil beside the layers."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.place = target.caller.directory / "victim"
        self.place.mkdir()
        self.outside = self.place / "outside"
        self.outside.mkdir()
        (self.outside / "kept").write_text("kept")
        self.before = self.state()
        self.count = 0

    def state(self) -> dict[str, Any]:
        """All that an attack could change outside."""
        found = {}
        for path in (self.outside, *self.outside.rglob("*")):
            status = os.lstat(path)
            found[str(path)] = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, os.listxattr(path))
        return {**found, "kept": (self.outside / "kept").read_text()}

    def new(self) -> Path:
        self.count += 1
        return self.place / f"layout{self.count}"

    def unpack(
        self, reference: Path | str, *flags: str, limit: Any = limit_memory, patience: float = PATIENCE
    ) -> Result:
        """A call in a store of its own."""
        store, bundle = self.place / f"store{self.count}", self.place / f"bundle{self.count}"
        words = ("bundle", "unpack", *flags, "--store", store, reference, bundle)
        return self.target.caller.call(*words, timeout=patience, preexec_fn=limit)

    def judge(self, name: str, done: Result, words: str, lower: int = 0) -> None:
        """Nothing outside has changed, the words were said, and only what was accepted is there: of it ``lower`` layers."""
        self.target.judge(crashed(done) or self.state() != self.before, (name, done))
        assert (done.code, bool(words)) in ((0, False), (1, True)), (name, done)
        assert words in done.err, (name, done)
        assert done.err.isascii() or "\x1b" not in done.err
        assert done.err.count("\n") <= 3
        made = self.place / f"bundle{self.count}"
        assert made.exists() == (not words)
        store = self.place / f"store{self.count}"
        if words and store.exists():
            assert [os.listdir(store / each) for each in ("tmp", "bundles")] == [[], []], name
            assert len([path for path in (store / "layers/sha256").iterdir() if path.is_dir()]) == lower, name
            assert len(os.listdir(store / "layers/sha256")) == 2 * lower, name

    def try_stacks(self, rows: dict[str, Stacked]) -> None:
        for name, (make, words) in rows.items():
            for flags in ((), ("--copy",)):
                layers = make(self.outside)
                self.judge(name, self.unpack(layout(self.new(), *layers), *flags), words, len(layers) - 1)

    def try_layers(self, rows: dict[str, Hostile]) -> None:
        for name, (make, words) in rows.items():
            for flags in ((), ("--copy",)):
                self.judge(name, self.unpack(layout(self.new(), make(self.outside)), *flags), words)


@attack(
    "CVE-2018-15664 and others",
    "a layer has links, and then files, whiteouts and hard links through them",
    stops="each name is walked within the layer's directory; a link leads on from the layer's root, as for chroot",
)
def test_links(target: Target) -> None:
    """Each is what a link that the extractor follows would make or change outside."""
    Victim(target).try_layers(hostile_images.LINKS)


@attack(
    "CVE-2018-15664 and others",
    "a layer writes below the links of the layers below it, and hard links to their files: the outside, circles, devices, large files",
    stops="a lower layer's links are walked as the layer's own are; what is copied up counts against all limits",
)
def test_stacks(target: Target) -> None:
    """The last layer attacks, with what the others have prepared."""
    victim = Victim(target)
    victim.try_stacks(hostile_images.STACKS)
    for path in victim.place.glob("store*/layers/sha256/*/h"):
        assert path.is_symlink() or path.read_bytes() != b"kept"


@attack(
    "CVE-2019-14271 and others",
    "a layer's names go up, have a NUL, are whiteouts of nothing, or longer than the kernel takes",
    stops="names are parsed strictly; what has no one meaning is refused",
)
def test_names(target: Target) -> None:
    """Each is a name that would be outside, or that two readers take for two things."""
    Victim(target).try_layers(hostile_images.NAMES)


@attack(
    "own find",
    "a layer has what overlayfs reads as its own: whiteouts, redirects, metacopy; or owners and devices that there are not",
    stops="the device 0:0 is refused, attributes of overlayfs are left out, numbers have bounds",
)
def test_files(target: Target) -> None:
    """A redirect shows files of a directory that the layer chooses (overlayfs.rst)."""
    victim = Victim(target)
    victim.try_layers(hostile_images.FILES)
    for path in victim.place.glob("store*/layers/sha256/*/*"):
        assert os.listxattr(path) == [], path


@attack(
    "CVE-2017-14992 and others",
    "a layer has more than there is room for: sparse files, sizes that lie, headers of gigabytes",
    stops="sizes are counted before anything is written; headers, maps and attributes have limits",
)
def test_bombs(target: Target) -> None:
    """In a gigabyte of address space."""
    Victim(target).try_layers(hostile_images.BOMBS)


@attack(
    "own find",
    "two megabytes of gzip data become two gigabytes",
    stops="beyond a gigabyte a layer may grow to 200 times its size, or as --max-size says",
)
def test_gzip_bomb(target: Target) -> None:
    """It ends at the first gigabyte, and the disk has its room again."""
    victim = Victim(target)
    made = Layout(victim.new())
    layer = made.blob(hostile_images.bomb(), f"{OCI}.layer.v1.tar+gzip")
    add_layer(made, layer, archive(entry("x")))
    done = victim.unpack(made.directory, patience=120)
    victim.judge("bomb", done, "decompresses to more than 200 times its size")
    victim.judge("bomb", victim.unpack(made.directory, "--max-size", "1G"), "bytes that are allowed (--max-size)")


def add_layer(made: Layout, layer: dict[str, Any], plain: bytes) -> None:
    """An image whose config names the plain layer, and whose manifest has another blob."""
    manifest = blob_of(made, made.image([plain]))
    made.add(made.document({**manifest, "layers": [layer]}, MANIFEST_TYPE), "x")


def blob_of(made: Layout, descriptor: dict[str, Any]) -> Any:
    return json.loads((made.directory / "blobs" / descriptor["digest"].replace(":", "/")).read_text())


@attack(
    "own find",
    "an archive is damaged, or has something after its end that another reader would see",
    stops="after the end only zeros may follow, and each header, record and sum is verified",
)
def test_damage(target: Target) -> None:
    """Each is refused; what was unpacked before is gone."""
    Victim(target).try_layers(hostile_images.DAMAGE)


@attack(
    "own find",
    "a blob has its digest, and is another layer than the config names, or not whole",
    stops="the layer is hashed again after decompression, to the end of its data",
)
def test_blobs(target: Target) -> None:
    """The manifest's digest is right in each."""
    victim = Victim(target)
    plain = archive(entry("x"))
    for name, (make, words) in hostile_images.BLOBS.items():
        made = Layout(victim.new())
        add_layer(made, made.blob(make(plain), f"{OCI}.layer.v1.tar+gzip"), plain)
        victim.judge(name, victim.unpack(made.directory), words)


def changed(at: str, change: Callable[[bytes], bytes]) -> Callable[[Layout, dict[str, Any]], None]:
    """Another content of the blob that the manifest names."""

    def make(made: Layout, manifest: dict[str, Any]) -> None:
        rows = {"config": manifest["config"], "layer": manifest["layers"][0], "manifest": made.manifests[0]}
        path = made.directory / "blobs" / rows[at]["digest"].replace(":", "/")
        path.write_bytes(change(path.read_bytes()))

    return make


def described(at: str, **more: Any) -> Callable[[Layout, dict[str, Any]], None]:
    """Another descriptor, in a manifest with a right digest; of the config or of the layer."""

    def make(made: Layout, manifest: dict[str, Any]) -> None:
        rows = {
            "config": manifest["config"],
            "layer": manifest["layers"][0],
            "manifest": manifest,
            "index": made.manifests[0],
        }
        rows[at].update(more)
        if at != "index":
            made.manifests.clear()
            made.add(made.document(manifest, MANIFEST_TYPE))
        made.save()

    return make


def linked(made: Layout, manifest: dict[str, Any]) -> None:
    """A blob that is a link to a file of the host's."""
    path = made.directory / "blobs" / manifest["layers"][0]["digest"].replace(":", "/")
    path.unlink()
    path.symlink_to("/etc/passwd")


def piped(made: Layout, manifest: dict[str, Any]) -> None:
    path = made.directory / "blobs" / manifest["layers"][0]["digest"].replace(":", "/")
    path.unlink()
    os.mkfifo(path)


SIZE_OF = "the image says"
NO_DIGEST = "no digest that is known"
DOCUMENTS: dict[str, tuple[Callable[[Layout, dict[str, Any]], None], str]] = {
    "a layer that was changed": (changed("layer", lambda data: data[:-1] + b"x"), "does not have its digest"),
    "a config that was changed": (
        changed("config", lambda data: data.replace(b"linux", b"Linux")),
        "does not have its digest",
    ),
    "a manifest that was changed": (
        changed("manifest", lambda data: data.replace(b"2", b"1", 1)),
        "does not have its digest",
    ),
    "a layer that is longer": (changed("layer", lambda data: data + b"x"), SIZE_OF),
    "a layer that is cut": (changed("layer", lambda data: data[:-1]), SIZE_OF),
    "a size that is a lie": (described("layer", size=1 << 60), SIZE_OF),
    "a digest that is a path": (described("layer", digest="sha256:../../../../etc/passwd"), "no digest that is known"),
    "a digest of another algorithm": (described("layer", digest="md5:" + "0" * 32), "no digest that is known"),
    "a digest in capitals": (described("layer", digest="sha256:" + "A" * 64), "no digest that is known"),
    "a layer that is not there": (
        described("layer", digest=f"sha256:{'0' * 64}", urls=["http://x"]),
        "fetched from elsewhere",
    ),
    "a layer that is encrypted": (described("layer", mediaType=f"{OCI}.layer.v1.tar+gzip+encrypted"), "is encrypted"),
    "a layer of an unknown type": (described("layer", mediaType="text/html"), "of an unknown type"),
    "an artifact": (described("config", mediaType="application/vnd.cncf.helm.config.v1+json"), "but an artifact"),
    "a manifest that is an index, too": (described("manifest", manifests=[]), "is no image's"),
    "a manifest of another type": (described("manifest", mediaType=f"{OCI}.index.v1+json"), "what refers to it says"),
    "a manifest without a digest, by a name": (described("index", digest=None, name="index.json"), NO_DIGEST),
    "a config without a digest, by a name": (described("config", digest=None, name="index.json"), NO_DIGEST),
    "a layer without a digest, by a name": (described("layer", digest=None, name="index.json"), NO_DIGEST),
    "two layers, one of them in the config": (described("manifest", layers=[]), "has 0 layers"),
    "a layer that is a link to the host": (linked, "has no blobs/"),
    "a layer that is a FIFO": (piped, "is not a regular file"),
}


@attack(
    "CVE-2021-41190 and others",
    "an image's documents and blobs are not what they say: sizes, digests, types, links to the host",
    stops="each is read by its digest and size; a document must have the type that refers to it; links lead nowhere outside",
)
def test_documents(target: Target) -> None:
    """What a registry, or a disk, can have changed."""
    victim = Victim(target)
    for name, (change, words) in DOCUMENTS.items():
        made = Layout(victim.new())
        manifest = blob_of(made, made.add(made.image([archive(entry("x"))])))
        change(made, manifest)
        victim.judge(name, victim.unpack(made.directory), words)


@attack(
    "own find",
    "a docker-archive names its files by paths that go out, or links that do",
    stops="paths are names in the archive; in a directory they are resolved within it",
)
def test_archives(target: Target) -> None:
    """The layer's digest is that of a file of the host's, so it would be taken."""
    victim = Victim(target)
    secret = victim.place / "secret.tar"
    secret.write_bytes(archive(entry("secret")))
    for words, name in (("with .. in it", f"../{secret.name}"), ("has no", str(secret)), ("has no", "link")):
        made = docker_archive(victim.new(), [secret.read_bytes()])
        (made / "link").symlink_to(secret)
        document = json.loads((made / "manifest.json").read_text())
        document[0]["Layers"] = [name]
        (made / "manifest.json").write_text(json.dumps(document))
        victim.judge(name, victim.unpack(made), words)
        archived = packed(made, victim.place / f"{victim.count}.tar")
        victim.judge(name, victim.unpack(archived), words)


@attack(
    "own find",
    "an image's indexes name each other many times, eight deep: 30^8 documents are read",
    stops="an index that comes again is read once, and all of them may have 1,000 entries",
)
def test_nested_indexes(target: Target) -> None:
    """The same index thirty times in each, and forty that differ with forty manifests each."""
    victim = Victim(target)
    made = Layout(victim.new())
    top = made.image([archive(entry("x"))])
    for _ in range(8):
        top = made.document({"schemaVersion": 2, "manifests": [top] * 30}, INDEX_TYPE)
    made.add(top)
    victim.judge("the same", victim.unpack(made.directory), "")
    wide = Layout(victim.new())
    image = wide.image([archive(entry("x"))])
    rows = [wide.document({"manifests": [image] * 40, "number": number}, INDEX_TYPE) for number in range(40)]
    wide.add(wide.document({"schemaVersion": 2, "manifests": rows}, INDEX_TYPE))
    victim.judge("others", victim.unpack(wide.directory), "have more than 1000 entries")


@attack(
    "own find",
    "an image has a hundred thousand things to warn of: whoever unpacks it cannot see the others, and the log is full",
    stops="twenty warnings of the layers are shown, and twenty of the config",
)
def test_warnings(target: Target) -> None:
    """Attributes and labels whose names differ."""
    victim = Victim(target)
    made = Layout(victim.new())
    odd = [(b"SCHILY.xattr.odd%d.x" % number, b"v") for number in range(100)]
    made.add(made.image([archive(entry("x", pax=odd))], config={"Labels": {f"run.oci.{n}": "" for n in range(100)}}))
    done = victim.unpack(made.directory)
    assert done.code == 0, done
    target.judge(done.err.count("\n") > 50, done)
    assert "there are more warnings of the layers" in done.err
    assert "81 more warnings" in done.err


@attack(
    "own find",
    "an image's volume is a symbolic link to /proc/self/fd or /sys: what the host's kernel says is copied into the container",
    stops="volumes are resolved within the image, and tmpcopyup copies nothing of procfs, sysfs and cgroups",
)
def test_volumes_that_lead_to_the_kernel(target: Target) -> None:
    """Left out by unpack with a warning, by whatever links they lead there; a config.json that has one is refused."""
    victim = Victim(target)
    made = Layout(victim.new())
    links = [
        symlink("x", "/proc/self/fd"),
        symlink("y", "z/../../sys"),
        symlink("z", "/new/dir"),
        symlink("r", "new/.."),
    ]
    volumes = {key: {} for key in ("/x", "/y/kernel", "/r", "/z/data", "/dev/../proc")}
    made.add(made.image([archive(directory("new"), directory("new/dir"), *links)], config={"Volumes": volumes}))
    done = victim.unpack(made.directory)
    assert done.code == 0, done
    config = json.loads((victim.place / f"bundle{victim.count}/config.json").read_text())
    kept = [row["destination"] for row in config["mounts"] if "tmpcopyup" in row.get("options", ())]
    victim.target.judge(kept != ["/z/data"], (kept, done))
    assert done.err.count("no volume can be there") == 4


@attack(
    "own find",
    "a config has tmpcopyup where a symbolic link of the root leads to /proc or /sys",
    stops="the copy ends at what is of procfs, sysfs or cgroups, before the container starts",
)
def test_tmpcopyup_through_a_link(target: Target) -> None:
    """The copy would be made with the runtime's rights, of procfs before it is masked."""
    for place in ("/proc/self", "/sys/kernel"):
        bundle = with_mounts(target.caller, "ls /x", mount("/x", "tmpfs", "tmpfs", "tmpcopyup"))
        (bundle.rootfs / "x").symlink_to(place)
        done = target.caller.run(bundle)
        target.judge(done.code == 0, (place, done))
        assert "tmpcopyup copies nothing of procfs" in done.err


@pytest.mark.no_runtime
def test_the_corpus_is_large_enough() -> None:
    """Thirty archives at least, each another one."""
    rows = {
        **hostile_images.LINKS,
        **hostile_images.NAMES,
        **hostile_images.FILES,
        **hostile_images.BOMBS,
        **hostile_images.DAMAGE,
    }
    made = {hashlib.sha256(make(Path("/outside"))).hexdigest() for make, _ in rows.values()}
    assert len(made) == len(rows) >= 60
    assert len({b"".join(make(Path("/outside"))) for make, _ in hostile_images.STACKS.values()}) >= 20
    assert digest(b"") not in made
