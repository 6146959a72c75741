"""`bundle diff` and `bundle commit`: what a container has changed, and the image that it becomes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration import images, snapshot
from tests.integration.bundle import build_busybox_rootfs
from tests.integration.caller import Caller
from tests.integration.images import archive, directory, docker_archive, entry, hardlink, layout, symlink
from tests.integration.ordinary import SUBIDS, UID, User
from tests.integration.test_unpack import Unpacker

pytestmark = pytest.mark.not_on("runc", "crun", reason="has no images")
FORMS = ("", "--copy")


@pytest.fixture
def unpacker(runtime: Caller) -> Unpacker:
    return Unpacker(runtime)


@pytest.fixture(scope="session")
def base(workplace: Path) -> bytes:
    root = workplace / "commit-layer"
    root.mkdir()
    build_busybox_rootfs(root)
    return images.tree_archive(root)


SECOND = archive(
    directory("opt", mtime=5),
    entry("opt/kept", b"kept", mtime=5),
    entry("opt/linked", b"linked"),
    hardlink("opt/other", "opt/linked"),
    directory("opt/gone"),
    entry("opt/gone/a"),
    directory("opt/replaced"),
    entry("opt/replaced/old"),
    symlink("opt/link", "kept"),
    entry("opt/file", b"file"),
    directory("opt/directory"),
    entry("opt/directory/x"),
)
CHANGES = """
cd /opt
echo new > new; mkdir -p deep/er; echo 1 > deep/er/file; ln new hard; mkfifo fifo; ln -s nowhere dangling
rm -r gone; rm -r replaced; mkdir replaced; echo 2 > replaced/new; echo 3 > replaced/old
rm file; mkdir file; echo 4 > file/in; rm -r directory; echo 5 > directory
chmod 600 kept; chown 1000:50 link -h; ln linked third; touch -d @1000 /etc/passwd
rm /home/ada -r; cat /etc/group > /dev/null; : >> /etc/group
"""
EXPECTED = """A /opt/dangling
A /opt/deep
A /opt/deep/er
A /opt/deep/er/file
A /opt/fifo
A /opt/file/in
A /opt/hard
A /opt/new
A /opt/replaced/new
A /opt/third
C /etc
C /etc/passwd
C /home
C /opt
C /opt/directory
C /opt/file
C /opt/kept
C /opt/link
C /opt/linked
C /opt/replaced
C /opt/replaced/old
D /home/ada
D /opt/gone""".splitlines()


def run_in(unpacker: Unpacker, bundle: Path, script: str) -> None:
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["args"] = ["sh", "-e", "-c", script]
    config["process"]["user"] = {"uid": 0, "gid": 0}
    (bundle / "config.json").write_text(json.dumps(config))
    unpacker.runtime.call("run", "--bundle", bundle, unpacker.runtime.new_id()).ok()


def lines(unpacker: Unpacker, bundle: Path) -> list[str]:
    return unpacker.runtime.call("bundle", "diff", bundle).ok().out.splitlines()


def changed(unpacker: Unpacker, base: bytes, script: str = CHANGES, *flags: str, tag: str = "latest") -> Path:
    """A bundle of a two-layer image in which a container has run a script."""
    number = len(list(unpacker.place.iterdir()))
    source = layout(unpacker.path(f"layout{number}"), base, SECOND, tag=tag)
    bundle = unpacker.unpack(source, f"changed{number}", *filter(None, flags))
    run_in(unpacker, bundle, script)
    return bundle


def layout_of(bundle: Path) -> Path:
    return Path(json.loads((bundle / "image.json").read_text())["source"])


def commit(unpacker: Unpacker, bundle: Path, target: str, *flags: str) -> str:
    return unpacker.runtime.call("bundle", "commit", *flags, bundle, target).ok().out.strip()


def document(place: Path, name: str) -> dict[str, Any]:
    text: dict[str, Any] = json.loads((place / "blobs" / name.replace(":", "/")).read_text())
    return text


def image_config(place: Path, manifest: str) -> dict[str, Any]:
    return document(place, document(place, manifest)["config"]["digest"])


def facts(path: Path, times: bool = True) -> tuple[Any, ...]:
    """What an image can say of a file, but for its links."""
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    content: Any = os.readlink(path) if kind == stat.S_IFLNK else ""
    if kind == stat.S_IFREG:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    names = os.listxattr(path, follow_symlinks=False)
    kept = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in names
        if name.startswith(("user.", "security.c"))
    }
    return status.st_mode, status.st_uid, status.st_gid, content, kept, status.st_mtime_ns if times else 0


def tree(root: Path) -> dict[str, Any]:
    """Every file below a directory; with the names that are links of one another."""
    found: dict[str, Any] = {}
    groups: dict[tuple[int, int], set[str]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        found[name] = facts(path)
        if path.lstat().st_nlink > 1 and not path.is_dir():
            groups.setdefault((path.lstat().st_dev, path.lstat().st_ino), set()).add(name)
    found["links"] = sorted(sorted(group) for group in groups.values() if len(group) > 1)
    return found


@contextmanager
def merged(bundle: Path) -> Iterator[Path]:
    """The root of an overlay bundle, mounted on the host for a moment."""
    row = json.loads((bundle / "config.json").read_text())["mounts"][0]
    place = bundle / "rootfs"
    subprocess.run(["mount", "-t", "overlay", "-o", ",".join(row["options"]), "overlay", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("form", FORMS)
def test_diff(unpacker: Unpacker, base: bytes, form: str) -> None:
    """Each way to change a file is a line, in an overlay and in a copy alike; what was only opened is none."""
    bundle = changed(unpacker, base, CHANGES, form)
    found = lines(unpacker, bundle)
    assert found == sorted(found, key=lambda line: line[2:])
    # In an overlay the other name of a file stays as it was; the new link is not its.
    assert sorted(found) == sorted([*EXPECTED, *(["C /opt/other"] if form else [])])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("image", ["plain", "empty"])
def test_nothing_is_no_difference(unpacker: Unpacker, base: bytes, form: str, image: str) -> None:
    """A new bundle, and one whose container changed nothing: the runtime's mount points do not count."""
    layer = base if image == "plain" else archive(entry("busybox", Path("/usr/bin/busybox").read_bytes(), mode=0o755))
    source = layout(unpacker.path("layout"), layer, config={"Cmd": ["/busybox"], "Volumes": {"/var/lib/x": {}}})
    bundle = unpacker.unpack(source, "bundle", *filter(None, [form]))
    assert lines(unpacker, bundle) == []
    run_in(unpacker, bundle, "true") if image == "plain" else unpacker.runtime.call(
        "run", "--bundle", bundle, unpacker.runtime.new_id()
    ).ok()
    assert lines(unpacker, bundle) == []


