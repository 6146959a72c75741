"""Id-mapped mounts: whose files the container sees, whose files it makes, and what is refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller
from tests.integration.mounts import host_mount, mount, nested, rbind

pytestmark = pytest.mark.not_on("runc", "crun", reason="these versions have no idmapped mounts")

CONTAINER = [{"containerID": 0, "hostID": 100000, "size": 65536}]
UIDS = [{"containerID": 5, "hostID": 1000, "size": 2}]
GIDS = [{"containerID": 6, "hostID": 2000, "size": 3}]


def source_of(runtime: Caller) -> Path:
    """A directory of the host with a file in it, both of user 5 and group 6, which anybody may write to."""
    source = runtime.directory / "source"
    source.mkdir()
    source.chmod(0o777)
    (source / "file").touch()
    for path in (source, source / "file"):
        os.chown(path, 5, 6)
    return source


def with_mount(runtime: Caller, script: str, entry: dict[str, Any], user: bool = False) -> Bundle:
    bundle = runtime.shell(script)
    (bundle.rootfs / entry["destination"].lstrip("/")).mkdir()  # a mapped root may not make it
    if user:
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux.update(uidMappings=CONTAINER, gidMappings=CONTAINER)
    bundle.config["mounts"].append(entry)
    return bundle.save()


@pytest.mark.proves("/mounts/*/uidMappings")
@pytest.mark.proves("/mounts/*/uidMappings/*/containerID")
@pytest.mark.proves("/mounts/*/uidMappings/*/hostID")
@pytest.mark.proves("/mounts/*/gidMappings")
@pytest.mark.proves("/mounts/*/gidMappings/*/containerID")
@pytest.mark.proves("/mounts/*/gidMappings/*/hostID")
def test_mappings_of_the_mount(runtime: Caller) -> None:
    """Ids of the file system are seen as the host's ids that the mount maps them to; what is made there is mapped back."""
    source = source_of(runtime)
    entry = {**rbind("/x", source, "idmap"), "uidMappings": UIDS, "gidMappings": GIDS}
    bundle = with_mount(runtime, "stat -c '%u %g' /x/file; touch /x/new", entry)
    bundle.process["user"] = {"uid": 1001, "gid": 2002}
    assert runtime.run(bundle.save()).ok().out == "1000 2000\n"
    made = (source / "new").stat()
    assert (made.st_uid, made.st_gid) == (6, 8)


@pytest.mark.proves("/mounts/*/uidMappings/*/size")
@pytest.mark.proves("/mounts/*/gidMappings/*/size")
def test_ids_beyond_the_mappings(runtime: Caller) -> None:
    """An id after the last one mapped belongs to nobody, and nobody's files can be made there."""
    source = source_of(runtime)
    os.chown(source / "file", 7, 9)
    entry = {**rbind("/x", source, "idmap"), "uidMappings": UIDS, "gidMappings": GIDS}
    bundle = with_mount(runtime, "stat -c '%u %g' /x/file; touch /x/new 2>/dev/null || echo refused", entry)
    assert runtime.run(bundle).ok().out == "65534 65534\nrefused\n"


def test_mappings_without_the_option(runtime: Caller) -> None:
    """Mappings alone are enough, without a warning: CRI-O writes no option, and puts what create says in the container's log."""
    entry = {**rbind("/x", source_of(runtime)), "uidMappings": UIDS, "gidMappings": GIDS}
    done = runtime.run(with_mount(runtime, "stat -c '%u %g' /x/file", entry)).ok()
    assert (done.out, done.err) == ("1000 2000\n", "")


@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize("own", [True, False])
def test_with_a_user_namespace(runtime: Caller, own: bool) -> None:
    """idmap: with the container's maps, given or not, the container sees the ids of the disk, and writes them."""
    source = source_of(runtime)
    entry = rbind("/x", source, "idmap")
    if own:
        entry.update(uidMappings=CONTAINER, gidMappings=CONTAINER)
    bundle = with_mount(runtime, "stat -c '%u %g' /x/file; touch /x/new; stat -c '%u %g' /x/new", entry, user=True)
    assert runtime.run(bundle).ok().out == "5 6\n0 0\n"
    assert (source / "new").stat().st_uid == 0


def test_with_a_joined_user_namespace(runtime: Caller) -> None:
    """Without mappings they are those of the user namespace that is joined."""
    first = runtime.launch(with_mount(runtime, "exec sleep 60", mount("/y"), user=True))
    bundle = with_mount(runtime, "stat -c '%u %g' /x/file", rbind("/x", source_of(runtime), "idmap"))
    bundle.linux["namespaces"].append({"type": "user", "path": f"/proc/{runtime.pid(first)}/ns/user"})
    assert runtime.run(bundle.save()).ok().out == "5 6\n"


