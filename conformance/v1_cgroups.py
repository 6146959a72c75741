"""Puts controllers on cgroup v1 temporarily, in a private mount namespace: the host sees only /proc/cgroups change."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
CONTROL = CGROUPS / "unified/cgroup.subtree_control"
CLONE_NEWNS, PR_SET_CHILD_SUBREAPER = 0x20000, 36
PATIENCE_S = 20


def mount(*arguments: str | Path) -> bool:
    return subprocess.run(["mount", *arguments], check=False, stderr=subprocess.DEVNULL).returncode == 0


def stand_alone() -> None:
    """Enter a mount namespace of our own, with a copy of the tmpfs that the hierarchies are mounted in, and reap all below."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    if not os.path.ismount(CGROUPS) or (CGROUPS / "cgroup.controllers").exists():
        return
    hierarchies = [entry for entry in CGROUPS.iterdir() if os.path.ismount(entry)]
    opened = [os.open(entry, os.O_PATH) for entry in hierarchies]
    mount("-t", "tmpfs", "tmpfs", CGROUPS)
    for descriptor, entry in zip(opened, hierarchies, strict=True):
        entry.mkdir()
        mount("--no-canonicalize", "--bind", f"/proc/{os.getpid()}/fd/{descriptor}", entry)
        os.close(descriptor)


def reap() -> None:
    """A process that nobody has waited for keeps its cgroup."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def hierarchy(controller: str) -> tuple[int, int]:
    """(hierarchy number, 0 for v2 or none; number of cgroups)."""
    for line in Path("/proc/cgroups").read_text().splitlines():
        name, number, cgroups, _ = line.split()
        if name == controller:
            return int(number), int(cgroups)
    return -1, 0  # the kernel has no such controller


def mounted(controller: str) -> bool:
    """Mount it as v1. The kernel takes it from v2 only when the last cgroup there that has it is gone."""
    directory = CGROUPS / controller
    directory.mkdir()
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:  # retry: a new container on v2 may enable it again
        if CONTROL.exists() and controller in CONTROL.read_text().split():
            CONTROL.write_text(f"-{controller}")
        if mount("-t", "cgroup", "-o", controller, controller, directory):
            return True
        time.sleep(0.01)
    directory.rmdir()
    return False


def unmount(controller: str) -> None:
    """A hierarchy disappears with its last mount only if all its cgroups are gone by then."""
    for _ in range(PATIENCE_S * 5):
        reap()
        if hierarchy(controller)[1] == 1:
            break
        time.sleep(0.2)
    subprocess.run(["umount", CGROUPS / controller], check=True)
    (CGROUPS / controller).rmdir()
    for _ in range(PATIENCE_S * 5):
        if hierarchy(controller)[0] == 0:
            return
        time.sleep(0.2)
    raise RuntimeError(f"the {controller} hierarchy of cgroup v1 stays behind")


@contextlib.contextmanager
def on_v1(controllers: Sequence[str]) -> Iterator[None]:
    """The controllers as v1 hierarchies, where they are none already."""
    apart = os.path.ismount(CGROUPS) and not (CGROUPS / "cgroup.controllers").exists()
    loose = [one for one in controllers if apart and hierarchy(one)[0] == 0]
    enabled = [one for one in loose if CONTROL.exists() and one in CONTROL.read_text().split()]
    made = [one for one in loose if mounted(one)]
    try:
        yield
    finally:
        for one in made:
            unmount(one)
        for one in enabled:
            CONTROL.write_text(f"+{one}")
