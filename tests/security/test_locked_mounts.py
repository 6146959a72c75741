"""Attempts of a user namespace's root to take from the host's mounts the flags that they have, or what covers them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.mounts import host_mount, rbind
from tests.security.attack import Target, attack

IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
LOCKED = "ro,nosuid,nodev"
STOPS = "mounts are cloned in the container's mount namespace, with the caller's rights: the kernel locks them there"


@contextmanager
def covered(directory: Path) -> Iterator[Path]:
    """A mount with LOCKED flags and `below/secret` in it, which another mount covers."""
    with host_mount(directory, "tmpfs", "mode=755"):
        (directory / "below").mkdir()
        (directory / "below/secret").write_text("secret")
        with host_mount(directory / "below", "tmpfs", "mode=755"):
            subprocess.run(["mount", "-o", f"remount,bind,{LOCKED}", directory], check=True)
            yield directory


def rooted(target: Target, script: str, entry: dict[str, Any] | None = None) -> Bundle:
    """A bundle whose program is root of a user namespace and may mount; the entry is mounted on /x."""
    bundle = target.caller.shell(script)
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS, maskedPaths=[], readonlyPaths=[])
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]
    for name in ("x", "y"):
        (bundle.rootfs / name).mkdir()
    if entry:
        bundle.config["mounts"].append(entry)
    return bundle.save()


def remounting(path: str) -> str:
    """Says which of the flags could be taken away, with all others kept."""
    tries = {"rw": "rw,nosuid,nodev", "suid": "ro,suid,nodev", "dev": "ro,nosuid,dev", "all": "rw,suid,dev"}
    commands = [
        f"mount -o remount,bind,{options} none {path} 2>/dev/null && echo {name}" for name, options in tries.items()
    ]
    return "; ".join([*commands, "true"])


def uncovering(path: str) -> str:
    """Says what of `below/secret` could be seen: by umount, and by a bind of the covered mount alone."""
    return (
        f"umount {path}/below 2>/dev/null && echo unmounted; mount -o bind {path} /y 2>/dev/null && echo bound;"
        f" cat {path}/below/secret /y/below/secret 2>/dev/null; true"
    )


@attack(
    "own find",
    "root of a user namespace remounts a bind rw, suid or dev, against the host's flags",
    stops=STOPS,
    bites=("crun",),
)
def test_remounted_bind(target: Target) -> None:
    """No flag of the host's mount can be taken away. (runc 1.1.5 withstands.)"""
    with covered(target.caller.directory / "source") as source:
        result = target.caller.run(rooted(target, remounting("/x"), rbind("/x", source)))
    result.ok()
    target.judge(result.out)


@attack("own find", "the same with an id-mapped bind", stops=STOPS, bites=("crun",))
def test_remounted_idmapped_bind(target: Target) -> None:
    """Id maps take no lock away. (runc 1.1.5 has no id-mapped mounts.)"""
    entry = {"options": ["rbind", "idmap"], "uidMappings": IDS, "gidMappings": IDS}
    with covered(target.caller.directory / "source") as source:
        result = target.caller.run(rooted(target, remounting("/x"), {**rbind("/x", source), **entry}))
    result.ok()
    target.judge(result.out)


@attack("own find", "the same with a bind of a single mount, without its submounts", stops=STOPS, bites=("crun",))
def test_remounted_lone_bind(target: Target) -> None:
    """A bind that shows what the host has covered, since the config asks for it, is locked too. (runc refuses the config.)"""
    with covered(target.caller.directory / "source") as source:
        entry = {**rbind("/x", source), "options": ["bind"]}
        result = target.caller.run(
            rooted(target, f"cat /x/below/secret >/dev/null && {{ {remounting('/x')}; }}", entry)
        )
    result.ok()
    target.judge(result.out)