def test_volumes(unpacker: Unpacker, base: bytes) -> None:
    """A volume begins as the image has it, its owner can write to it, and what is written there is in no image."""
    layer = archive(directory("data", mode=0o750, uid=1000, gid=50), entry("data/f", b"1", uid=1000, gid=50))
    script = "stat -c '%a %u:%g' /data /data/f; echo 2 > /data/f; touch /data/new"
    config = {"Cmd": ["sh", "-ec", script], "User": "1000:50", "Volumes": {"/data": {}, "/empty/one": {}}}
    source = layout(unpacker.path("layout"), base, layer, config=config)
    for form in FORMS:
        bundle = unpacker.unpack(source, f"bundle{form}", *filter(None, [form]))
        done = unpacker.runtime.call("run", "--bundle", bundle, unpacker.runtime.new_id()).ok()
        assert done.out.split("\n")[:2] == ["750 1000:50", "644 1000:50"]
        assert lines(unpacker, bundle) == []


def test_mount_points_behind_links(unpacker: Unpacker, base: bytes) -> None:
    """A mount on /var/run/x is made in /run, where a link of the image leads, and is no change there."""
    source = layout(unpacker.path("layout"), base, archive(directory("var"), symlink("var/run", "../run")))
    bundle = unpacker.unpack(source)
    config = json.loads((bundle / "config.json").read_text())
    config["mounts"] += [
        {"destination": f"/var/run/{name}", "type": "tmpfs", "source": "tmpfs"} for name in ("x", "y/z")
    ]
    (bundle / "config.json").write_text(json.dumps(config))
    run_in(unpacker, bundle, "touch /run/x/1 /run/y/z/2")
    assert (bundle / "upper/run/y/z").is_dir()
    assert lines(unpacker, bundle) == []


