"""Bundles for tests: a root file system, the config that the tests start from, and the two together on disk.

Nothing here knows a runtime: the same bundles go to ocirun, runc and crun.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

Config = dict[str, Any]

BUSYBOX = Path("/usr/bin/busybox")
DEBIAN_SUITE = "bookworm"

PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/sbin:/bin/false\nada:x:1000:1000::/home/ada:/bin/sh\n"
GROUP = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nada:x:1000:\nstaff:x:50:ada\n"
DIRECTORIES = (
    "bin",
    "dev",
    "etc",
    "home/ada",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr/bin",
    "usr/sbin",
    "var",
)

CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]


def cache_directory() -> Path:
    """Where what is slow to make is kept between test runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "ocirun"


def build_busybox_rootfs(directory: Path) -> None:
    """Fill an existing or new directory with busybox, one symlink an applet, and the usual accounts."""
    for name in DIRECTORIES:
        (directory / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2(BUSYBOX, directory / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text(PASSWD)
    (directory / "etc/group").write_text(GROUP)
    (directory / "tmp").chmod(0o1777)
    os.chown(directory / "home/ada", 1000, 1000)


def copy_rootfs(source: Path, target: Path) -> None:
    """A copy that the container may write to; the busybox binary alone is shared, by a hard link."""
    _copy_tree(str(source), str(target))
    os.chown(target / "home/ada", 1000, 1000)


def _copy_tree(source: str, target: str) -> None:
    # shutil.copytree takes 70 ms for the 270 links of busybox, this 10.
    os.mkdir(target)
    os.chmod(target, os.stat(source).st_mode & 0o7777)
    with os.scandir(source) as entries:
        for entry in entries:
            to = f"{target}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), to)
            elif entry.is_dir():
                _copy_tree(entry.path, to)
            elif entry.name == "busybox":
                _link_or_copy(entry.path, to)
            else:
                shutil.copy2(entry.path, to)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def debian_rootfs() -> Path:
    """The cached minimal Debian, made by debootstrap at the first call.

    Raises OSError or subprocess.SubprocessError where debootstrap is missing or the mirror is out of reach.
    """
    target = cache_directory() / f"debian-{DEBIAN_SUITE}"
    if target.is_dir():
        return target
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", DEBIAN_SUITE, str(partial)]
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=900)
        try:
            partial.rename(target)
        except OSError:  # another run was quicker
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def default_config() -> Config:
    """What `runc spec` writes, without a terminal: five namespaces, three capabilities, no cgroupsPath."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {name: list(CAPABILITIES) for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "box",
        "mounts": [
            _mount("/proc", "proc", "proc"),
            _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            _mount(
                "/dev/pts",
                "devpts",
                "devpts",
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ),
            _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
            _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
            _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
            _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
        ],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def merge(base: Any, change: Any) -> Any:
    """base with change laid over it: objects merge by key, a None removes the key, anything else replaces."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return copy.deepcopy(change)
    merged = dict(base)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


class Bundle:
    """A bundle directory. Change `config` in place and `save()`; `rootfs` is the root on the host."""

    def __init__(self, directory: Path, config: Config) -> None:
        self.directory = directory
        self.config = config

    @property
    def rootfs(self) -> Path:
        return self.directory / self.config.get("root", {}).get("path", "rootfs")

    @property
    def process(self) -> dict[str, Any]:
        process: dict[str, Any] = self.config["process"]
        return process

    @property
    def linux(self) -> dict[str, Any]:
        linux: dict[str, Any] = self.config["linux"]
        return linux

    def share_mounts(self) -> Bundle:
        """The container has the host's mount namespace, and asks for nothing that takes an own one. Saved."""
        self.linux["namespaces"] = [entry for entry in self.linux["namespaces"] if entry["type"] != "mount"]
        self.linux.update(maskedPaths=[], readonlyPaths=[])
        self.config["mounts"] = []
        return self.save()

    def save(self) -> Bundle:
        (self.directory / "config.json").write_text(json.dumps(self.config, indent=1))
        return self

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file in the root file system."""
        file = self.rootfs / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file
