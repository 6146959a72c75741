"""process.cwd: one that is missing is made in the container's root, one that only the container's user may enter is entered."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.integration.caller import Caller

LOOK = "pwd; stat -c '%u %g %a' . .."
MADE = "0 0 755\n"
IDS = [{"containerID": 0, "hostID": 100000, "size": 1000}, {"containerID": 1000, "hostID": 101000, "size": 1}]


@pytest.mark.proves("/process/cwd")
@pytest.mark.kernel
def test_missing_directory_is_made(runtime: Caller) -> None:
    """Each missing directory of cwd is made, root's with mode 0755, whoever the program runs as."""
    process = {"cwd": "/a/b", "user": {"uid": 1000, "gid": 1000}}
    bundle = runtime.shell(LOOK, {"process": process})
    assert runtime.run(bundle).ok().out == f"/a/b\n{MADE}{MADE}"


@pytest.mark.parametrize(
    ("cwd", "made"), [("/a/b/.", "/a/b"), ("/./a//b/./", "/a/b"), ("/a/b/..", "/a"), ("/a/../b", "/b")]
)
def test_missing_directory_with_dots(runtime: Caller, cwd: str, made: str) -> None:
    """A path with `.` and `..`, also as its last, is made as any other."""
    assert runtime.run(runtime.shell("pwd", {"process": {"cwd": cwd}})).ok().out == f"{made}\n"


def test_missing_directory_of_a_read_only_root(runtime: Caller) -> None:
    """A missing cwd is made before the root becomes read-only."""
    bundle = runtime.shell(
        f"{LOOK}; touch x || echo read-only", {"process": {"cwd": "/a/b"}, "root": {"readonly": True}}
    )
    assert runtime.run(bundle).ok().out == f"/a/b\n{MADE}{MADE}read-only\n"


def test_missing_directory_below_a_mount(runtime: Caller) -> None:
    """A missing cwd below a mount is made in what is mounted there."""
    bundle = runtime.shell(LOOK, {"process": {"cwd": "/dev/shm/a"}})
    assert runtime.run(bundle).ok().out == f"/dev/shm/a\n{MADE}0 0 1777\n"
    assert not (bundle.rootfs / "dev/shm").exists()


def test_missing_directory_behind_a_link(runtime: Caller) -> None:
    """A link in the path is followed within the root: nothing is made on the host."""
    bundle = runtime.shell("pwd -P", {"process": {"cwd": "/link/a"}})
    outside = runtime.directory / "outside"
    outside.mkdir()
    bundle.rootfs.joinpath("link").symlink_to(outside)
    (bundle.rootfs / str(outside)[1:]).mkdir(parents=True)
    assert runtime.run(bundle).ok().out == f"{outside}/a\n"
    assert list(outside.iterdir()) == []


def test_file_in_the_way(runtime: Caller) -> None:
    """A file as cwd is refused."""
    bundle = runtime.shell("pwd", {"process": {"cwd": "/etc/passwd/a"}})
    assert "not a directory" in runtime.run(bundle).failed(1).err.lower()


@pytest.mark.not_on("runc", "crun", reason="words of ocirun")
def test_link_to_what_is_open(runtime: Caller) -> None:
    """A link of /proc leads wherever the runtime stands (CVE-2024-21626): it is not followed, and that is said, by `exec` too."""
    said = (
        "too many levels of symbolic links; a link of /proc to what a process has open, such as /proc/self/cwd, is not"
    )
    assert said in runtime.run(runtime.shell("pwd", {"process": {"cwd": "/proc/self/cwd"}})).failed(1).err
    id = runtime.launch(runtime.sleeper())
    assert said in runtime.exec(id, ["pwd"], "--cwd", "/proc/self/cwd").failed(255).err


def test_mount_on_a_missing_directory_with_a_dot(runtime: Caller) -> None:
    """A missing destination with `.` in its path is made as any other."""
    bundle = runtime.shell("grep -c ' /a/b tmpfs' /proc/mounts")
    bundle.config["mounts"].append({"destination": "/a/b/.", "type": "tmpfs", "source": "tmpfs"})
    assert runtime.run(bundle.save()).ok().out == "1\n"


def test_exec_makes_nothing(runtime: Caller) -> None:
    """`exec` refuses a cwd that is missing."""
    bundle = runtime.sleeper()
    id = runtime.launch(bundle)
    assert "no such file or directory" in runtime.exec(id, ["pwd"], "--cwd", "/not/there").failed(255).err.lower()
    assert not (bundle.rootfs / "not").exists()


def closed(runtime: Caller, script: str, user: dict[str, Any]) -> Any:
    """A container with a user namespace, and /volume as cwd, which its root may not enter: the owner's group is not mapped."""
    bundle = runtime.shell(script, {"process": {"user": user, "cwd": "/volume"}})
    volume = bundle.directory / "volume"
    volume.mkdir()
    os.chown(volume, 101000, 7)
    volume.chmod(0o700)
    bundle.rootfs.joinpath("volume").mkdir()
    mount = {"destination": "/volume", "type": "bind", "source": str(volume), "options": ["bind"]}
    bundle.config["mounts"].append(mount)
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    return bundle.save()


@pytest.mark.proves_operation("cwd_as_user")
@pytest.mark.not_on("crun", reason="tries as root only")
def test_directory_of_the_user_alone(runtime: Caller) -> None:
    """A cwd that root may not enter is entered as the container's user, by `run` and by `exec`."""
    user = {"uid": 1000, "gid": 1000}
    assert runtime.run(closed(runtime, "pwd", user)).ok().out == "/volume\n"
    id = runtime.launch(closed(runtime, "trap 'exit 0' TERM; while :; do sleep 0.1; done", user))
    assert runtime.exec(id, ["/bin/pwd"], "--cwd", "/volume").ok().out == "/volume\n"


def test_directory_of_somebody_else(runtime: Caller) -> None:
    """A cwd that the container's user may not enter either is an error that says so."""
    err = runtime.run(closed(runtime, "pwd", {"uid": 0, "gid": 0})).failed(1).err
    assert "permission denied" in err.lower()
    assert runtime.name != "ocirun" or "/process/cwd: chdir to /volume" in err