@contextmanager
def disk(directory: Path) -> Iterator[str]:
    """A block device with an ext4 on it."""
    image = directory / "image"
    with open(image, "wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    find = ["losetup", "--find", "--show", image]
    device = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@attack(
    "own find",
    "the same with an id-mapped new file system",
    stops="once it has its flags, it is copied in a mount namespace of the user namespace: the kernel locks them there",
)
@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_remounted_new_file_system(target: Target, kind: str) -> None:
    """No flag of the config can be taken away, but that by which init makes a tmpfs read-only. (The peers have no id-mapped
    mounts; without id maps none of ext4 can be made in a user namespace.)"""
    entry = {"destination": "/x", "type": kind, "options": [*LOCKED.split(","), "idmap"]}
    with disk(target.caller.directory) as device:
        entry["source"] = device if kind == "ext4" else "tmpfs"
        bundle = rooted(target, f"grep -q ' /x .*idmapped' /proc/self/mountinfo && {{ {remounting('/x')}; }}", entry)
        bundle.config["mounts"][-1].update(uidMappings=IDS, gidMappings=IDS)
        result = target.caller.run(bundle.save())
    result.ok()
    target.judge(set(result.out.split()) - ({"rw"} if kind == "tmpfs" else set()), result.out)


@attack(
    "own find",
    "a bind of a path under an earlier mount asks for what that mount's lock forbids: the covered files appear",
    stops="a clone from outside the container is used only if the path leads to the same file there",
)
def test_bind_of_a_covered_path(target: Target) -> None:
    """The bind is an error, and nothing of the host's directory below is seen. (runc 1.1.5 opens the source before it
    mounts anything; crun takes the read-only flag away where it is mounted.)"""
    with covered(target.caller.directory / "source") as source:
        bundle = rooted(target, "cat /x/file", rbind("/y", source))
        bundle.write("y/file", "covered")
        bundle.config["mounts"].append({**rbind("/x", bundle.rootfs / "y"), "options": ["rbind", "rw"]})
        result = target.caller.run(bundle.save())
    target.judge("covered" in result.out, result.out)
    assert "/mounts/" in result.failed(1).err


@attack("own find", "root of a user namespace remounts `/` rw, suid or dev, against the host's flags", stops=STOPS)
def test_remounted_root(target: Target) -> None:
    """The root keeps the flags that its mount has on the host. (runc 1.1.5 and crun 1.8.1 withstand.)"""
    bundle = rooted(target, remounting("/"))
    with host_mount_of(bundle.rootfs):
        result = target.caller.run(bundle)
    result.ok()
    target.judge(result.out)


@attack("own find", "root of a user namespace unmounts what covers a host file below a bind", stops=STOPS)
def test_uncovered_bind(target: Target) -> None:
    """Neither umount nor a bind of the covered mount shows the file. (runc 1.1.5 withstands; crun 1.8.1 shows it at
    once, since it binds the one mount.)"""
    with covered(target.caller.directory / "source") as source:
        result = target.caller.run(rooted(target, uncovering("/x"), rbind("/x", source)))
    result.ok()
    target.judge(result.out)


@attack("own find", "the same below an id-mapped bind", stops=STOPS)
def test_uncovered_idmapped_bind(target: Target) -> None:
    """Neither umount nor a bind of the covered mount shows the file. (The peers: see above.)"""
    entry = {"options": ["rbind", "idmap"], "uidMappings": IDS, "gidMappings": IDS}
    with covered(target.caller.directory / "source") as source:
        result = target.caller.run(rooted(target, uncovering("/x"), {**rbind("/x", source), **entry}))
    result.ok()
    target.judge(result.out)


@attack("own find", "the same below `/`", stops=STOPS)
def test_uncovered_root(target: Target) -> None:
    """What is mounted below the rootfs on the host stays there. (runc 1.1.5 and crun 1.8.1 withstand.)"""
    bundle = rooted(target, uncovering("/"))
    (bundle.rootfs / "below").mkdir()
    (bundle.rootfs / "below/secret").write_text("secret")
    with host_mount(bundle.rootfs / "below", "tmpfs", "mode=755"):
        result = target.caller.run(bundle)
    result.ok()
    target.judge(result.out)


@contextmanager
def host_mount_of(rootfs: Path) -> Iterator[None]:
    """The directory as a mount of its own, with LOCKED flags."""
    subprocess.run(["mount", "--bind", rootfs, rootfs], check=True)
    try:
        subprocess.run(["mount", "-o", f"remount,bind,{LOCKED}", rootfs], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", rootfs], check=True)
