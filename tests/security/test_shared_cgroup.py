"""A cgroupsPath below which others have cgroups: they are no part of the container."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration import snapshot
from tests.security.attack import Target, attack

HIERARCHIES = Path("/sys/fs/cgroup")


@contextmanager
def cgroup_of_others(name: str) -> Iterator[Path]:
    """A cgroup below the future container's, in the hierarchy of pids, with nobody in it."""
    top = HIERARCHIES / "pids" if (HIERARCHIES / "pids").is_dir() else HIERARCHIES
    other = top / name / "other"
    other.mkdir(parents=True)
    try:
        yield other
    finally:
        for directory in (other, other.parent):
            if directory.is_dir():  # a peer removes them
                directory.rmdir()


@pytest.mark.parametrize("verb", ["delete", "kill"])
@attack(
    "own find",
    "a container is created in a cgroup that already has cgroups below it: delete and kill --all kill the"
    " processes in those",
    stops="in such a cgroup only the processes directly in it count as the container's",
    bites=("crun",),
)
def test_strangers_below_the_cgroup(target: Target, verb: str) -> None:
    """The container ends, a process that came into the other cgroup meanwhile lives. (runc 1.1.5 withstands.)"""
    caller = target.caller
    with cgroup_of_others(f"pod-{caller.token}") as other:
        id = caller.launch(caller.sleeper({"linux": {"cgroupsPath": f"/pod-{caller.token}"}}))
        pid = caller.pid(id)
        stranger = subprocess.Popen(["sleep", "100"])
        try:
            (other / "cgroup.procs").write_text(str(stranger.pid))
            if verb == "kill":
                caller.call("kill", "--all", id, "KILL").ok()
            caller.call("delete", "--force", id)
            time.sleep(0.2)
            target.judge(stranger.poll() is not None, "a stranger was killed")
            assert snapshot.stat_fields(pid)[:1] in ([], ["Z"])
        finally:
            stranger.kill()
            stranger.wait()
