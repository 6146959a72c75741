"""`bundle unpack` and `bundle prune`: what an image becomes."""

from __future__ import annotations

import ctypes
import json
import lzma
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import images
from tests.integration.bundle import build_busybox_rootfs
from tests.integration.caller import Caller, Result, wait_for
from tests.integration.images import Layout, archive, directory, entry, hardlink, layout, symlink
from tests.integration.terminal import Session

pytestmark = pytest.mark.not_on("runc", "crun", reason="has no images")
MNT_DETACH = 2


class Unpacker:
    """Calls `bundle` with a store of the test's own."""

    def __init__(self, runtime: Caller) -> None:
        self.runtime = runtime
        self.place = runtime.directory / "images"
        self.place.mkdir()
        self.store = self.place / "store"

    def path(self, name: str) -> Path:
        return self.place / name

    def call(self, *words: str | Path) -> Result:
        return self.runtime.call("bundle", *words, "--store", self.store)

    def unpack(self, reference: str | Path, name: str = "bundle", *flags: str) -> Path:
        bundle = self.path(name)
        self.call("unpack", *flags, reference, bundle).ok()
        return bundle

    def refused(self, reference: str | Path, words: str, *flags: str) -> Result:
        """A call that must fail with the words, and leave nothing."""
        done = self.call("unpack", *flags, reference, self.path("refused"))
        assert done.code == 1
        assert words in done.err
        assert done.err.count("\n") == 1
        assert not self.path("refused").exists()
        assert not list(self.place.glob(".*"))
        assert not self.store.exists() or os.listdir(self.store / "tmp") == []
        return done

    def copied(self, *layers: bytes, **more: Any) -> Path:
        """The root file system of an image with these layers, as a copy."""
        number = len(list(self.place.iterdir()))
        source = layout(self.path(f"layout{number}"), *layers, **more)
        return self.unpack(source, f"copy{number}", "--copy") / "rootfs"

    def layers(self) -> list[str]:
        return sorted(path.name for path in (self.store / "layers/sha256").iterdir() if path.is_dir())


@pytest.fixture
def unpacker(runtime: Caller) -> Unpacker:
    return Unpacker(runtime)


@pytest.fixture(scope="session")
def base(workplace: Path) -> bytes:
    """A layer with busybox."""
    root = Path(tempfile.mkdtemp(dir=workplace))
    root.chmod(0o755)
    build_busybox_rootfs(root)
    return images.tree_archive(root)


SCRIPT = {"Cmd": ["sh", "-c", "cat /etc/motd; ls /home; stat -c '%a %u:%g' /tmp"]}


def test_an_image_runs(unpacker: Unpacker, base: bytes) -> None:
    """Layers lie on one another: a file of the upper one, a whiteout, and what both have."""
    change = archive(directory("etc"), entry("etc/motd", b"hello\n"), directory("home"), entry("home/.wh.ada"))
    source = layout(unpacker.path("layout"), base, change, config=SCRIPT)
    for flags in ((), ("--copy",)):
        bundle = unpacker.unpack(source, f"bundle{len(flags)}", *flags)
        done = unpacker.runtime.call("run", "--bundle", bundle, unpacker.runtime.new_id()).ok()
        assert done.out == "hello\n1777 0:0\n"
        assert unpacker.runtime.call("validate", bundle).ok().err == ""


def test_the_bundle(unpacker: Unpacker, base: bytes) -> None:
    """What is in it: the shapes that diff and commit read."""
    bundle = unpacker.unpack(layout(unpacker.path("layout"), base))
    assert sorted(os.listdir(bundle)) == ["config.json", "image.json", "rootfs", "upper", "work"]
    facts = json.loads((bundle / "image.json").read_text())
    assert facts["version"] == 1
    assert facts["store"] == str(unpacker.store)
    assert facts["layers"] == [images.digest(base)]
    assert facts["copy"] is False
    assert facts["image"]["rootfs"]["diff_ids"] == facts["layers"]
    root = json.loads((bundle / "config.json").read_text())["mounts"][0]
    assert (root["destination"], root["type"]) == ("/", "overlay")
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o700
    assert os.listdir(bundle / "upper") == []


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_compression(unpacker: Unpacker, how: str) -> None:
    """gzip, zstd and plain archives are the same layer."""
    root = unpacker.copied(archive(entry("a", b"x" * 100_000)), how=how)
    assert (root / "a").read_bytes() == b"x" * 100_000


