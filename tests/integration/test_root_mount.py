"""A mount on /: an overlay, a tmpfs or a bind as the container's root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller
from tests.integration.mounts import bind, host_mount, mount, shown
from tests.integration.ordinary import MORE_IDS, SUBIDS, User

PEERS = ("runc", "crun")
OVERLAYFS = "794c7630"  # f_type
IDS = [{"containerID": 0, "hostID": 300000, "size": 65536}]


def overlay(bundle: Bundle, *options: str, lower: str = "") -> dict[str, Any]:
    """The bundle's root file system as the lower layer of its root; the directory that root.path names becomes empty."""
    for name in ("upper", "work"):
        (bundle.directory / name).mkdir()
    layer = bundle.directory / (lower or "layer")
    bundle.rootfs.rename(layer)
    bundle.rootfs.mkdir()
    parts = [f"lowerdir={layer}", f"upperdir={bundle.directory}/upper", f"workdir={bundle.directory}/work"]
    return mount("/", "overlay", "overlay", *parts, *options)


def on_overlay(bundle: Bundle, *options: str) -> Bundle:
    bundle.config["mounts"].insert(0, overlay(bundle, *options))
    return bundle.save()


def test_the_root_is_the_overlay(runtime: Caller) -> None:
    """The program, the devices and the other mounts are in it; writes are in upper, and nothing is on root.path."""
    if runtime.name == "crun":
        pytest.skip("crun: does not know it")
    bundle = on_overlay(runtime.shell("echo new > /etc/new; rm /etc/group; ls -l /dev/null; stat -f -c %t /"))
    result = runtime.run(bundle).ok()
    assert "crw-rw-rw-" in result.out
    assert OVERLAYFS in result.out
    assert (bundle.directory / "upper/etc/new").read_text() == "new\n"
    assert (bundle.directory / "upper/etc/group").stat().st_rdev == 0
    assert (bundle.directory / "layer/etc/group").exists()
    assert not list(bundle.rootfs.iterdir())
    assert str(bundle.directory) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("asked", ["root.readonly", "ro"])
def test_it_is_read_only_last(runtime: Caller, asked: str) -> None:
    """root.readonly and the option ro make the overlay read-only, once the mount points in it are made."""
    if runtime.name in PEERS:
        pytest.skip(f"{runtime.name}: makes no mount point below a mount on / that is read-only")
    bundle = runtime.shell("echo x > /x")
    bundle.config["mounts"].append(mount("/made/here", "tmpfs"))
    on_overlay(bundle, *(["ro"] if asked == "ro" else []))
    bundle.config["root"]["readonly"] = asked != "ro"
    assert "Read-only file system" in runtime.run(bundle.save()).failed().err
    assert (bundle.directory / "upper/made/here").is_dir()


@pytest.mark.parametrize("propagation", ["shared", "rslave", "private", "unbindable"])
def test_nothing_reaches_the_host(runtime: Caller, propagation: str) -> None:
    """On a shared mount of the host's too, the overlay is in the container alone, with the propagation that is asked for."""
    if runtime.name in PEERS:
        pytest.skip(f"{runtime.name}: the overlay is mounted on the host")
    with host_mount(runtime.directory / "host") as directory:
        bundle = runtime.bundle()
        shutil.move(bundle.directory, directory / "bundle")
        bundle = Bundle(directory / "bundle", bundle.config)
        subprocess.run(["mount", "--make-shared", directory], check=True)
        bundle.linux["rootfsPropagation"] = propagation
        on_overlay(bundle)
        root = shown(runtime, bundle)["/"]
        assert root.kind == "overlay"
        tag = propagation if propagation in ("shared", "unbindable") else ""
        assert root.propagates() == ({tag} if tag else set())
        assert f"{directory}/bundle" not in Path("/proc/self/mountinfo").read_text()


def test_no_pivot(runtime: Caller) -> None:
    """With --no-pivot the overlay is moved to /."""
    if runtime.name == "crun":
        pytest.skip("crun: does not know it")
    bundle = on_overlay(runtime.shell("stat -f -c %t /; ls /"))
    out = runtime.call("run", "--no-pivot", "--bundle", bundle.directory, runtime.new_id()).ok().out
    assert out.split()[0] == OVERLAYFS
    assert "bin" in out


