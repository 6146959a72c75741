"""linux.resources.cpu by what it does to busy processes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import BUSY, Counters, limited, processor, with_python

pytestmark = [pytest.mark.vm, pytest.mark.cgroups]

# Idle for three periods, then 40 ms of work, where the quota is 30 ms.
SPARING = """
import time
print("up", flush=True)
while True:
    time.sleep(0.3)
    end = time.process_time() + 0.04
    while time.process_time() < end:
        pass
"""


@pytest.mark.proves("/linux/resources/cpu/quota")
def test_the_quota(runtime: Caller) -> None:
    """cpu.quota: a busy process gets a tenth of a processor (5 to 15 %), and the kernel counts that it was throttled."""
    id = runtime.launch(limited(runtime, BUSY, cpu={"quota": 10000, "period": 100000}))
    counters = Counters(runtime, id)
    began, before = time.monotonic(), counters.processor_seconds()
    time.sleep(2)
    share = (counters.processor_seconds() - before) / (time.monotonic() - began)
    assert 0.05 < share < 0.15
    assert counters.throttled() >= 5


@pytest.mark.proves("/linux/resources/cpu/period")
def test_the_period(runtime: Caller) -> None:
    """cpu.period: the quota is renewed every 250 ms: 8 times in two seconds (6 to 10)."""
    id = runtime.launch(limited(runtime, BUSY, cpu={"quota": 50000, "period": 250000}))
    counters = Counters(runtime, id)
    name = "cpu.stat:nr_periods"
    began, before = time.monotonic(), counters.number("cpu", name, name)
    time.sleep(2)
    rate = (counters.number("cpu", name, name) - before) / (time.monotonic() - began)
    assert 3 <= rate <= 5


@pytest.mark.not_on("runc", "crun", reason="does not know it")
@pytest.mark.proves("/linux/resources/cpu/burst")
def test_burst(runtime: Caller) -> None:
    """cpu.burst: a process that was idle may use the time it saved: the kernel counts bursts, and less throttling than without."""
    found, took = {}, 3.0
    for burst in (0, 30000):
        cpu = {"quota": 30000, "period": 100000, "burst": burst}
        id = runtime.launch(with_python(limited(runtime, "true", cpu=cpu), SPARING))
        counters = Counters(runtime, id)
        wait_for(lambda one=id: "up" in runtime.output(one), "the process")
        before = counters.throttled()  # the interpreter's start took more than the quota
        bursts = counters.number("cpu", "cpu.stat:nr_bursts", "cpu.stat:nr_bursts")
        began = time.monotonic()
        time.sleep(took)
        if not burst:  # on a busy machine it seldom comes to its quota
            wait_for(lambda seen=counters, known=before: seen.throttled() >= known + 4, "the kernel to throttle it")
            took = time.monotonic() - began
        bursts = counters.number("cpu", "cpu.stat:nr_bursts", "cpu.stat:nr_bursts") - bursts
        found[burst] = (bursts, counters.throttled() - before)
        runtime.remove(id)
    assert found[0][0] == 0
    assert found[0][1] > 0
    assert found[30000][0] > 0
    assert found[30000][1] < found[0][1] / 2


def race(runtime: Caller, favoured: dict[str, Any], other: dict[str, Any]) -> float:
    """How many times as much of one processor the favoured of two busy containers gets."""
    here = {"cpus": processor()}
    ids = [runtime.create(limited(runtime, BUSY, cpu=here | cpu)) for cpu in (favoured, other)]
    for id in ids:
        runtime.start(id)
    counters = [Counters(runtime, id) for id in ids]
    before = [one.processor_seconds() for one in counters]
    wait_for(lambda: counters[0].processor_seconds() - before[0] > 1.5, "work by the favoured")
    fast, slow = (one.processor_seconds() - first for one, first in zip(counters, before, strict=True))
    for id in ids:
        runtime.remove(id)
    return fast / max(slow, 0.001)


@pytest.mark.proves("/linux/resources/cpu/shares")
def test_shares(runtime: Caller) -> None:
    """cpu.shares: of two busy containers on one processor, the one with eight times the shares gets 4 to 16 times the time."""
    assert 4 < race(runtime, {"shares": 2048}, {"shares": 256}) < 16


@pytest.mark.proves("/linux/resources/cpu/idle")
@pytest.mark.not_on("runc", "crun", reason="does not know it")
def test_idle(runtime: Caller) -> None:
    """cpu.idle: a container gets only the time another one leaves: less than a tenth of the processor."""
    assert race(runtime, {}, {"idle": 1}) > 10


@pytest.mark.proves("/linux/resources/cpu/cpus")
@pytest.mark.proves("/linux/resources/cpu/mems")
def test_cpuset(runtime: Caller) -> None:
    """cpu.cpus and cpu.mems: the processes see and use only the named processor and the named memory node."""
    last = processor()
    script = "nproc; grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status; taskset -p 3 $$ 2>&1; exec sleep 100"
    id = runtime.launch(limited(runtime, script, cpu={"cpus": last, "mems": "0"}))
    assert os.sched_getaffinity(runtime.first_pid(id)) == {int(last)}
    wait_for(lambda: "Mems" in runtime.output(id), "output")
    assert runtime.output(id).split()[:5] == ["1", "Cpus_allowed_list:", last, "Mems_allowed_list:", "0"]
    os.sched_setaffinity(runtime.first_pid(id), range(os.cpu_count() or 1))  # as far as the cgroup allows
    assert os.sched_getaffinity(runtime.first_pid(id)) == {int(last)}


@pytest.mark.proves("/linux/resources/cpu/realtimeRuntime")
@pytest.mark.proves("/linux/resources/cpu/realtimePeriod")
def test_realtime(runtime: Caller) -> None:
    """cpu.realtimeRuntime (v1): a process can become real-time only if its cgroup has real-time runtime; v2 refuses it by name."""
    cpu = {"realtimeRuntime": 20000, "realtimePeriod": 500000}
    if not Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():
        result = runtime.try_create(limited(runtime, "true", cpu=cpu)).failed(1)
        assert "/linux/resources/cpu/realtime" in result.err
        return
    with_time, without = (runtime.create(limited(runtime, "true", cpu=given)) for given in (cpu, {}))
    assert Counters(runtime, with_time).number("cpu", "cpu.rt_period_us", "") == 500000
    os.sched_setscheduler(runtime.first_pid(with_time), os.SCHED_FIFO, os.sched_param(1))
    assert os.sched_getscheduler(runtime.first_pid(with_time)) == os.SCHED_FIFO
    with pytest.raises(PermissionError):
        os.sched_setscheduler(runtime.first_pid(without), os.SCHED_FIFO, os.sched_param(1))
