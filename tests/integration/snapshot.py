"""What a test could leave behind: processes, cgroups, mounts, directories, descriptors.

Other people use the machine at the same time, so a snapshot holds only what can be ours: descendants of
this process (a child subreaper, so that nothing escapes), and cgroups and mounts whose path holds the
test's token.
"""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x00020000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2


def become_subreaper() -> None:
    """Make every orphan of ours our child, as a container manager does."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def hide_hybrid_controllers() -> None:
    """Move to a mount namespace without the v2 mount of a hybrid host: crun refuses one that has controllers.

    The machine's own mounts stay as they are.
    """
    hybrid = Path("/sys/fs/cgroup/unified")
    if not (hybrid / "cgroup.controllers").exists():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "make a private mount namespace")
    if libc.umount2(str(hybrid).encode(), MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), f"unmount {hybrid}")


def stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command's name: state, ppid, ...; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def descendants(root: int) -> dict[int, str]:
    """pid -> state letter, of every process below root."""
    parents: dict[int, tuple[int, str]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (values := stat_fields(int(name))):
            parents[int(name)] = (int(values[1]), values[0])
    found: dict[int, str] = {}
    for pid, (_, state) in parents.items():
        above = pid
        while above in parents:
            above = parents[above][0]
            if above == root:
                found[pid] = state
                break
    return found


def reap_orphans(known: frozenset[int] | set[int] = frozenset()) -> None:
    """Collect the zombies handed to us as their subreaper, but for `known`, which subprocess waits for."""
    for pid, state in descendants(os.getpid()).items():
        if state == "Z" and pid not in known:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # a zombie of somebody below us
                pass


def cgroup_hierarchies() -> list[tuple[Path, str]]:
    """Mount point and type (cgroup, cgroup2) of each mounted hierarchy."""
    found = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if (kind := right.split()[0]) in ("cgroup", "cgroup2"):
                found.append((Path(left.split()[4]), kind))
    return found


def cgroup_mounts() -> list[Path]:
    """The mount point of each cgroup hierarchy, v1 and v2."""
    return [path for path, _ in cgroup_hierarchies()]


def cgroups(token: str) -> set[str]:
    """Every cgroup directory whose path holds the token. os.walk recurses, and others may nest cgroups deeply."""
    held = set()
    unseen = [str(mount) for mount in cgroup_mounts()]
    while unseen:
        directory = unseen.pop()
        if token in directory:
            held.add(directory)
        try:
            with os.scandir(directory) as entries:
                unseen += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # removed meanwhile, or its path is too long
            continue
    return held


def mounts(token: str) -> set[str]:
    """The lines of our mount table that name the token, without the mount's number."""
    with open("/proc/self/mountinfo") as file:
        return {line.split(" ", 2)[2].rstrip() for line in file if token in line}


def files(*directories: Path) -> set[str]:
    """Every path below the directories, but for the cache of compiled seccomp profiles, which is to stay."""
    found = set()
    for top in directories:
        for directory, names, leaves in os.walk(top):
            paths = [os.path.join(directory, name) for name in names + leaves]
            found.update(path for path in paths if "/.seccomp" not in path)
    return found


def descriptors() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} -> {os.readlink(f'/proc/self/fd/{number}')}")
        except OSError:  # the one that listdir itself used
            pass
    return found


@dataclass
class Snapshot:
    processes: set[int] = field(default_factory=set)
    cgroups: set[str] = field(default_factory=set)
    mounts: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    descriptors: set[str] = field(default_factory=set)


def take(token: str, *directories: Path) -> Snapshot:
    """directories: trees in which every file counts (the runtime's state, the temporary files)."""
    reap_orphans()
    return Snapshot(set(descendants(os.getpid())), cgroups(token), mounts(token), files(*directories), descriptors())


def difference(before: Snapshot, after: Snapshot) -> dict[str, list[str]]:
    """What is there now and was not before, by kind; empty when nothing was left."""
    left = {}
    for kind in fields(Snapshot):
        extra = getattr(after, kind.name) - getattr(before, kind.name)
        if extra:
            processes = kind.name == "processes"
            left[kind.name] = sorted(f"{pid} {command_of(pid)}" for pid in extra) if processes else sorted(extra)
    return left


def command_of(pid: int) -> str:
    """Its program and arguments, with spaces between."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "gone"


def leftovers(before: Snapshot, token: str, *directories: Path, patience: float = 2.0) -> dict[str, list[str]]:
    """The difference to now; waits a little, since a killed process takes a moment to go."""
    deadline = time.monotonic() + patience
    while True:
        left = difference(before, take(token, *directories))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)