def test_diff_as_json(unpacker: Unpacker, base: bytes) -> None:
    """The same as a list; names that are no text are escaped, and no two names look alike."""
    script = "touch /tmp/a; touch \"$(printf '/tmp/\\377')\"; touch '/tmp/\\xff' '/tmp/b\n'"
    bundle = changed(unpacker, base, script)
    rows = json.loads(unpacker.runtime.call("bundle", "diff", "--format", "json", bundle).ok().out)
    assert {row["path"] for row in rows} == {"/tmp", "/tmp/a", "/tmp/\\xff", "/tmp/b\n"}
    assert [row for row in rows if "bytes" in row] == [{"kind": "A", "path": "/tmp/\\xff", "bytes": b"/tmp/\xff".hex()}]
    assert {row["kind"] for row in rows} == {"A", "C"}
    assert sorted(lines(unpacker, bundle)) == ["A /tmp/\\\\xff", "A /tmp/\\xff", "A /tmp/a", "A /tmp/b\\n", "C /tmp"]


def test_a_change_that_keeps_size_and_time(unpacker: Unpacker) -> None:
    """In an overlay and in a copy: cp -p, tar and touch set times."""
    source = layout(unpacker.path("layout"), archive(entry("a", b"one", mtime=5), entry("b", b"one", mtime=5)))
    for form in FORMS:
        bundle = unpacker.unpack(source, f"bundle{form}", *filter(None, [form]))
        path = bundle / ("rootfs/a" if form else "upper/a")
        path.write_bytes(b"two")
        path.chmod(0o644)
        os.utime(path, (5, 5))
        assert lines(unpacker, bundle) == ["C /a"]


@pytest.mark.parametrize("form", FORMS)
def test_what_was_committed_is_unpacked(unpacker: Unpacker, base: bytes, form: str) -> None:
    """The image of a changed container has exactly its files, and knows where it came from."""
    bundle = changed(unpacker, base, CHANGES, form)
    place = layout_of(bundle)
    digest = commit(unpacker, bundle, f"{place}:second", "--author", "Ada", "--message", "why")
    copy = unpacker.unpack(f"{place}:second", "again", "--copy")
    if form:
        expected = tree(bundle / "rootfs")
    else:
        with merged(bundle) as root:
            expected = tree(root)
    for mounted in ("dev", "proc", "sys"):  # their times: mount points were made in them
        expected.pop(mounted, None)
    found = {name: value for name, value in tree(copy / "rootfs").items() if name in expected}
    assert found == expected
    config = image_config(place, digest)
    assert len(config["rootfs"]["diff_ids"]) == 3
    assert config["history"][-1] | {"created": 0} == {
        "created": 0,
        "created_by": "ocirun bundle commit",
        "author": "Ada",
        "comment": "why",
    }
    assert lines(unpacker, unpacker.unpack(f"{place}:second", "third")) == []


def test_the_same_changes_give_the_same_image(unpacker: Unpacker, base: bytes) -> None:
    """With a time, two commits are equal to the byte, in other layouts too; no file is later than it."""
    bundle = changed(unpacker, base)
    place = layout_of(bundle)
    first = commit(unpacker, bundle, f"{place}:one", "--timestamp", "1000000000")
    epoch = {"SOURCE_DATE_EPOCH": "1000000000"}
    other = unpacker.runtime.call("bundle", "commit", bundle, unpacker.path("new"), env=epoch).ok().out.strip()
    assert first == other
    assert image_config(place, first)["created"] == "2001-09-09T01:46:40Z"
    copy = unpacker.unpack(f"{place}:one", "copy", "--copy") / "rootfs"
    assert (copy / "opt/new").lstat().st_mtime == 1_000_000_000
    assert (copy / "etc/passwd").lstat().st_mtime == 1000


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_compression(unpacker: Unpacker, base: bytes, how: str) -> None:
    """Each is a layer that is read again, with its media type."""
    if how == "zstd" and not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    bundle = changed(unpacker, base, "seq 100000 > /many")
    place = layout_of(bundle)
    digest = commit(unpacker, bundle, f"{place}:x", "--compress", how)
    kind = document(place, digest)["layers"][-1]["mediaType"]
    assert kind == "application/vnd.oci.image.layer.v1.tar" + ("" if how == "none" else f"+{how}")
    assert (unpacker.unpack(f"{place}:x", "copy", "--copy") / "rootfs/many").read_text().endswith("\n100000\n")