def test_layers_longer_than_an_option(runtime: Caller) -> None:
    """More layers than fsconfig takes in one string are mounted by mount(2); `lowerdir+` has one layer each."""
    if runtime.name in PEERS:
        pytest.skip(f"{runtime.name}: has no lowerdir+")
    bundle = runtime.shell("cat /first /second; stat -f -c %t /")
    more = [bundle.directory / (name * 100) for name in "ab"]
    for directory, name in zip(more, ("first", "second"), strict=True):
        directory.mkdir()
        (directory / name).write_text(name + "\n")
    row = overlay(bundle)
    row["options"][0] = "lowerdir=" + ":".join(map(str, [*more, bundle.directory / "layer"]))
    assert len(row["options"][0]) > 256
    bundle.config["mounts"].insert(0, row)
    assert runtime.run(bundle.save()).ok().out.split() == ["first", "second", OVERLAYFS]
    row["options"][:1] = [f"lowerdir+={path}" for path in (*more, bundle.directory / "layer")]
    result = runtime.run(bundle.save())
    if result.code and "lowerdir+" in result.err:
        pytest.skip("the kernel has no lowerdir+ (6.8)")
    assert result.ok().out.split() == ["first", "second", OVERLAYFS]


@pytest.mark.parametrize("kind", ["tmpfs", "bind", "idmap"])
def test_other_roots(runtime: Caller, kind: str) -> None:
    """A tmpfs becomes a root of mounts only; a bind, with id maps too, takes the place of root.path."""
    if (runtime.name in PEERS and kind == "idmap") or runtime.name == "crun":
        pytest.skip(f"{runtime.name}: does not know it")
    bundle = runtime.shell("stat -c %u /mine; ls /")
    layer = bundle.directory / "layer"
    bundle.rootfs.rename(layer)
    bundle.rootfs.mkdir()
    (layer / "mine").touch()
    (layer / "of-the-layer").touch()
    rows = [bind("/", layer)]
    if kind == "tmpfs":
        rows = [mount("/", "tmpfs", "tmpfs", "mode=755"), bind("/bin", layer / "bin"), bind("/mine", layer / "mine")]
    if kind == "idmap":
        rows[0] |= {"uidMappings": [{"containerID": 0, "hostID": 7, "size": 9}]}
        rows[0]["gidMappings"] = rows[0]["uidMappings"]
        rows[0]["options"].append("idmap")
    bundle.config["mounts"][:0] = rows
    result = runtime.run(bundle.save()).ok()
    assert not result.err
    owner, *names = result.out.split()
    assert owner == ("7" if kind == "idmap" else "0")
    assert ("of-the-layer" in names) == (kind != "tmpfs")


def test_exec_state_verify(runtime: Caller) -> None:
    """A container whose root it is looks right to exec, state and verify."""
    if runtime.name in PEERS:
        pytest.skip(f"{runtime.name}: has no verify")
    bundle = on_overlay(runtime.sleeper())
    id = runtime.launch(bundle)
    assert "ada" in runtime.call("exec", id, "cat", "/etc/passwd").ok().out
    assert json.loads(runtime.call("state", id).ok().out)["rootfs"] == str(bundle.rootfs)
    assert "drift" not in runtime.call("verify", id).ok().out
    refused = runtime.call("checkpoint", "--image-path", bundle.directory / "image", id).failed(1).err
    assert "/mounts/0/destination: CRIU" in refused


def test_user_namespace_of_root(runtime: Caller) -> None:
    """In a user namespace the container's root mounts it, from layers that it may read."""
    if runtime.name == "crun":
        pytest.skip("crun: does not know it")
    bundle = runtime.shell("echo x > /new; stat -c %u /new; stat -f -c %t /")
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    bundle.linux["namespaces"].append({"type": "user"})
    on_overlay(bundle, "userxattr")
    for name in ("upper", "work"):
        os.chown(bundle.directory / name, IDS[0]["hostID"], IDS[0]["hostID"])
    assert runtime.run(bundle.save()).ok().out.split() == ["0", OVERLAYFS]
    assert (bundle.directory / "upper/new").stat().st_uid == IDS[0]["hostID"]


def test_layers_that_the_user_namespace_cannot_reach(runtime: Caller) -> None:
    """The error says that it is the directories above them."""
    if runtime.name in PEERS:
        pytest.skip(f"{runtime.name}: has other words")
    bundle = runtime.bundle()
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    bundle.linux["namespaces"].append({"type": "user"})
    closed = bundle.directory / "closed"
    closed.mkdir(mode=0o700)
    bundle.config["mounts"].insert(0, overlay(bundle, "userxattr", lower="closed/layer"))
    assert "must be able to search each directory above its layers" in runtime.run(bundle.save()).failed().err


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer", "poststart"])
def test_hooks_see_the_overlay(runtime: Caller, kind: str) -> None:
    """Hooks in the container's namespaces find the overlay at root.path, the last ones as their root; those outside do not."""
    if runtime.name in PEERS:
        pytest.skip(f"{runtime.name}: other roots of hooks")
    bundle = runtime.shell("sleep 0.2")
    root = "/" if kind == "startContainer" else bundle.rootfs
    seen = bundle.directory / "seen"
    seen.touch()
    if kind == "startContainer":
        bundle.config["mounts"].append(bind("/seen", seen))
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"ls {root} > {'/seen' if kind == 'startContainer' else seen}"]}
    bundle.config["hooks"] = {kind: [{**hook, "env": ["PATH=/bin:/usr/bin"]}]}
    runtime.run(on_overlay(bundle)).ok()
    inside = kind in ("createContainer", "startContainer")
    assert ("etc" in seen.read_text().split()) == inside


