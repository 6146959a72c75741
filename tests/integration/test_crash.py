"""SIGKILL at 40 system calls of create, start, kill, delete and of init; `make crash-sweep` takes them all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conformance.sweeps.crash import VERBS, Point, Sweep, points_of, sample, sweep

SEED = 20
EACH = 8


@pytest.mark.slow
@pytest.mark.not_on("runc", "crun", reason="leaves cgroups and processes after many points")
def test_recovers_from_sigkill(runtime_program: str, workplace: Path, token: str) -> None:
    """After SIGKILL at any call, delete --force leaves nothing and the id is free again."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    one = Sweep(runtime_program, workplace / token)
    for verb in VERBS:
        outcome = sweep(one, sample(one.points(verb), EACH, SEED))
        assert outcome.struck == EACH
        assert outcome.lost == {}
        assert len(outcome.missed) <= 1


@pytest.mark.not_on("runc", "crun", reason="the sweep's own tests")
def test_a_point_that_is_never_reached_is_told(runtime_program: str, workplace: Path, token: str) -> None:
    """A kill that did not happen does not count as recovered."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    one = Sweep(runtime_program, workplace / token)
    points = [Point("create", "openat", 100000), Point("init", "openat", 100000, "second")]
    outcome = sweep(one, points)
    assert outcome.missed == points
    assert outcome.lost == {}


@pytest.mark.not_on("runc", "crun", reason="init of other runtimes is made otherwise")
def test_init_is_struck_in_both_of_its_processes(runtime_program: str, workplace: Path, token: str) -> None:
    """The points of init are those before and after its fork, up to the user's program, and those of the commands."""
    one = Sweep(runtime_program, workplace / token)
    calls: dict[str, list[str]] = {}
    for point in one.points("init"):
        calls.setdefault(point.who, []).append(point.call)
    assert "clone3" in calls["first"]
    assert "pivot_root" in calls["second"]
    assert calls["second"][-1] == "execve"
    assert {"recvmsg", "sendmsg"} <= set(calls["create"])
    assert calls["start"][0] == "connect"
    assert calls["start"][-1] == "recvmsg"


def test_points_are_counted_as_strace_counts() -> None:
    """strace numbers the calls of a name from the start of the process, so those before the exec count too."""
    calls = ["execve", "brk", "execve", "brk", "openat", "brk", "exit_group"]
    found = [(point.call, point.occurrence) for point in points_of("create", calls)]
    assert found == [("brk", 2), ("openat", 1), ("brk", 3)]