def test_other_tools_read_it(unpacker: Unpacker, base: bytes) -> None:
    """skopeo checks all of it, and umoci unpacks the same files."""
    if not (shutil.which("skopeo") and shutil.which("umoci")):
        pytest.skip("skopeo and umoci are not installed")
    bundle = changed(unpacker, base)
    place = layout_of(bundle)
    commit(unpacker, bundle, f"{place}:second")
    call: Callable[..., Any] = lambda *words: subprocess.run(words, check=True, capture_output=True, timeout=120)  # noqa: E731
    call("skopeo", "copy", f"oci:{place}:second", f"docker-archive:{unpacker.path('archive.tar')}")
    call("umoci", "unpack", "--image", f"{place}:second", unpacker.path("umoci"))
    ours = unpacker.unpack(f"{place}:second", "ours", "--copy") / "rootfs"
    assert tree(unpacker.path("umoci") / "rootfs") == tree(ours)
    from_archive = unpacker.unpack(unpacker.path("archive.tar"), "from-archive", "--copy") / "rootfs"
    assert tree(from_archive) == tree(ours)


def test_where_the_layers_below_come_from(unpacker: Unpacker, base: bytes) -> None:
    """From the layout that is written to, from where the image was, or from --base; else the error says what to do."""
    bundle = changed(unpacker, base, "touch /new")
    place = layout_of(bundle)
    commit(unpacker, bundle, str(unpacker.path("other")))
    assert (unpacker.unpack(unpacker.path("other"), "copy", "--copy") / "rootfs/opt/kept").exists()
    moved = unpacker.path("moved")
    place.rename(moved)
    target = unpacker.path("third")
    refused = unpacker.runtime.call("bundle", "commit", bundle, target).failed(1).err
    assert "name the layout or archive that has it with --base" in refused
    commit(unpacker, bundle, f"{target}:with-base", "--base", str(moved))
    assert (unpacker.unpack(f"{target}:with-base", "copy3", "--copy") / "rootfs/new").exists()


def test_a_docker_archive_below(unpacker: Unpacker, base: bytes) -> None:
    """Its layers become blobs of the layout."""
    bundle = unpacker.unpack(docker_archive(unpacker.path("saved"), [base]))
    run_in(unpacker, bundle, "touch /new")
    commit(unpacker, bundle, str(unpacker.path("made")))
    assert (unpacker.unpack(unpacker.path("made"), "copy", "--copy") / "rootfs/new").exists()


def test_a_running_container_is_refused(unpacker: Unpacker, base: bytes) -> None:
    """What still changes is no image; a container that is paused, or has ended, is."""
    runtime = unpacker.runtime
    bundle = changed(unpacker, base, "touch /new")
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["args"] = ["sleep", "1000"]
    (bundle / "config.json").write_text(json.dumps(config))
    id = runtime.new_id()
    runtime.call("run", "--detach", "--bundle", bundle, id).ok()
    target = f"{layout_of(bundle)}:x"
    refused = runtime.call("bundle", "commit", bundle, target).failed(1).err
    assert f'container "{id}"' in refused
    assert "pause or stop it first" in refused
    assert "A /new" in lines(unpacker, bundle)
    runtime.call("kill", id, "KILL").ok()
    runtime.call("delete", "--force", id)
    commit(unpacker, bundle, target)