def test_several_gzip_members(unpacker: Unpacker) -> None:
    """eStargz compresses each file for itself."""
    whole = archive(entry("a", b"1"), entry("b", b"2"))
    made = Layout(unpacker.path("layout"))
    descriptor = made.image([whole])
    manifest = json.loads((made.directory / "blobs" / descriptor["digest"].replace(":", "/")).read_text())
    pieces = b"".join(images.compressed(whole[at : at + 700], "gzip") for at in range(0, len(whole), 700))
    manifest["layers"] = [made.blob(pieces, manifest["layers"][0]["mediaType"])]
    made.add(made.document(manifest, images.MANIFEST_TYPE))
    assert (unpacker.unpack(made.directory, "bundle", "--copy") / "rootfs/b").read_text() == "2"


SPARSE = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9000")]


def test_what_headers_say(unpacker: Unpacker) -> None:
    """Modes, owners beyond 31 bits, times to the nanosecond, long names, attributes, links, a FIFO, a sparse file, a device."""
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    long = b"long/" + b"n" * 200
    root = unpacker.copied(
        archive(
            directory("d", mode=0o2750, uid=5, gid=6, mtime=1000),
            entry("d/suid", b"x", mode=0o6755, uid=7, gid=8),
            entry("far", uid=3_000_000_000, gid=2_147_483_649),
            entry("named", pax=[(b"mtime", b"1234567890.123456789"), (b"uid", b"4000000000"), (b"path", b"renamed")]),
            entry("././@LongLink", long + b"\0", "L") + entry("short", b"long"),
            entry("x", pax=[(b"SCHILY.xattr.user.word", b"v"), (b"SCHILY.xattr.security.capability", capability)]),
            symlink("link", "d/suid", uid=9),
            hardlink("hard", "d/suid"),
            entry("fifo", kind="6", mode=0o600),
            entry("null", kind="3", mode=0o666, major=1, minor=3),
            entry("sparse", b"1\n4096\n4\n".ljust(512, b"\0") + b"data", pax=[*SPARSE, (b"GNU.sparse.name", b"holes")]),
            hardlink("before", "after"),
            entry("after", b"later"),
        )
    )
    status = {name: os.lstat(root / name) for name in os.listdir(root)}
    assert oct(status["d"].st_mode)[-4:] == "2750"
    assert (status["d"].st_uid, status["d"].st_gid, status["d"].st_mtime) == (5, 6, 1000)
    suid = os.lstat(root / "d/suid")
    assert (stat.S_IMODE(suid.st_mode), suid.st_uid, suid.st_gid) == (0o6755, 7, 8)
    assert (status["far"].st_uid, status["far"].st_gid) == (3_000_000_000, 2_147_483_649)
    assert (status["renamed"].st_mtime_ns, status["renamed"].st_uid) == (1234567890123456789, 4_000_000_000)
    assert (root / long.decode()).read_text() == "long"
    assert os.getxattr(root / "x", "user.word") == b"v"
    assert os.getxattr(root / "x", "security.capability") == capability
    assert (os.readlink(root / "link"), status["link"].st_uid) == ("d/suid", 9)
    assert status["hard"].st_ino == suid.st_ino
    assert stat.S_ISFIFO(status["fifo"].st_mode)
    assert status["null"].st_rdev == os.makedev(1, 3)
    assert (root / "holes").read_bytes() == bytes(4096) + b"data" + bytes(9000 - 4100)
    assert status["before"].st_ino == status["after"].st_ino


def test_old_sparse_files(unpacker: Unpacker) -> None:
    """What GNU tar --sparse writes, in each of its formats."""
    source = unpacker.path("tree")
    source.mkdir()
    with open(source / "holes", "wb") as file:
        for number in range(40):
            file.seek(number * 65536)
            file.write(b"%d" % number)
        file.truncate(1 << 23)
    for version in ("gnu", "0.0", "0.1", "1.0"):
        kind = ["--format=gnu"] if version == "gnu" else ["--format=posix", f"--sparse-version={version}"]
        made = subprocess.run(["tar", "-C", source, "-S", *kind, "-c", "."], capture_output=True, check=True).stdout
        found = unpacker.copied(made) / "holes"
        assert found.read_bytes() == (source / "holes").read_bytes()
        assert found.stat().st_blocks * 512 < 1 << 20


