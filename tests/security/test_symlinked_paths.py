"""An image whose paths are not what their names say: symlinks at /proc, /sys, /dev, and where mounts are asked for."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.console import ConsoleSocket
from tests.security.attack import Target, attack, names


def without_mount(bundle: Bundle, *destinations: str) -> Bundle:
    bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if entry["destination"] not in destinations]
    return bundle


def replace_by_link(bundle: Bundle, path: str, to: str | Path) -> None:
    place = bundle.rootfs / path
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    else:
        place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(to)


def volume(bundle: Bundle, destination: str, *options: str, name: str = "volume") -> Path:
    """A directory of the host, bound into the container after the config's other mounts."""
    directory = bundle.directory / name
    directory.mkdir(exist_ok=True)
    bundle.config["mounts"].append(
        {"destination": destination, "type": "bind", "source": str(directory), "options": ["bind", *options]}
    )
    return directory


@attack(
    "CVE-2019-18837",
    "a symlink of the image leads a mount target out of the root",
    stops="targets are looked up and created with openat2(RESOLVE_IN_ROOT)",
)
def test_symlinked_mount_target(target: Target) -> None:
    """The missing target is made on the host, where the link points. (No installed peer does that still; that the path
    leads there is seen by opening it as crun did.)"""
    bundle = target.caller.shell("test -e /escape/made && cat /proc/mounts")
    outside = bundle.directory / "outside"
    outside.mkdir()
    (bundle.rootfs / "escape").symlink_to(outside)
    volume(bundle, "/escape/made")
    result = target.caller.run(bundle.save())
    target.judge(names(outside), result.err)
    result.ok()
    os.mkdir(bundle.rootfs / "escape/made")
    assert names(outside) == {"made"}, "the link does not lead out: the attack is none"


@pytest.mark.parametrize("place", ["proc", "sys"])
@attack(
    "CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867",
    "/proc or /sys of the image is a symlink into a volume that others can write to",
    stops="proc and sysfs are mounted only on a directory reached without a symlink (RESOLVE_NO_SYMLINKS)",
)
def test_symlinked_proc(target: Target, place: str) -> None:
    """The masks of /proc and /sys would land in the volume, where their targets can be swapped. (runc 1.1.5 and crun
    1.8.1 refuse it too.)"""
    bundle = target.caller.shell("grep volume /proc/mounts; ls -ld /proc /sys")
    shared = bundle.rootfs / "shared"
    shared.mkdir()
    replace_by_link(bundle, place, f"/shared/{place}")
    (shared / place).mkdir()
    result = target.caller.run(bundle.save())
    target.judge(result.code == 0, result.out)
    assert f"on /{place}" in result.err
    assert "not an ordinary directory" in result.err


