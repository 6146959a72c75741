"""The CPUs of a container whose caller is pinned to one: they are those of its cgroup (a service with CPUAffinity= is pinned)."""

from __future__ import annotations

import os

import pytest

from tests.integration.caller import Caller

LOOK = "grep Cpus_allowed_list /proc/self/status"
pytestmark = [
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU leaves no choice"),
    pytest.mark.not_on("runc", reason="does so from 1.2.7 and 1.3.1 on"),
    pytest.mark.not_on("crun", reason="does so from 1.9.2 on"),
]


def pin() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def cpus(text: str) -> set[int]:
    """The numbers of a line such as `Cpus_allowed_list: 0-1,4`."""
    found: set[int] = set()
    for item in text.split()[-1].split(","):
        first, _, last = item.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_program(runtime: Caller) -> None:
    """The container's program may run on every CPU, whatever its caller is pinned to."""
    assert cpus(runtime.run(runtime.shell(LOOK), preexec_fn=pin).ok().out) >= os.sched_getaffinity(0)


def test_exec(runtime: Caller) -> None:
    """A program of `exec` may run on every CPU, whatever its caller is pinned to."""
    id = runtime.launch(runtime.sleeper())
    assert cpus(runtime.exec(id, LOOK, preexec_fn=pin).ok().out) >= os.sched_getaffinity(0)


def test_cpuset(runtime: Caller) -> None:
    """The limit of the cgroup stays."""
    last = max(os.sched_getaffinity(0))
    bundle = runtime.shell(LOOK, {"linux": {"resources": {"cpu": {"cpus": str(last)}}}})
    assert cpus(runtime.run(bundle, preexec_fn=pin).ok().out) == {last}
