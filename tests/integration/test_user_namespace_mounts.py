"""What a container with a user namespace gets of the host's mounts, devices and closed directories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller
from tests.integration.mounts import bind, host_mount, mount, nested, options_of, rbind

IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def mapped(runtime: Caller, script: str, *mounts: dict[str, Any]) -> Bundle:
    bundle = runtime.shell(script)
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    for entry in mounts:
        (bundle.rootfs / entry["destination"].lstrip("/")).mkdir(exist_ok=True)  # a mapped root may not make it
    bundle.config["mounts"].extend(mounts)
    return bundle.save()


def lock(path: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,bind,{options}", path], check=True)


@pytest.mark.not_on("runc", "crun", reason="runc 1.1.5 leaves the flags as they are, crun shows none of the host's")
@pytest.mark.parametrize(
    ("option", "has"),
    [("rw", {"nosuid", "nodev"}), ("suid", {"ro", "nodev"}), ("dev", {"ro", "nosuid"}), ("noatime", {"ro", "noatime"})],
)
def test_a_flag_of_the_host_is_taken_away_when_the_config_says_so(runtime: Caller, option: str, has: set[str]) -> None:
    """rw, suid, dev and the access time of a bind are the config's, whatever the host's mount has; the rest stays."""
    with host_mount(runtime.directory / "source") as source:
        lock(source, "ro,nosuid,nodev")
        for kind in ("bind", "rbind"):
            entry = {**rbind("/x", source), "options": [kind, option]}
            flags, *_ = options_of(runtime, mapped(runtime, "", entry), "/x")
            taken = {"rw": "ro", "suid": "nosuid", "dev": "nodev"}.get(option)
            assert has <= flags
            assert taken not in flags


@pytest.mark.not_on("runc", "crun", reason="runc 1.1.5 leaves the flags as they are, crun shows none of the host's")
def test_a_flag_of_a_file_that_is_bound(runtime: Caller) -> None:
    """rw of a bound file is the config's, whatever the host's mount has."""
    with host_mount(runtime.directory / "source") as source:
        (source / "file").write_text("text")
        lock(source, "ro")
        bundle = mapped(runtime, "")
        bundle.write("/x", "")
        bundle.config["mounts"].append(rbind("/x", source / "file", "rw"))
        flags, *_ = options_of(runtime, bundle, "/x")
        assert "rw" in flags


@pytest.mark.not_on("runc", reason="the kernel refuses it, since what the other mount covers is locked")
def test_bind_of_one_mount(runtime: Caller) -> None:
    """bind without the mounts below shows the source's own mount alone."""
    with nested(runtime.directory / "source") as source:
        (source / "below/file").touch()
        bundle = mapped(runtime, "ls /x /x/below", bind("/x", source))
        assert runtime.run(bundle).ok().out == "/x:\nbelow\n\n/x/below:\n"


@pytest.mark.not_on("runc", reason="opens sources before it mounts anything")
@pytest.mark.parametrize("user", [True, False])
def test_a_source_that_an_earlier_mount_makes(runtime: Caller, user: bool) -> None:
    """A source below the rootfs is what the mounts before it have put there, and `create` does not look for it earlier."""
    source = runtime.directory / "source"
    source.mkdir()
    (source / "file").write_text("text\n")
    first = mount("/t", "tmpfs", "tmpfs", "mode=755")
    bundle = mapped(runtime, "cat /x/file", first)
    if not user:
        bundle.linux["namespaces"].pop()
        del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
    (bundle.rootfs / "x").mkdir()
    bundle.config["mounts"] += [rbind("/t/made", source), rbind("/x", bundle.rootfs / "t/made")]
    assert runtime.run(bundle.save()).ok().out == "text\n"


@pytest.mark.not_on("runc", "crun", reason="the words are ours")
def test_a_source_that_no_mount_makes(runtime: Caller) -> None:
    """A missing source elsewhere is an error before anything is made."""
    bundle = mapped(runtime, "true", mount("/t", "tmpfs", "tmpfs"))
    bundle.config["mounts"].append(rbind("/x", bundle.rootfs / "tt/made"))
    result = runtime.run(bundle.save()).failed()
    assert "/mounts/" in result.err
    assert "tt/made: no such file or directory" in result.err


@pytest.mark.not_on("runc", "crun", reason="they attach the root by a path that the container's root may not enter")
def test_a_bundle_in_a_closed_directory(runtime: Caller) -> None:
    """The root is attached at root.path, where hooks and sources look, though the container's root may not go there."""
    bundle = mapped(runtime, "cat /x/file", mount("/t", "tmpfs", "tmpfs", "mode=755"))
    (bundle.rootfs / "x").mkdir()
    source = runtime.directory / "source"
    source.mkdir()
    (source / "file").write_text("text\n")
    bundle.config["mounts"] += [rbind("/t/made", source), rbind("/x", bundle.rootfs / "t/made")]
    seen = runtime.directory / "seen"
    words = f"nsenter -m -t $(sed 's/.*\"pid\":[ ]*\\([0-9]*\\).*/\\1/') cat {bundle.rootfs}/x/file > {seen}"
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", words]}]}
    bundle.directory.chmod(0o700)
    bundle.save()
    assert runtime.run(bundle).ok().out == "text\n"
    assert seen.read_text() == "text\n"