def test_whiteouts(unpacker: Unpacker) -> None:
    """Opaque directories, whiteouts of files of the same layer, of what is not there, and of a directory that comes again."""
    lower = archive(
        *(directory(name) for name in ("a", "b", "c", "e")),
        *(entry(f"{name}/old") for name in ("a", "b", "c", "e")),
        entry("f"),
    )
    upper = archive(
        entry("a/.wh..wh..opq"),
        entry("a/new"),
        entry(".wh.b"),
        directory("b"),
        entry("b/new"),
        directory("c"),
        entry("c/new"),
        entry(".wh.c"),
        entry(".wh.nothing"),
        entry(".wh.f"),
        entry("f", b"again"),
        entry(".wh.e"),
        entry("e/implied/new"),
        entry(".wh..wh.plnk"),
    )
    source = layout(unpacker.path("layout"), lower, upper)
    wanted = {"a": ["new"], "b": ["new"], "c": ["new"], "e": ["implied"]}
    copy = unpacker.unpack(source, "copy", "--copy") / "rootfs"
    assert {name: os.listdir(copy / name) for name in wanted} == wanted
    assert sorted(os.listdir(copy)) == ["a", "b", "c", "e", "f"]
    with mounted(unpacker.unpack(source)) as merged:
        assert {name: os.listdir(merged / name) for name in wanted} == wanted
        assert sorted(os.listdir(merged)) == ["a", "b", "c", "e", "f"]
        assert (merged / "f").read_text() == "again"


class mounted:  # noqa: N801
    """The overlay that a bundle's config.json has, mounted on its rootfs."""

    def __init__(self, bundle: Path) -> None:
        self.root = bundle / "rootfs"
        self.mount = json.loads((bundle / "config.json").read_text())["mounts"][0]

    def __enter__(self) -> Path:
        # fsconfig(2), which mount(8) prefers, takes 255 bytes of a value: too few for many layers.
        environment = {**os.environ, "LIBMOUNT_FORCE_MOUNT2": "always"}
        words = ["mount", "-t", "overlay", "overlay", "-o", ",".join(self.mount["options"]), self.root]
        subprocess.run(words, check=True, env=environment)
        return self.root

    def __exit__(self, *_: object) -> None:
        ctypes.CDLL(None).umount2(os.fsencode(self.root), MNT_DETACH)


def test_an_opaque_root(unpacker: Unpacker) -> None:
    """All lower layers are hidden, which overlayfs alone would not do."""
    source = layout(unpacker.path("layout"), archive(entry("old")), archive(entry(".wh..wh..opq"), entry("new")))
    assert os.listdir(unpacker.unpack(source, "copy", "--copy") / "rootfs") == ["new"]
    with mounted(unpacker.unpack(source)) as merged:
        assert os.listdir(merged) == ["new"]


def test_implied_directories(unpacker: Unpacker) -> None:
    """A layer with tmp/x and without tmp/ does not change the mode that the layer below has given to tmp."""
    lower = archive(directory(".", mode=0o711), directory("tmp", mode=0o1777, uid=3), directory("tmp/in", mode=0o700))
    source = layout(unpacker.path("layout"), lower, archive(entry("tmp/in/x"), entry("fresh/y")))
    copy = unpacker.unpack(source, "copy", "--copy") / "rootfs"
    with mounted(unpacker.unpack(source)) as merged:
        for root in (copy, merged):
            modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in (".", "tmp", "tmp/in", "fresh")}
            assert modes == {".": 0o711, "tmp": 0o1777, "tmp/in": 0o700, "fresh": 0o755}
            assert (root / "tmp").stat().st_uid == 3


