"""Signals to the processes of a cgroup, which end and give their pids to others while we look."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from runtime.cgroups import members, tree

Locations = Callable[[str], list[Any]]


def made(at: list[Any]) -> list[dict[str, Any]]:
    intent = tree.survey(at)
    tree.make(intent)
    tree.seed_cpusets(at, intent, set())
    return intent


@contextmanager
def few_descriptors(count: int) -> Iterator[None]:
    """So many descriptors can be opened, whatever is open: gaps among the numbers are filled."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, before[1]))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for descriptor in taken[-count:]:
            os.close(descriptor)
        del taken[-count:]
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in taken:
            os.close(descriptor)


def test_a_pid_that_is_another_process_now(
    locations: Locations, sleeper: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of pids ages: a process of the host that has the pid of one that ended is not signalled."""
    intent = made(locations("box"))
    inside = sleeper(intent)
    with subprocess.Popen(["sleep", "60"]) as outside:
        look, aged = members._listed, [outside.pid]
        monkeypatch.setattr(members, "_listed", lambda directory: [*look(directory), *([aged.pop()] if aged else [])])
        assert members.signal(intent, signal.SIGKILL, set()) is None
        assert inside.wait(5) == -signal.SIGKILL
        assert outside.poll() is None
        outside.kill()
    tree.remove(intent)


def test_more_processes_than_descriptors(locations: Locations, sleeper: Callable[..., Any]) -> None:
    """Each gets the signal, with as many descriptors at a time as can be had."""
    intent = made(locations("box"))
    sleepers = [sleeper(intent) for _ in range(20)]
    done: set[int] = set()
    with few_descriptors(8):
        assert members.signal(intent, signal.SIGTERM, done) is None
    assert done == {process.pid for process in sleepers}
    assert [process.wait(5) for process in sleepers] == [-signal.SIGTERM] * 20
    tree.remove(intent)