@pytest.mark.parametrize("size", [65536, 65535])
def test_maps_of_a_joined_user_namespace(runtime: Caller, size: int) -> None:
    """Maps that only repeat those of the joined namespace, as CRI-O and containerd write them, are no warning; others are."""
    first = runtime.launch(with_mount(runtime, "exec sleep 60", mount("/y"), user=True))
    bundle = runtime.shell("cat /proc/self/uid_map")
    bundle.linux["namespaces"].append({"type": "user", "path": f"/proc/{runtime.pid(first)}/ns/user"})
    bundle.linux.update(uidMappings=CONTAINER, gidMappings=[CONTAINER[0] | {"size": size}])
    done = runtime.run(bundle.save()).ok()
    assert done.out.split() == ["0", "100000", "65536"]
    assert ("/linux/gidMappings: not written, the joined user namespace has its own" in done.err) == (size == 65535)
    assert "/linux/uidMappings" not in done.err
    assert not done.err or size == 65535


@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize(("option", "below"), [("idmap", "5 6"), ("ridmap", "1000 2000")])
def test_mounts_below(runtime: Caller, option: str, below: str) -> None:
    """ridmap maps what is mounted below as well, idmap does not."""
    with nested(runtime.directory / "source") as source:
        for directory in (source, source / "below"):
            (directory / "file").touch()
            os.chown(directory / "file", 5, 6)
        entry = {**rbind("/x", source, option), "uidMappings": UIDS, "gidMappings": GIDS}
        bundle = with_mount(runtime, "stat -c '%u %g' /x/file /x/below/file", entry)
        assert runtime.run(bundle).ok().out.splitlines() == ["1000 2000", below]


@pytest.mark.parametrize("user", [True, False])
def test_new_file_system(runtime: Caller, user: bool) -> None:
    """A tmpfs can be id-mapped too, with its other options."""
    entry = mount("/x", "tmpfs", "tmpfs", "idmap", "size=64k", "nosuid", "ro", "noatime", "exec")
    entry.update(uidMappings=CONTAINER, gidMappings=CONTAINER)
    script = "grep ' /x ' /proc/self/mountinfo; stat -c '%u %g' /x; touch /x/new 2>/dev/null || echo ro"
    lines = runtime.run(with_mount(runtime, script, entry, user)).ok().out.splitlines()
    assert {"size=64k", "nosuid", "noatime", "idmapped", "ro"} <= set(lines[0].replace(",", " ").split())
    assert lines[1:] == ["0 0" if user else "100000 100000", "ro"]


def test_read_only_and_idmapped(runtime: Caller) -> None:
    """The other options count as well."""
    entry = {**rbind("/x", source_of(runtime), "idmap", "ro"), "uidMappings": UIDS, "gidMappings": GIDS}
    script = "stat -c '%u' /x/file; touch /x/new 2>/dev/null || echo ro"
    assert runtime.run(with_mount(runtime, script, entry)).ok().out == "1000\nro\n"


def test_file_system_without_id_maps(runtime: Caller) -> None:
    """The error names the mount, its file system, and what to do."""
    entry = {**rbind("/x", "/proc/sys", "idmap"), "uidMappings": UIDS, "gidMappings": GIDS}
    err = runtime.try_create(with_mount(runtime, "true", entry)).failed(1).err
    assert (
        "/mounts/7: map the ids of the mount at /proc/sys: invalid argument; proc has no id-mapped mounts here" in err
    )
    assert "leave idmap away" in err


def test_mount_that_is_mapped_already(runtime: Caller) -> None:
    """A file system below that has none is told of by ridmap too; nothing is mapped in part."""
    with host_mount(runtime.directory / "source") as source:
        (source / "proc").mkdir()
        subprocess.run(["mount", "--rbind", "/proc", source / "proc"], check=True)
        subprocess.run(["mount", "--make-rprivate", source / "proc"], check=True)
        entry = {**rbind("/x", source, "ridmap"), "uidMappings": UIDS, "gidMappings": GIDS}
        assert "map the ids" in runtime.try_create(with_mount(runtime, "true", entry)).failed(1).err


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (mount("/x", "tmpfs", "tmpfs", "idmap", "tmpcopyup"), "tmpcopyup"),
        (mount("/x", "tmpfs", "tmpfs", "idmap", "remount"), "remount"),
        (mount("/x", "tmpfs", "tmpfs", "idmap", "iversion"), "iversion"),
        (mount("/x", "cgroup", "cgroup", "idmap"), "cgroups"),
        (mount("/x", "nosuchfs", "none", "idmap"), "the kernel does not know this file system"),
    ],
)
def test_refused(runtime: Caller, entry: dict[str, Any], words: str) -> None:
    """What cannot go together with id maps is refused by name and place."""
    entry = {**entry, "uidMappings": UIDS, "gidMappings": GIDS}
    err = runtime.try_create(with_mount(runtime, "true", entry)).failed(1).err
    assert "/mounts/7" in err
    assert words in err


def test_no_maps_at_all(runtime: Caller) -> None:
    """Neither the mount nor the container has maps: refused, never ignored."""
    err = runtime.try_create(with_mount(runtime, "true", rbind("/x", source_of(runtime), "idmap"))).failed(1).err
    assert "/mounts/7/options/1: the option idmap needs mappings" in err