def test_many_layers(unpacker: Unpacker) -> None:
    """A hundred layers, each with directories that it has no entry for, in a process that may open few files; beyond that a clear word."""
    lower = archive(*(directory(f"d{number}", mode=0o711) for number in range(30)))
    layers = [archive(*(entry(f"d{number}/e/f/{layer}") for number in range(30))) for layer in range(99)]
    source = layout(unpacker.path("layout"), lower, *layers, how="none")
    few = ["prlimit", "--nofile=256:256", unpacker.runtime.program, "bundle", "unpack", "--store"]
    if len(str(unpacker.store)) > 24:
        unpacker.refused(source, "the overlay of 100 layers needs")
        unpacker.store = Path(f"/run/{unpacker.runtime.token}")
    try:
        done = subprocess.run(
            [*few, unpacker.store, source, unpacker.path("one")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        with mounted(unpacker.path("one")) as merged:
            assert {stat.S_IMODE((merged / f"d{number}").stat().st_mode) for number in range(30)} == {0o711}
            assert len(os.listdir(merged / "d29/e/f")) == 99
    finally:
        subprocess.run(["rm", "-rf", unpacker.store], check=True)


def test_links_within_a_layer(unpacker: Unpacker) -> None:
    """A path through a link stays in the layer, however the link is written, and what comes later replaces what was there."""
    outside = unpacker.path("outside")
    outside.mkdir()
    root = unpacker.copied(
        archive(
            symlink("up", "../../../../../.." + str(outside)),
            symlink("absolute", str(outside)),
            directory(str(outside).lstrip("/")),
            entry("up/one"),
            entry("absolute/two"),
            symlink("dir", "real"),
            directory("dir"),
            directory("over"),
            entry("over/x"),
            entry("over", b"file"),
        )
    )
    assert os.listdir(outside) == []
    assert sorted(os.listdir(f"{root}{outside}")) == ["one", "two"]
    assert not (root / "dir").is_symlink()
    assert (root / "over").read_text() == "file"


def test_layers_are_shared(unpacker: Unpacker, base: bytes) -> None:
    """A second bundle takes no room but its own documents, and prune keeps what a bundle still names."""
    other = archive(entry("only/here"))
    first = layout(unpacker.path("layout"), base)
    second = layout(unpacker.path("layout2"), base, other)
    unpacker.unpack(first, "one")
    used = disk_use(unpacker.store)
    unpacker.unpack(first, "two")
    unpacker.unpack(second, "three")
    assert disk_use(unpacker.store) - used < 100_000
    assert disk_use(unpacker.path("two")) < 100_000
    assert used > 1_000_000
    assert unpacker.call("prune").ok().out == ""
    remove(unpacker.path("three"))
    assert unpacker.call("prune").ok().out == f"{images.digest(other)}\n"
    remove(unpacker.path("one"))
    assert unpacker.call("prune").ok().out == ""
    remove(unpacker.path("two"))
    assert unpacker.call("prune").ok().out == f"{images.digest(base)}\n"


def test_prune_passes_over_what_is_not_the_stores(unpacker: Unpacker, base: bytes) -> None:
    """Strange names stay with a warning, or go; layers are removed all the same, also after a call that was killed."""
    shutil.rmtree(unpacker.unpack(layout(unpacker.path("layout"), base)))
    store, digits = unpacker.store, images.digest(base).partition(":")[2]
    (store / "layers/sha256/notes").mkdir()
    (store / "layers/other").mkdir()
    (store / "layers/sha256/old.json").mkdir()
    (store / "l/directory").mkdir()
    (store / f"tmp/{digits}/x").mkdir(parents=True)
    (store / "bundles/directory/x").mkdir(parents=True)
    os.mkfifo(store / "bundles/fifo")
    for number, path in enumerate(("/a\0b", "\ud800", "b", "/", "/..", 5)):
        (store / f"bundles/{number}").write_text(json.dumps({"path": path, "layers": []}))
    done = unpacker.call("prune").ok()
    assert done.out == f"{images.digest(base)}\n"
    assert "layers/sha256/notes is left: it is no layer" in done.err
    assert "Error" not in done.err
    assert unpacker.layers() == ["notes"]
    assert [os.listdir(store / name) for name in ("tmp", "bundles")] == [[], []]
    assert [str(path) for path in unpacker.store.rglob("*") if path.is_file()] == [
        f"{unpacker.store}/lock",
        f"{unpacker.store}/store.json",
    ]


def disk_use(path: Path) -> int:
    return sum(512 * os.lstat(each).st_blocks for each in (path, *path.rglob("*")))


def remove(bundle: Path) -> None:
    subprocess.run(["rm", "-rf", bundle], check=True)


def test_sources(unpacker: Unpacker) -> None:
    """A layout and a docker-archive, as directories and as archives, compressed too; docker save's links between layers."""
    layers = [archive(entry("a", b"1")), archive(entry("b", b"2"))]
    oci = layout(unpacker.path("layout"), *layers)
    docker = images.docker_archive(unpacker.path("docker"), layers)
    packed = [images.packed(path, unpacker.path(f"{path.name}.tar")) for path in (oci, docker)]
    subprocess.run(["gzip", "-k", packed[1]], check=True)
    for number, reference in enumerate(
        [oci, f"oci:{oci}:latest", docker, *packed, f"docker-archive:{packed[1]}:busybox:1", f"{packed[1]}.gz"]
    ):
        root = unpacker.unpack(reference, f"bundle{number}", "--copy") / "rootfs"
        assert (root / "a").read_text() + (root / "b").read_text() == "12"


def test_a_layer_twice(unpacker: Unpacker) -> None:
    """Equal layers are one in the overlay; docker save wrote the second as a link."""
    one, other = archive(entry("a", b"1")), archive(entry("a", b"2"))
    docker = images.docker_archive(unpacker.path("docker"), [one, other, one])
    (docker / "layer2/layer.tar").unlink()
    (docker / "layer2/layer.tar").symlink_to("../layer0/layer.tar")
    for reference in (docker, images.packed(docker, unpacker.path("docker.tar"))):
        with mounted(unpacker.unpack(reference, f"b{reference.name}")) as merged:
            assert (merged / "a").read_text() == "1"


def test_which_image(unpacker: Unpacker) -> None:
    """Tags, platforms and nested indexes; a question where it is not clear."""
    made = Layout(unpacker.path("layout"))
    words = {"amd64": b"1", "arm64": b"2", "s390x": b"3"}
    rows = [
        {
            **made.image([archive(entry("a", data))], platform=("linux", name)),
            "platform": {"os": "linux", "architecture": name},
        }
        for name, data in words.items()
    ]
    inner = made.document({"schemaVersion": 2, "manifests": rows[1:]}, images.INDEX_TYPE)
    made.add(made.document({"schemaVersion": 2, "manifests": [rows[0], inner]}, images.INDEX_TYPE), "many")
    own = made.image([archive(entry("a", b"4"))])
    made.add(own, "one")
    many = f"{made.directory}:many"
    for number, (reference, flags, data) in enumerate(
        [(many, (), "1"), (many, ("--platform", "linux/arm64"), "2"), (many, ("--platform", "linux/s390x"), "3")]
        + [(f"{made.directory}:one", (), "4"), (f"{made.directory}@{own['digest']}", (), "4")]
    ):
        assert (unpacker.unpack(reference, f"b{number}", "--copy", *flags) / "rootfs/a").read_text() == data
    unpacker.refused(made.directory, f"several images: which one? {made.directory}:many, {made.directory}:one")
    unpacker.refused(f"{made.directory}:other", "has no image other; it has many, one")
    unpacker.refused(
        many,
        "has no image for linux/riscv64: it has linux/amd64, linux/arm64, linux/s390x",
        "--platform",
        "linux/riscv64",
    )
    unpacker.refused(many, "must be OS/ARCHITECTURE", "--platform", "arm64")
    unpacker.refused(unpacker.path("nothing"), "there is no such directory or archive")
    unpacker.refused(unpacker.place, "is no image")


def test_a_bundle_is_not_overwritten(unpacker: Unpacker) -> None:
    """An empty directory becomes the bundle; one with something in it stays as it is."""
    source = layout(unpacker.path("layout"), archive(entry("a")))
    unpacker.path("empty").mkdir()
    unpacker.unpack(source, "empty")
    done = unpacker.call("unpack", source, unpacker.path("empty")).failed(1)
    assert "is not empty" in done.err
    for path, words in (("no/such", "no such file or directory"), ("a:b", "choose another, or --copy")):
        assert words in unpacker.call("unpack", source, unpacker.path(path)).failed(1).err


def test_limits(unpacker: Unpacker) -> None:
    """--max-size, and the ratio that a bomb exceeds."""
    source = layout(unpacker.path("layout"), archive(entry("a", bytes(1 << 20))))
    unpacker.refused(source, "more than the 65536 bytes that are allowed (--max-size)", "--max-size", "64k")
    assert (
        unpacker.call("unpack", "--max-size", "5 GB", source, unpacker.path("x"))
        .failed(1)
        .err.startswith("ocirun: error: --max-size")
    )
    unpacker.unpack(source, "bundle", "--max-size", "2M")


def test_names_of_docker(unpacker: Unpacker) -> None:
    """docker save names images twice; of two that have one tag the whole name says which."""
    made = Layout(unpacker.path("layout"))
    for name in ("one", "two"):
        notes = {
            "org.opencontainers.image.ref.name": "latest",
            "io.containerd.image.name": f"docker.io/library/{name}:latest",
        }
        made.add({**made.image([archive(entry("a", name.encode()))]), "annotations": notes})
    words = f"which one? {made.directory}:docker.io/library/one:latest, {made.directory}:docker.io/library/two:latest"
    unpacker.refused(made.directory, words)
    unpacker.refused(f"{made.directory}:latest", words)
    root = unpacker.unpack(f"{made.directory}:docker.io/library/two:latest", "bundle", "--copy") / "rootfs"
    assert (root / "a").read_text() == "two"


def test_the_user_of_the_image(unpacker: Unpacker) -> None:
    """Names are looked up in what the layers show together; links lead on within them."""
    lower = archive(entry("etc/passwd", b"old:x:1:1::/:\n"), entry("etc/group", b"g:x:70:new\n"))
    upper = archive(
        entry("etc/.wh.passwd"), symlink("etc/passwd", "/../var/accounts"), entry("var/accounts", b"new:x:5:6::/:\n")
    )
    source = layout(unpacker.path("layout"), lower, upper, config={"User": "new", "Cmd": ["x"]})
    for flags in ((), ("--copy",)):
        config = json.loads((unpacker.unpack(source, f"b{len(flags)}", *flags) / "config.json").read_text())
        assert config["process"]["user"] == {"uid": 5, "gid": 6, "additionalGids": [70]}
    source = layout(unpacker.path("other"), lower, upper, config={"User": "old", "Cmd": ["x"]})
    done = unpacker.call("unpack", source, unpacker.path("refused")).failed(1)
    assert "/config/User: the image's /etc/passwd has no user old" in done.err
    assert len(os.listdir(unpacker.store / "bundles")) == 2


def test_a_peer_runs_the_copy(unpacker: Unpacker, base: bytes) -> None:
    """A copy is a bundle as the spec has it: runc takes it."""
    program = shutil.which("runc")
    if program is None:
        pytest.skip("runc is not installed")
    bundle = unpacker.unpack(layout(unpacker.path("layout"), base, config=SCRIPT), "bundle", "--copy")
    peer = Caller(program, unpacker.path("peer"), unpacker.runtime.token, unpacker.runtime.template)
    peer.directory.mkdir()
    done = peer.call("run", "--bundle", bundle, peer.new_id())
    assert done.out == "ada\n1777 0:0\n", done.err


def test_a_full_disk(unpacker: Unpacker) -> None:
    """What has no room is refused before it is written, and the store stays usable."""
    unpacker.store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", unpacker.store], check=True)
    try:
        large = layout(unpacker.path("large"), archive(entry("a", bytes(2 << 20))))
        unpacker.refused(large, "bytes that are free where the layers are stored")
        unpacker.refused(large, "bytes that are free where the layers are stored", "--max-size", "1G")
        small = layout(unpacker.path("small"), archive(*(entry(f"f{number}", b"x" * 3000) for number in range(100))))
        assert unpacker.call("unpack", small, unpacker.path("one")).code == 0
        more = layout(unpacker.path("more"), archive(*(entry(f"f{number}", b"x") for number in range(250))))
        unpacker.refused(more, "no space left on device")
    finally:
        subprocess.run(["umount", "-l", unpacker.store], check=True)


def test_progress_on_a_terminal(unpacker: Unpacker, base: bytes) -> None:
    """A bar for each step, which nothing is left of; a warning has a line of its own."""
    source = layout(unpacker.path("layout"), base, archive(entry("f")), config={"Labels": {"run.oci.handler": "x"}})
    words = [unpacker.runtime.program, "bundle", "unpack", "--copy", "--store", str(unpacker.store), str(source)]
    session = Session([*words, str(unpacker.path("bundle"))], 24, 80, environment={"TERM": "xterm", "PATH": "/bin"})
    code, said = session.finish()
    assert code == 0
    *shown, last = said.split("\x1b[K")
    assert [text.split("  ")[0] for text in shown if "[>" in text] == [
        "layer 1 of 2",
        "layer 2 of 2",
        "copying the files",
    ]
    assert [text for text in shown if "\n" in text] == [text for text in shown if text.startswith("ocirun: warning: ")]
    assert last == ""


def test_an_interrupt(unpacker: Unpacker) -> None:
    """Control-C in the middle of a layer leaves nothing."""
    source = layout(unpacker.path("layout"), archive(*(entry(f"d{number}/f", b"x") for number in range(5000))))
    words = [unpacker.runtime.program, "bundle", "unpack", "--store", str(unpacker.store), str(source)]
    call = subprocess.Popen([*words, unpacker.path("refused")], stderr=subprocess.PIPE)
    wait_for(lambda: list(unpacker.store.glob("tmp/*/d20")), "part of the layer")
    call.send_signal(signal.SIGINT)
    _, said = call.communicate(timeout=30)
    assert (call.returncode, said) == (130, b"ocirun: error: interrupted\n")
    assert os.listdir(unpacker.store / "tmp") == []
    assert unpacker.layers() == []


def test_root_without_rights(unpacker: Unpacker) -> None:
    """Root of a container that may neither mount nor make devices unpacks a copy, with overlayfs' user attributes in the store."""
    layers = [
        archive(directory("d"), entry("d/old")),
        archive(entry("d/.wh..wh..opq"), entry("null", kind="3", major=1, minor=3)),
    ]
    source = layout(unpacker.path("layout"), *layers)
    limits = ["setpriv", "--bounding-set=-sys_admin,-mknod", "--inh-caps=-all"]
    words = [
        *limits,
        unpacker.runtime.program,
        "bundle",
        "unpack",
        "--copy",
        "--store",
        str(unpacker.store),
        str(source),
    ]
    done = subprocess.run([*words, unpacker.path("one")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "devices are left out" in done.stderr
    assert os.listdir(unpacker.path("one") / "rootfs/d") == []
    unpacker.refused(source, "was made in a user namespace")


def test_a_compressed_archive_has_limits(unpacker: Unpacker) -> None:
    """What it becomes counts, too; another compression is named."""
    packed = images.packed(
        layout(unpacker.path("layout"), archive(entry("a", bytes(1 << 20))), how="none"), unpacker.path("i.tar")
    )
    subprocess.run(["gzip", "-k", packed], check=True)
    unpacker.refused(f"{packed}.gz", "i.tar.gz: the image's files have more than the 65536 bytes", "--max-size", "64k")
    Path(f"{packed}.xz").write_bytes(lzma.compress(packed.read_bytes(), preset=0))
    unpacker.refused(f"{packed}.xz", "i.tar.xz: it is compressed with xz")


def test_two_at_once(unpacker: Unpacker, base: bytes) -> None:
    """Calls that want the same layer wait for the one that unpacks it; all have it then."""
    source = layout(unpacker.path("layout"), base)
    words = [unpacker.runtime.program, "bundle", "unpack", "--store", str(unpacker.store), str(source)]
    calls = [subprocess.Popen([*words, unpacker.path(f"b{number}")]) for number in range(4)]
    assert [call.wait(60) for call in calls] == [0] * 4
    assert unpacker.layers() == [images.digest(base)[7:]]


@pytest.fixture(autouse=True)
def no_mounts(unpacker: Unpacker) -> Iterator[None]:
    """No call leaves a mount."""
    yield
    assert str(unpacker.place) not in Path("/proc/self/mountinfo").read_text()