@pytest.fixture
def user(runtime_program: str, workplace: Path, busybox: Path, token: str) -> Iterator[User]:
    directory = workplace / token
    directory.mkdir()
    before = snapshot.take(token)
    made = User(runtime_program, directory, token, busybox)
    yield made
    made.remove_all()
    left = snapshot.leftovers(before, token)
    made.discard()
    assert not left, f"left behind: {left}"


def test_ordinary_user(user: User) -> None:
    """An ordinary user's container has it in his user namespace: files in upper have the owners that his maps give."""
    if user.name == "crun":
        pytest.skip("crun: does not know it")
    if not shutil.which("newuidmap"):
        pytest.skip("newuidmap (uidmap) is not installed")
    bundle = user.bundle(MORE_IDS)
    bundle.process["args"] = ["sh", "-c", "touch /new; chown 1000:1000 /new; rm -r /home; stat -f -c %t /"]
    bundle.process["capabilities"]["bounding"].append("CAP_CHOWN")
    for name in ("effective", "permitted"):
        bundle.process["capabilities"][name].append("CAP_CHOWN")
    on_overlay(bundle, "userxattr")
    user.view.give(bundle.directory)
    assert user.run(bundle).ok().out.split() == [OVERLAYFS]
    assert (bundle.directory / "upper/new").stat().st_uid == SUBIDS + 999
    assert (bundle.directory / "upper/home").stat().st_rdev == 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([mount("/x"), mount("/", "tmpfs")], "/mounts/1/destination: a mount on / would cover the container's root"),
        ([mount("/", "proc", "proc")], "/mounts/0/type: proc cannot be the container's root"),
        ([mount("//", "cgroup", "cgroup")], "/mounts/0/type: cgroup cannot be the container's root"),
        ([mount("/", "none", "none", "remount", "ro")], "/mounts/0/options: the root is not remounted"),
        (
            [mount("/", "overlay", "overlay", "lowerdir=/no/such/layer")],
            "one of its directories is gone: if `bundle prune`",
        ),
    ],
)
def test_what_is_refused(runtime: Caller, rows: list[dict[str, Any]], words: str) -> None:
    """What cannot be a root is an error with the place, and a later one says that it has to be the first."""
    if runtime.name in PEERS:
        pytest.skip(f"{runtime.name}: has other words")
    bundle = runtime.shell("true")
    bundle.config["mounts"][:0] = rows
    assert words in runtime.run(bundle.save()).failed().err


def test_validate_looks_through_the_layers(runtime: Caller) -> None:
    """The program and the working directory are looked for in upper, then in each layer, past what a layer removes."""
    if runtime.name in PEERS:
        pytest.skip(f"{runtime.name}: has no validate")
    bundle = runtime.bundle()
    top = bundle.directory / "top"
    (top / "usr").mkdir(parents=True)
    (top / "usr/program").write_text("#!/bin/sh\n")
    (top / "usr/program").chmod(0o755)
    os.mknod(top / "tmp", 0o020000, 0)
    row = overlay(bundle)
    row["options"][0] = f"lowerdir={top}:{bundle.directory}/layer"
    bundle.config["mounts"].insert(0, row)

    def findings(*args: str, cwd: str = "/") -> list[tuple[str, str]]:
        bundle.process.update(args=list(args), cwd=cwd)
        text = runtime.call("validate", "--format", "json", bundle.save().directory).out
        return [(row["pointer"], row["severity"]) for row in json.loads(text)["problems"]]

    assert findings("sh") == []
    assert findings("/usr/program") == []
    assert findings("/usr/nothing") == [("/process/args/0", "error")]
    assert findings("sh", cwd="/etc/passwd") == [("/process/cwd", "error")]
    os.setxattr(top / "usr", "trusted.overlay.opaque", b"y")
    (bundle.directory / "layer/usr/below").write_text("#!/bin/sh\n")
    (bundle.directory / "layer/usr/below").chmod(0o755)
    assert findings("/usr/below") == [("/process/args/0", "error")]
    (bundle.directory / "upper/bin").symlink_to("/usr")
    assert findings("/bin/program") == [("/process/args/0", "error")]  # its interpreter is gone
    (bundle.directory / "upper/bin").unlink()
    bundle.config["mounts"][0]["options"][0] = "lowerdir=relative"
    assert findings("/usr/nothing") == []
