"""SIGKILL at 40 system calls of create, start, kill, delete and of init; `make crash-sweep` takes them all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conformance.crash_sweep import VERBS, Sweep, points_of, sample, sweep

SEED = 20
EACH = 8


@pytest.mark.slow
@pytest.mark.not_on("runc", "crun", reason="leaves cgroups and processes after many points")
def test_recovers_from_sigkill(runtime_program: str, workplace: Path, token: str) -> None:
    """After SIGKILL at any call, delete --force leaves nothing and the id is free again."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    one = Sweep(runtime_program, workplace / token)
    points = [point for verb in VERBS for point in sample(one.points(verb), EACH, SEED)]
    assert len(points) == EACH * len(VERBS)
    assert sweep(one, points) == {}


def test_points_are_counted_as_strace_counts() -> None:
    """strace numbers the calls of a name from the start of the process, so those before the exec count too."""
    calls = ["execve", "brk", "execve", "brk", "openat", "brk", "exit_group"]
    found = [(point.call, point.occurrence) for point in points_of("create", calls)]
    assert found == [("brk", 2), ("openat", 1), ("brk", 3)]
