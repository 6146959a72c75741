"""The limits of memory, pids and the processor in brief: with every runtime, and on the kernel of `make test-kernel` too.

What is measured, and with each cgroup driver, is in the files beside this one.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import BUSY, FORKS, REFUSED, limited


@pytest.mark.proves("/linux/resources/memory/limit")
@pytest.mark.kernel
def test_memory_limit_kills(runtime: Caller) -> None:
    """A process that takes more than the limit is killed; one below it is not."""
    # tail keeps a line of endless zeros in memory
    script = (
        "head -c 4000000 /dev/zero | tail -c 4000000 | wc -c; head -c 200000000 /dev/zero | tail -c 200000000 | wc -c"
    )
    bundle = limited(runtime, script, memory={"limit": 24 << 20, "swap": 24 << 20})
    out = runtime.run(bundle).out.split()
    assert out[0] == "4000000"
    assert "200000000" not in out


@pytest.mark.proves("/linux/resources/pids/limit")
@pytest.mark.kernel
def test_pids_limit(runtime: Caller) -> None:
    """No more processes than the limit can be made."""
    for script, refused in ((FORKS, True), ("sleep 0 & sleep 0; wait", False)):
        result = runtime.run(limited(runtime, script, pids={"limit": 4}))
        assert (REFUSED in result.out + result.err) == refused


@pytest.mark.kernel
@pytest.mark.not_on("runc", "crun", reason="take a limit of 0 for none")
@pytest.mark.parametrize("limit", [0, 1])
def test_pids_limit_of_one_process(runtime: Caller, limit: int) -> None:
    """The program runs, and cannot fork. `exec` adds another, which cannot either: a limit is not for who moves in."""
    id = runtime.launch(limited(runtime, "exec sleep 100", pids={"limit": limit}))
    assert runtime.exec(id, ["echo", "in"]).out == "in\n"
    result = runtime.exec(id, FORKS)
    assert REFUSED in result.out + result.err


@pytest.mark.proves("/linux/resources/cpu/quota")
@pytest.mark.kernel
def test_cpu_quota(runtime: Caller) -> None:
    """A busy process gets the share of a processor that quota and period say."""
    pid = runtime.pid(runtime.launch(limited(runtime, BUSY, cpu={"quota": 10000, "period": 100000})))

    def used() -> float:
        user, system = map(int, snapshot.stat_fields(pid)[11:13])
        return (user + system) / os.sysconf("SC_CLK_TCK")

    began, before = time.monotonic(), used()
    wait_for(lambda: used() - before > 0.15, "work")
    assert (used() - before) / (time.monotonic() - began) < 0.3, "a tenth of a processor was asked for"
