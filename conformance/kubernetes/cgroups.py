"""The cgroups of a node, on each hierarchy of the host."""

from __future__ import annotations

import os
import time
from pathlib import Path

PREFIX = "ocirun-node-"


def hierarchies() -> list[tuple[Path, str, str]]:
    """(mount point, type, options of the file system) of each cgroup hierarchy."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            found.append((Path(left.split()[4]), kind, options))
    return found


def make(name: str) -> None:
    for mount, kind, _ in hierarchies():
        group = mount / name
        group.mkdir()
        if kind == "cgroup2":
            continue
        for file in ("cpuset.cpus", "cpuset.mems"):  # empty in a new cgroup, which then takes no process
            if (mount / file).exists():
                (group / file).write_text((mount / file).read_text())


def of_daemons(name: str) -> list[Path]:
    """The cgroups of the node's daemons: on v2, below its first one, which could otherwise not limit others."""
    groups = [mount / name for mount, _, _ in hierarchies()]
    return [group / "daemons" if (group / "daemons").exists() else group for group in groups]


def join(name: str) -> None:
    for mount, _, _ in hierarchies():
        (mount / name / "cgroup.procs").write_text("0")


def find(name: str, controller: str) -> Path:
    """The directory of the node's cgroup that has this controller."""
    for mount, kind, options in hierarchies():
        v2 = kind == "cgroup2" and controller in (mount / "cgroup.controllers").read_text().split()
        if v2 or (kind == "cgroup" and controller in options.split(",")):
            return mount / name
    raise LookupError(controller)


def remove(name: str, patience: float = 20) -> list[str]:
    """Remove these cgroups and all below; what could not be removed, since a process is still in it."""
    end = time.monotonic() + patience
    while True:
        left = []
        for mount, _, _ in hierarchies():
            for directory, _, _ in os.walk(mount / name, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    left.append(directory)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def remove_old() -> None:
    """The empty cgroups that a node left whose maker was killed; the maker's pid is in their names."""
    for mount, _, _ in hierarchies():
        for group in mount.glob(f"{PREFIX}*"):
            if not Path("/proc", group.name.split("-")[2]).exists():
                remove(group.name, patience=0)