@attack(
    "own find; the kind of CVE-2026-41579, CVE-2026-47766",
    "/dev of the image is a symlink to where the host's /dev is mounted: setting up /dev changes the host's nodes",
    stops="/dev is mounted only on a directory; nodes and links are created in that mount, by its descriptor",
    bites=("runc",),
)
def test_symlinked_dev(target: Target) -> None:
    """A manager that shows the host's /dev at /host/dev and an image with /dev -> /host/dev: /dev/ptmx of the host is
    replaced by a link, and console, fd, stdin … are made in it. Here a directory stands for the host's."""
    bundle = target.caller.shell("true")
    devices = volume(bundle, "/host/dev")
    os.mknod(devices / "ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    replace_by_link(bundle, "dev", "/host/dev")
    before = names(devices)
    result = target.caller.run(bundle.save())
    changed = names(devices) != before or not stat.S_ISCHR((devices / "ptmx").lstat().st_mode)
    target.judge(changed, f"{names(devices)} {result.err}")
    assert result.code != 0
    assert "/dev" in result.err


@attack(
    "own find",
    "the mount point for the host's /dev is a symlink to /dev in the image: it covers the container's own /dev",
    stops="nodes and links are created in the mount of /dev, by its descriptor, whatever covers it",
    bites=("runc", "crun"),
)
def test_mount_led_over_dev(target: Target) -> None:
    """As above, the other way round: the bind on /host/dev lands on /dev."""
    bundle = target.caller.shell("true")
    devices = volume(bundle, "/host/dev")
    os.mknod(devices / "ptmx", stat.S_IFCHR | 0o666, os.makedev(5, 2))
    (bundle.rootfs / "host").symlink_to("/")
    before = names(devices)
    result = target.caller.run(bundle.save())
    changed = names(devices) != before or not stat.S_ISCHR((devices / "ptmx").lstat().st_mode)
    target.judge(changed, f"{names(devices)} {result.err}")


def with_listener(target: Target, bundle: Bundle) -> Any:
    """`create` and `start` with a terminal."""
    with ConsoleSocket(bundle.directory / "tty") as listener:
        id = target.caller.new_id()
        result = target.caller.call(
            "create", "--bundle", bundle.directory, "--console-socket", listener.path, id, timeout=20
        )
        if result.code == 0:
            terminal = listener.receive()
            started = target.caller.call("start", id)
            if started.code == 0:
                terminal.read_until(None, 10)
            terminal.close()
    return result


@attack(
    "CVE-2025-24965, CVE-2026-88264",
    "/dev/console of the image is a symlink: a file is created where it points, outside the root",
    stops="the target is created with openat2(RESOLVE_IN_ROOT), in the mount of /dev if there is one",
    bites=("crun",),
)
def test_symlinked_console(target: Target) -> None:
    """A bundle without a mount on /dev and a link to a path of the host."""
    bundle = without_mount(target.caller.shell("ls -l /dev/console"), "/dev", "/dev/shm", "/dev/mqueue")
    bundle.process["terminal"] = True
    outside = bundle.directory / "outside"
    outside.mkdir()
    (bundle.rootfs / "dev/console").symlink_to(outside / "made")
    result = with_listener(target, bundle.save())
    target.judge(names(outside), result.err)


@attack(
    "CVE-2025-52565",
    "/dev/pts/N is a symlink when the terminal is bound to /dev/console by name",
    stops="the terminal is opened from its master (TIOCGPTPEER), which must be on a devpts",
)
def test_false_terminal(target: Target) -> None:
    """/dev/pts of the image has a link for every number, and no devpts is mounted: refused. (With the peers this is a race
    between two containers that share /dev.)"""
    bundle = without_mount(target.caller.shell("echo x > /dev/console"), "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
    bundle.process["terminal"] = True
    victim = bundle.write("/etc/victim", "victim")
    bundle.write("/dev/pts/ptmx", "")
    for number in range(10):
        (bundle.rootfs / f"dev/pts/{number}").symlink_to("/etc/victim")
    result = with_listener(target, bundle.save())
    target.judge(result.code == 0 or victim.read_text() != "victim", result.out)


@pytest.mark.parametrize("link", ["/", ".", "etc/..", "/etc/.."])
@attack(
    "own find",
    "the mount point of a volume is a symlink to / in the image: `exec` gets the volume as its root",
    stops="a target that is the container's root, by mount id, is refused",
)
def test_mount_led_over_the_root(target: Target, link: str) -> None:
    """The first process keeps the root that is covered, and who joins its namespace sees the volume. (With runc 1.1.5 and
    crun 1.8.1 the start fails, since they look for their own files below the volume.)"""
    bundle = target.caller.sleeper()
    directory = volume(bundle, "/slash")
    (directory / "planted").touch()
    (bundle.rootfs / "slash").symlink_to(link)
    bundle.save()
    id = target.caller.new_id()
    result = target.caller.call("run", "--detach", "--bundle", bundle.directory, id)
    seen = target.caller.exec(id, ["ls", "/"]).out if result.code == 0 else ""
    target.judge(result.code == 0, seen)
    assert f"{directory} on /slash: it leads to the container's root" in result.err


@pytest.mark.parametrize("path", ["/", "/slash"])
@attack(
    "own find",
    "readonlyPaths names /, or a symlink of the image to it: the mount there covers a root that stays writable",
    stops="the root's own mount is made read-only",
    bites=("crun",),
)
def test_readonly_root_that_is_covered(target: Target, path: str) -> None:
    """The container writes to its root. (runc 1.1.5 makes it read-only.)"""
    bundle = target.caller.shell("touch /written; touch /tmp/written", {"linux": {"readonlyPaths": [path]}})
    (bundle.rootfs / "slash").symlink_to("/")
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    result = target.caller.run(bundle.save())
    target.judge((bundle.rootfs / "written").exists(), result.err)
    assert ("touch: /written: Read-only file system" in result.err) == target.ours
    assert "/tmp/written" not in result.err


@attack(
    "own find",
    "a masked path is a symlink to / in the image: silently, nothing is hidden",
    stops="a target that is the container's root, by mount id, is refused",
    bites=("runc",),
)
def test_mask_led_over_the_root(target: Target) -> None:
    """The container runs, and sees all that it has. (crun 1.8.1 fails.)"""
    bundle = target.caller.shell("ls /slash/etc", {"linux": {"maskedPaths": ["/slash"]}})
    (bundle.rootfs / "slash").symlink_to("/")
    result = target.caller.run(bundle.save())
    target.judge(result.code == 0 and result.out, result.err)
    assert ("mask /slash if it is there: it leads to the container's root" in result.err) == target.ours