def test_what_a_layer_cannot_have(unpacker: Unpacker, base: bytes) -> None:
    """Sockets, names of whiteouts and attributes with an = are left out, each with a word."""
    bundle = changed(unpacker, base, "touch /tmp/.wh.x /tmp/named")
    upper = bundle / "upper/tmp"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(upper / "socket"))
    server.close()
    os.setxattr(upper / "named", "user.a=b", b"1")
    os.setxattr(upper / "named", "user.kept", b"2")
    done = unpacker.runtime.call("bundle", "commit", bundle, f"{layout_of(bundle)}:x").ok()
    assert "/tmp/socket is left out: a layer has no sockets" in done.err
    assert "/tmp/.wh.x is left out: its name would be a whiteout" in done.err
    assert "/tmp/named: its extended attribute user.a=b is left out" in done.err
    copy = unpacker.unpack(f"{layout_of(bundle)}:x", "copy", "--copy") / "rootfs/tmp"
    assert os.listdir(copy) == ["named"]
    assert os.listxattr(copy / "named") == ["user.kept"]


def test_many_warnings_are_counted(unpacker: Unpacker) -> None:
    """A container can make a million names that are left out: twenty are told."""
    bundle = unpacker.unpack(layout(unpacker.path("layout"), archive(entry("x"))))
    for number in range(50):
        (bundle / f"upper/.wh.{number}").touch()
    done = unpacker.runtime.call("bundle", "commit", bundle, f"{layout_of(bundle)}:x").ok()
    assert done.err.count("its name would be a whiteout") == 20
    assert done.err.endswith("ocirun: warning: 30 more files or attributes are left out\n")