@pytest.mark.not_on("runc", reason="binds the host's node, which must be there")
@pytest.mark.proves_operation("device_tree")
def test_a_device_that_the_host_lacks(runtime: Caller) -> None:
    """A listed device is made with its mode and owner, though a user namespace may make none, and the host has no such file."""
    bundle = mapped(runtime, "stat -c '%t,%T %a %u %g' /dev/mine; head -c1 /dev/mine | od -An -tx1")
    device = {"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o644, "uid": 3, "gid": 4}
    bundle.linux["devices"] = [device]
    bundle.linux["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}
    assert runtime.run(bundle.save()).ok().out.split() == ["1,5", "644", "3", "4", "00"]
    assert not os.path.lexists("/dev/mine")


@pytest.mark.not_on("runc", "crun", reason="the words are ours")
def test_a_device_of_nobody(runtime: Caller) -> None:
    """An owner that the user namespace lacks is an error with its place."""
    bundle = mapped(runtime, "true")
    bundle.linux["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "uid": 70000}]
    assert "/linux/devices/0: uid 70000 is not mapped" in runtime.run(bundle.save()).failed().err


@pytest.mark.not_on("runc", "crun", reason="the words are ours")
def test_a_caller_in_a_user_namespace(runtime: Caller) -> None:
    """There a lock of the host's is final: the error says which word to leave out, and nothing of directories."""
    with host_mount(runtime.directory / "source") as source:
        lock(source, "ro")
        bundle = runtime.shell("true")
        kept = [entry for entry in bundle.linux["namespaces"] if entry["type"] not in ("cgroup", "network")]
        bundle.linux["namespaces"] = kept
        bundle.linux.pop("cgroupsPath", None)
        bundle.config["mounts"] = [
            entry for entry in bundle.config["mounts"] if entry["type"] not in ("cgroup", "sysfs", "devpts")
        ]
        bundle.config["mounts"].append(rbind("/x", source, "rw"))
        (bundle.rootfs / "x").mkdir()
        bundle.save()
        command = [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            runtime.program,
            "--root",
            runtime.directory / "in",
        ]
        done = subprocess.run(
            [*command, "run", "-b", bundle.directory, "x"], capture_output=True, text=True, check=False
        )
    assert done.returncode
    assert done.stderr.rstrip().endswith(
        "set the mount's attributes: operation not permitted; the host's mount differs, and a user namespace may not"
        " change it: leave out rw"
    )


@pytest.mark.not_on("runc", "crun", reason="the words are ours")
def test_a_user_namespace_without_mappings(runtime: Caller) -> None:
    """A user namespace without mappings is an error that names what is missing: nobody in it could make the container."""
    bundle = mapped(runtime, "true")
    del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
    err = runtime.run(bundle.save()).failed().err
    assert "a new user namespace needs gidMappings" in err
    assert "is not mapped" not in err


@pytest.mark.not_on("runc", "crun", reason="these versions have no src-nofollow")
@pytest.mark.parametrize("option", ["rprivate", "noatime"])
def test_a_link_that_is_bound_itself(runtime: Caller, option: str) -> None:
    """src-nofollow binds a link of the host, also where a lock would refuse the other options."""
    bundle = mapped(runtime, "readlink /x")
    (bundle.rootfs / "x").symlink_to("elsewhere")
    link = runtime.directory / "link"
    link.symlink_to("no/where")
    bundle.config["mounts"].append(bind("/x", link, "src-nofollow", "dest-nofollow", option))
    assert runtime.run(bundle.save()).ok().out == "no/where\n"


@pytest.mark.not_on("runc", reason="leaves the flags of the host's mount")
@pytest.mark.not_on("crun", reason="makes some of the devices in a file system without such flags")
@pytest.mark.proves_operation("device_bind")
def test_flags_of_devices(runtime: Caller) -> None:
    """Bound devices, those of the host and those that are made, are mounts with nosuid and noexec."""
    bundle = mapped(runtime, "cat /proc/self/mountinfo")
    bundle.linux["devices"] = [{"path": "/dev/made", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600}]
    rows = [line.split() for line in runtime.run(bundle.save()).ok().out.splitlines()]
    flags = {row[4]: set(row[5].split(",")) for row in rows}
    names = ("null", "zero", "full", "tty", "random", "urandom", "made")
    assert [name for name in names if not {"nosuid", "noexec"} <= flags[f"/dev/{name}"]] == []


@pytest.mark.not_on("runc", "crun", reason="the words are ours")
def test_what_a_mapped_root_may_not_make(runtime: Caller) -> None:
    """Where a target is missing in a directory of the host's root, the error says what could not be made, and what from."""
    source = runtime.directory / "source"
    source.mkdir()
    (source / "file").touch()
    known = "create it beforehand: the user namespace's root may not create it in this directory"
    for entry, words in (
        (bind("/new", source), f"bind {source} on /new: make the directory: permission denied; {known}"),
        (bind("/new", source / "file"), f"bind {source}/file on /new: create the file: permission denied; {known}"),
        (mount("/new", "tmpfs"), f"mount tmpfs on /new: make the directory: permission denied; {known}"),
    ):
        bundle = mapped(runtime, "true")
        bundle.config["mounts"].append(entry)
        assert words in runtime.run(bundle.save()).failed(1).err
