"""What a container has nested so deep, or named so long, that nobody can walk over it any more."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.lifecycle import store
from tests.integration.caller import wait_for
from tests.integration.resources.readings import Counters
from tests.integration.resources.test_control import SHARED, alive
from tests.security.attack import Target, attack

LONG = ["n" * 250] * 17  # a path of more than 4,096 bytes
DEEP = ["d"] * 1200  # more than Python's stack, in a path of less
CALLS = "sleep 100 & (setsid sleep 100 &) ; echo up; sleep 100"
FEW = 24  # descriptors that the runtime may have


def nest(top: Path, names: list[str]) -> int:
    """Directories in each other, made as a container makes them, one step at a time; a descriptor of the last."""
    current = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for name in names:
        os.mkdir(name, dir_fd=current)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=current)
        os.close(current)
        current = below
    return current


def enter(directory: int, pid: int) -> None:
    procs = os.open("cgroup.procs", os.O_WRONLY, dir_fd=directory)
    os.write(procs, str(pid).encode())
    os.close(procs)


def members(cgroup: Path) -> list[int]:
    return [int(line) for line in (cgroup / "cgroup.procs").read_text().split()]


@contextmanager
def nested(target: Target, names: list[str]) -> Iterator[tuple[str, list[int], Path]]:
    """A container in the host's pid namespace whose last process is in a cgroup far below; its id, processes and cgroup."""
    caller = target.caller
    id = caller.launch(caller.shell(CALLS, {"linux": {"namespaces": SHARED}}))
    wait_for(lambda: "up" in caller.output(id), "processes")
    top = Counters(caller, id).directory("freezer")
    wait_for(lambda: len(members(top)) >= 3, "children")
    pids = members(top)
    bottom = nest(top, names)
    enter(bottom, pids[-1])
    os.close(bottom)
    try:
        yield id, pids, top
    finally:  # a peer leaves them
        for pid in alive(pids):
            os.kill(pid, 9)
        wait_for(lambda: not alive(pids), "end of all")
        if top.exists():
            subprocess.run(["find", str(top), "-depth", "-type", "d", "-delete"], check=False)


def starve() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))


@pytest.mark.vm
@attack(
    "own find",
    "a container with a writable cgroup mount nests cgroups until the path is too long: it cannot be listed,"
    " killed or deleted",
    stops="every walk uses descriptors instead of paths, does not recurse, and keeps one directory open",
    bites=("runc",),
)
def test_cgroups_with_long_names(target: Target) -> None:
    """17 cgroups with names of 250 letters, and a process in the last: delete --force ends it and removes them all, kill --all reaches it."""
    with nested(target, LONG) as (id, pids, top):
        told = target.caller.call("delete", "--force", id, preexec_fn=starve if target.ours else None)
        target.judge(told.code != 0 or alive(pids) or top.exists(), told)
    if target.ours:
        reached(target, LONG)


@pytest.mark.vm
@attack(
    "own find",
    "a container with a writable cgroup mount nests 1,200 cgroups: the walk hits the recursion limit or runs out"
    " of descriptors",
    stops="no walk recurses, and each keeps one directory open",
)
def test_cgroups_in_cgroups(target: Target) -> None:
    """A process in the last of 1,200 is listed, killed and deleted with 24 descriptors. (An earlier ocirun walked by paths, without recursion.)"""
    with nested(target, DEEP) as (id, pids, top):
        told = target.caller.call("delete", "--force", id, preexec_fn=starve)
        target.judge(told.code != 0 or alive(pids) or top.exists(), told)
    reached(target, DEEP)


def reached(target: Target, names: list[str]) -> None:
    """ps, kill --all with a signal that can be handled, and with SIGKILL; delete of what has ended."""
    for signal in ("USR1", "KILL"):
        with nested(target, names) as (id, pids, top):
            listed = target.caller.call("ps", "--format", "json", id).ok()
            target.judge(json.loads(listed.out) != sorted(pids), listed)
            told = target.caller.call("kill", "--all", id, signal, preexec_fn=starve)
            target.judge(told.code != 0, told)
            wait_for(lambda pids=pids: not alive(pids), f"end by SIG{signal}")
            target.caller.call("delete", id).ok()
            target.judge(top.exists(), top)


@attack(
    "own find",
    "a container makes its mount at /run/notify writable and nests 1,500 directories there: delete hits the"
    " recursion limit",
    stops="no walk recurses, and each keeps one directory open",
)
def test_directories_below_notify(target: Target) -> None:
    """delete removes them, and the files in them, with 24 descriptors. (Known from an earlier ocirun; runc and crun take what is there on the
    host's own socket's way.)"""
    caller = target.caller
    id = caller.create(caller.sleeper(), env={"NOTIFY_SOCKET": str(caller.directory / "nobody")})
    place = caller.root / id / store.NOTIFY
    bottom = nest(place, ["d"] * 1500)
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=bottom))
    os.close(bottom)
    (place / "link").symlink_to("/")
    told = caller.call("delete", "--force", id, preexec_fn=starve)
    target.judge(told.code != 0 or (caller.root / id).exists(), told)