def test_the_longest_path(unpacker: Unpacker) -> None:
    """What diff takes, commit writes and unpack reads."""
    bundle = unpacker.unpack(layout(unpacker.path("layout"), archive(entry("x"))))
    here = os.open(bundle / "upper", os.O_RDONLY)
    for length in [255] * 16:  # 4,095 bytes with the slashes between them
        os.mkdir("n" * length, dir_fd=here)
        below = os.open("n" * length, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    commit(unpacker, bundle, f"{layout_of(bundle)}:x")
    assert lines(unpacker, unpacker.unpack(f"{layout_of(bundle)}:x", "again")) == []


def test_no_change_is_no_layer(unpacker: Unpacker, base: bytes) -> None:
    """The image has the same layers, and its history says so."""
    bundle = changed(unpacker, base, "true")
    place = layout_of(bundle)
    config = image_config(place, commit(unpacker, bundle, f"{place}:same"))
    assert len(config["rootfs"]["diff_ids"]) == 2
    assert config["history"][-1]["empty_layer"] is True


def test_what_is_refused(unpacker: Unpacker, base: bytes) -> None:
    """Names and places that cannot be, and notes of overlayfs that only a mount understands: one line, and no change."""
    bundle = changed(unpacker, base, "touch /new")
    place = layout_of(bundle)
    before = sorted(place.rglob("*"))
    full = unpacker.path("full")
    full.mkdir()
    (full / "file").touch()
    for words, reason in (
        ([bundle, f"{place}:"], "'' is no name for an image"),
        ([bundle, f"{place}:a b"], "is no name for an image"),
        ([bundle, full], "neither an OCI layout nor empty"),
        ([bundle, "/usr/bin/busybox"], "open the layout /usr/bin/busybox: not a directory"),
        ([full, place], "image.json: no such file or directory: only a bundle that `bundle unpack` made"),
    ):
        done = unpacker.runtime.call("bundle", "commit", *words).failed(1)
        assert reason in done.err
        assert done.err.count("\n") == 1
    for key, reason in (("redirect", "was renamed"), ("metacopy", "has its content in a layer below")):
        os.setxattr(bundle / "upper/new", f"trusted.overlay.{key}", b"x")
        assert f"/new {reason}" in unpacker.runtime.call("bundle", "diff", bundle).failed(1).err
        assert f"/new {reason}" in unpacker.runtime.call("bundle", "commit", bundle, f"{place}:x").failed(1).err
        os.removexattr(bundle / "upper/new", f"trusted.overlay.{key}")
    for words, reason in (
        (["--compress", "xz"], "must be gzip, zstd or none"),
        (["--timestamp", "x"], "seconds since 1970"),
    ):
        assert reason in unpacker.runtime.call("bundle", "commit", *words, bundle, place).failed().err
    assert "must be text or json" in unpacker.runtime.call("bundle", "diff", "--format", "x", bundle).failed().err
    assert sorted(place.rglob("*")) == before


def test_a_name_moves_and_rests_go(unpacker: Unpacker, base: bytes) -> None:
    """Another image of the same name takes its place, other names stay, and what a killed commit left is removed."""
    bundle = changed(unpacker, base, "touch /new", tag="first")
    place = layout_of(bundle)
    (place / f"blobs/sha256/.ocirun-{'0' * 16}").touch()
    commit(unpacker, bundle, f"{place}:x")
    second = commit(unpacker, bundle, f"{place}:x", "--message", "again")
    rows = json.loads((place / "index.json").read_text())["manifests"]
    names = {row["annotations"]["org.opencontainers.image.ref.name"]: row["digest"] for row in rows}
    assert set(names) == {"first", "x"}
    assert names["x"] == second
    assert not list(place.rglob(".ocirun-*"))


def check_layout(place: Path) -> int:
    """That all images of a layout are whole; how many there are."""
    rows = json.loads((place / "index.json").read_text())["manifests"]
    for row in rows:
        manifest = document(place, row["digest"])
        for each in (row, manifest["config"], *manifest["layers"]):
            data = (place / "blobs" / each["digest"].replace(":", "/")).read_bytes()
            assert (images.digest(data), len(data)) == (each["digest"], each["size"])
    return len(rows)


CALLS = "write,openat,mkdir,rename,renameat,fsync,unlink,chmod,close"


def test_a_commit_that_is_killed(unpacker: Unpacker, base: bytes) -> None:
    """SIGKILL at any point leaves a layout with the old images or the new one, and the next call makes it whole."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    place = layout(unpacker.path("layout"), archive(entry("a"), directory("d")))
    bundle = unpacker.unpack(place)
    (bundle / "upper/new").write_text("new")
    struck = 0
    for number in range(1, 60):
        fresh = unpacker.path(f"fresh{number}")
        for target in (place, fresh):
            command = unpacker.runtime.command("bundle", "commit", bundle, f"{target}:x")
            inject = f"inject={CALLS}:signal=KILL:when={number}"
            done = subprocess.run(
                ["strace", "-qq", "-o", "/dev/null", "-e", inject, *command],
                capture_output=True,
                check=False,
                timeout=60,
            )
            struck += done.returncode != 0
            check_layout(place)
        commit(unpacker, bundle, f"{fresh}:x")
        assert check_layout(fresh) == 1
        assert not list(fresh.rglob(".ocirun-*"))
        if done.returncode == 0:
            break
    assert struck > 10
    commit(unpacker, bundle, f"{place}:x")
    assert check_layout(place) == 2
    assert not list(place.rglob(".ocirun-*"))


def test_two_commits_at_once(unpacker: Unpacker, base: bytes) -> None:
    """Each waits for the other, and the layout names both images."""
    bundle = changed(unpacker, base, "touch /new")
    place = layout_of(bundle)
    commands = [unpacker.runtime.command("bundle", "commit", bundle, f"{place}:x{number}") for number in range(4)]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [each.wait(timeout=60) for each in running] == [0] * 4
    assert check_layout(place) == 5


def test_diff_of_a_container_that_runs(unpacker: Unpacker, base: bytes) -> None:
    """Files that come and go meanwhile are no error."""
    bundle = changed(unpacker, base, "touch /new")
    config = json.loads((bundle / "config.json").read_text())
    script = "while :; do mkdir -p /tmp/a/b/c; echo x > /tmp/a/b/c/f; cp -r /etc /tmp/a; rm -r /tmp/a; done"
    config["process"]["args"] = ["sh", "-c", script]
    (bundle / "config.json").write_text(json.dumps(config))
    runtime = unpacker.runtime
    id = runtime.new_id()
    runtime.call("run", "--detach", "--bundle", bundle, id).ok()
    for _ in range(20):
        assert "A /new" in lines(unpacker, bundle)
    runtime.call("delete", "--force", id).ok()


def test_many_layers_and_few_descriptors(unpacker: Unpacker) -> None:
    """Fifty layers with the same directories are compared with 300 descriptors, however deep the container's own tree is."""
    layers = [
        archive(*(part for n in range(8) for part in (directory(f"d{n}"), directory(f"d{n}/e"), entry(f"d{n}/e/f{i}"))))
        for i in range(50)
    ]
    place = layout(unpacker.path("layout"), *layers)
    bundle = unpacker.unpack(place)
    deep = os.open(bundle / "upper", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("n", dir_fd=deep)
        below = os.open("n", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    command = ["prlimit", "--nofile=300", *unpacker.runtime.command("bundle", "diff", bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    subprocess.run(["rm", "-rf", bundle], check=True)  # deeper than Python goes
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1200


@pytest.mark.attack(
    hole="own find",
    what="labels of an image say what the runtime is to do on the host: append a hook's output to a file, call CRIU, set properties of a unit",
    stops="labels by which runtimes are steered are left out of config.json, with a warning",
    bites=(),
)
def test_labels_do_not_steer_the_runtime(unpacker: Unpacker, base: bytes) -> None:
    """umoci copies them into config.json, where crun and ocirun obey them; here they are left out, and told."""
    labels = {
        "run.oci.hooks.stdout": str(unpacker.path("host-file")),
        "run.oci.keep_original_groups": "1",
        "org.systemd.property.MemoryMax": "uint64 1",
        "org.criu.config": "/x",
        "com.example.fine": "kept",
    }
    source = layout(unpacker.path("layout"), base, config={"Cmd": ["true"], "Labels": labels})
    done = unpacker.call("unpack", source, unpacker.path("bundle")).ok()
    annotations = json.loads((unpacker.path("bundle") / "config.json").read_text())["annotations"]
    assert annotations["com.example.fine"] == "kept"
    assert not set(labels) - {"com.example.fine"} & set(annotations)
    assert done.err.count("tells a runtime what to do, and is left out") == 4


@pytest.mark.attack(
    hole="own find",
    what="a container leaves links, FIFOs and devices in the place of directories and files, for `bundle commit` to read the host's",
    stops="every name is opened below the one before it, without links; only regular files are opened",
    bites=(),
)
def test_what_a_container_leaves_is_not_followed(unpacker: Unpacker, base: bytes) -> None:
    """A link to the host's file is in the image as a link, a FIFO keeps nobody waiting, and a device is a device."""
    secret = unpacker.path("secret")
    secret.mkdir()
    (secret / "file").write_text("the host's")
    script = f"rm -r /opt /home; ln -s {secret} /opt; ln -s {secret}/file /etc/linked; mkfifo /home; rm /bin/vi; mkfifo /bin/vi"
    bundle = changed(unpacker, base, script)
    os.mknod(bundle / "upper/etc/device", 0o060600, os.makedev(254, 0))
    place = layout_of(bundle)
    done = subprocess.run(
        unpacker.runtime.command("bundle", "commit", bundle, f"{place}:x"), capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    copy = unpacker.unpack(f"{place}:x", "copy", "--copy") / "rootfs"
    assert os.readlink(copy / "opt") == str(secret)
    assert os.readlink(copy / "etc/linked") == f"{secret}/file"
    assert stat.S_ISFIFO((copy / "bin/vi").lstat().st_mode)
    assert stat.S_ISBLK((copy / "etc/device").lstat().st_mode)
    layer = document(place, json.loads((place / "index.json").read_text())["manifests"][-1]["digest"])["layers"][-1]
    whole = subprocess.run(
        ["gzip", "-dc", place / "blobs" / layer["digest"].replace(":", "/")], capture_output=True, check=True
    ).stdout
    assert b"the host's" not in whole


@pytest.fixture
def user(runtime_program: str, workplace: Path, busybox: Path, token: str) -> Iterator[User]:
    place = workplace / token
    place.mkdir()
    before = snapshot.take(token)
    made = User(runtime_program, place, token, busybox)
    yield made
    made.remove_all()
    left = snapshot.leftovers(before, token)
    made.discard()
    assert not left, f"left behind: {left}"


def test_ordinary_user(user: User, base: bytes) -> None:
    """An ordinary user's image has the owners that the container saw, and the user can read what is his containers' alone."""
    if not shutil.which("newuidmap"):
        pytest.skip("newuidmap (uidmap) is not installed")
    source, bundle = user.view.home / "layout", user.view.home / "bundle"
    layout(
        source,
        base,
        SECOND,
        config={"Cmd": ["sh", "-ec", CHANGES + "touch /secret; chown 1000:50 /secret; chmod 0 /secret"]},
    )
    user.view.give(source)
    user.call("bundle", "unpack", source, bundle).ok()
    user.call("run", "--bundle", bundle, user.new_id()).ok()
    assert (bundle / "upper/secret").stat().st_uid == SUBIDS + 999
    found = user.call("bundle", "diff", bundle).ok().out.splitlines()
    assert sorted(found) == sorted([*EXPECTED, "A /secret"])
    digest = user.call("bundle", "commit", bundle, f"{source}:second").ok().out.strip()
    assert (source / "blobs" / digest.replace(":", "/")).stat().st_uid == UID
    user.call("bundle", "unpack", "--copy", f"{source}:second", user.view.home / "copy").ok()
    assert (user.view.home / "copy/rootfs/secret").stat().st_uid == SUBIDS + 999
    assert (user.view.home / "copy/rootfs/opt/third").stat().st_nlink == 2


NAMES = ("a", "b", "c")


def act(random: random.Random, root: Path) -> None:
    """One change of a random file; many fail, as they may."""
    path = root.joinpath(*(random.choice(NAMES) for _ in range(random.randint(1, 3))))
    other = root.joinpath(*(random.choice(NAMES) for _ in range(random.randint(1, 3))))
    try:
        match random.randrange(11):
            case 0 | 1:
                path.mkdir()
            case 2 | 3:
                path.write_text(str(random.random()))
            case 4:
                path.unlink()
            case 5:
                shutil.rmtree(path)
            case 6:
                subprocess.run(["mv", "-T", path, other], check=False, stderr=subprocess.DEVNULL)
            case 7:
                os.link(path, other, follow_symlinks=False)
            case 8:
                path.symlink_to(random.choice(NAMES))
            case 9:
                os.chmod(path, random.choice([0o755, 0o700, 0o644]))
            case 10:
                os.setxattr(path, "user.x", random.randbytes(2), follow_symlinks=False)
    except OSError:
        pass


@pytest.mark.parametrize("seed", range(12))
def test_random_changes(unpacker: Unpacker, seed: int) -> None:
    """Whatever was done to an overlay of two layers: the image has the files that the overlay shows, and diff names each difference."""
    chance = random.Random(seed)
    layers = []
    for number in range(2):
        root = unpacker.path(f"tree{number}")
        root.mkdir()
        for _ in range(40):
            act(chance, root)
        layers.append(images.tree_archive(root))
    place = layout(unpacker.path("layout"), *layers)
    bundle = unpacker.unpack(place)
    before = tree(unpacker.unpack(place, "before", "--copy") / "rootfs")
    with merged(bundle) as root:
        for _ in range(40):
            act(chance, root)
        shown = tree(root)
    commit(unpacker, bundle, f"{place}:second")
    after = tree(unpacker.unpack(f"{place}:second", "after", "--copy") / "rootfs")
    assert after == shown
    links = {name for group in (*before.pop("links"), *shown.pop("links")) for name in group}
    expected = {name for name in shown if shown[name] != before.get(name)}
    named = {line[3:] for line in lines(unpacker, bundle) if line[0] in "AC"} - {""}
    assert expected <= named
    above = {name.rpartition("/")[0] for name in named} | {
        line[3:].rpartition("/")[0] for line in lines(unpacker, bundle)
    }
    assert named - expected <= above | links
    deleted = {line[3:] for line in lines(unpacker, bundle) if line[0] == "D"}
    gone = {name for name in before if name not in shown}
    assert deleted <= gone
    assert {name for name in gone if name.rpartition("/")[0] in {*shown, ""}} - deleted <= {
        name
        for name in gone
        if name.rpartition("/")[0] in shown and not stat.S_ISDIR(shown[name.rpartition("/")[0]][0])
    }
