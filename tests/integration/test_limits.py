"""cgroup limits, by what they do to the container's processes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller
from tests.integration.resources.readings import Counters, limited


def value(runtime: Caller, id: str, controller: str, v1: str, v2: str) -> str:
    """The contents of the container's cgroup file, whichever version its controller is on."""
    return Counters(runtime, id).text(controller, v1, v2)


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
@pytest.mark.vm
def test_pids_limit(runtime: Caller) -> None:
    """No more processes than the limit can be made."""
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1; wait"
    result = runtime.run(limited(runtime, script, pids={"limit": 4}))
    assert "can't fork" in result.out + result.err
    assert "can't fork" not in runtime.run(limited(runtime, "sleep 0 & sleep 0; wait", pids={"limit": 4})).err


@pytest.mark.proves("/linux/resources/cpu/quota")
@pytest.mark.kernel
def test_cpu_quota(runtime: Caller) -> None:
    """A busy process gets the share of a processor that quota and period say."""
    bundle = limited(runtime, "exec timeout 1.5 sh -c 'while :; do :; done'", cpu={"quota": 10000, "period": 100000})
    id = runtime.launch(bundle)
    pid = runtime.pid(id)
    time.sleep(1.2)
    ticks = 0
    for one in [pid, *snapshot.descendants(pid)]:
        fields = snapshot.stat_fields(one)
        ticks += sum(map(int, fields[11:13])) if fields else 0
    assert ticks / 100 < 0.5, "a tenth of a processor was asked for"
    runtime.remove(id)


def test_values(runtime: Caller) -> None:
    """The numbers of the config stand in the cgroup's files."""
    bundle = runtime.sleeper(
        {
            "linux": {
                "resources": {
                    "memory": {"limit": 64 << 20, "reservation": 32 << 20},
                    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
                    "pids": {"limit": 77},
                }
            }
        }
    )
    id = runtime.create(bundle)
    assert value(runtime, id, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert value(runtime, id, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)
    assert value(runtime, id, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert value(runtime, id, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "77"


def test_zero_is_not_set(runtime: Caller) -> None:
    """Zeros, which Docker sends, leave the kernel's defaults."""
    resources = {
        "memory": {"limit": 0, "disableOOMKiller": False},
        "cpu": {"shares": 0, "quota": 0, "period": 0},
        "blockIO": {"weight": 0},
    }
    id = runtime.create(runtime.sleeper({"linux": {"resources": resources}}))
    assert value(runtime, id, "memory", "memory.limit_in_bytes", "memory.max") not in ("0", "4096")


def test_minus_one_is_unlimited(runtime: Caller) -> None:
    """-1 takes a limit away."""
    resources = {"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}}
    id = runtime.create(runtime.sleeper({"linux": {"resources": resources}}))
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "max"


def test_impossible_limit(runtime: Caller) -> None:
    """A limit that the kernel refuses fails create, and nothing is left."""
    bundle = runtime.bundle({"linux": {"resources": {"cpu": {"cpus": "5000"}}}})
    runtime.try_create(bundle).failed(1)
    assert runtime.known_ids() == []


@pytest.mark.not_on("runc", "crun", reason="runc needs 4 MiB, crun a little more than 512 KiB at times")
def test_smallest_memory_limit(runtime: Caller) -> None:
    """A container with 512 KiB runs /bin/true: neither the runtime nor its interpreter is charged to it."""
    bundle = runtime.bundle(
        {"process": {"args": ["/bin/true"]}, "linux": {"resources": {"memory": {"limit": 512 << 10}}}}
    )
    for _ in range(3):
        runtime.run(bundle).ok()


def test_default_cgroup(runtime: Caller) -> None:
    """Without cgroupsPath the container stands below the caller's own cgroup, named by its id."""
    bundle = runtime.sleeper()
    del bundle.linux["cgroupsPath"]
    id = runtime.create(bundle.save())
    own = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()}
    seen = {
        line.split(":", 2)[1]: line.split(":", 2)[2]
        for line in Path(f"/proc/{runtime.pid(id)}/cgroup").read_text().splitlines()
    }
    for controller in ("memory", "pids", "cpu", ""):
        if controller in own and seen[controller] != own[controller]:
            assert seen[controller] == f"{own[controller].rstrip('/')}/{id}", controller


def test_relative_cgroups_path(runtime: Caller) -> None:
    """A relative cgroupsPath counts from the caller's own cgroup."""
    bundle = runtime.sleeper({"linux": {"cgroupsPath": f"rel-{runtime.token}/inner"}})
    id = runtime.create(bundle)
    lines = Path(f"/proc/{runtime.pid(id)}/cgroup").read_text().splitlines()
    paths = [line.split(":", 2)[2] for line in lines]
    assert any(path.endswith(f"/rel-{runtime.token}/inner") for path in paths)
    runtime.remove(id)
    _remove_parents(f"rel-{runtime.token}")


def test_nested_cgroups_go_with_the_container(runtime: Caller) -> None:
    """Cgroups that were made below the container's are removed with it."""
    id = runtime.launch(runtime.sleeper())
    made = snapshot.cgroups(runtime.token)
    assert made
    for name in made:
        (Path(name) / "below/deeper").mkdir(parents=True)
    runtime.remove(id)


def _remove_parents(name: str) -> None:
    """Remove the empty parents that a path asked for; a runtime leaves them, since others may use them."""
    for path in sorted(snapshot.cgroups(name), key=len, reverse=True):
        Path(path).rmdir()


def test_existing_cgroup_with_processes(runtime: Caller) -> None:
    """A second container on a path that is in use is refused or kept apart; the first lives on."""
    bundle = runtime.sleeper()
    first = runtime.launch(bundle)
    second = runtime.sleeper({"linux": {"cgroupsPath": bundle.linux["cgroupsPath"]}})
    result = runtime.try_create(second)
    if result.code == 0 and runtime.name == "ocirun":
        pytest.fail("two containers share one cgroup")
    assert runtime.status(first) == "running"


@pytest.mark.kernel
def test_unified(runtime: Caller) -> None:
    """linux.resources.unified writes the named files of cgroup v2."""
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("the machine has no cgroup v2")
    id = runtime.create(
        runtime.sleeper({"linux": {"resources": {"unified": {"pids.max": "55", "memory.high": "1048576"}}}})
    )
    assert value(runtime, id, "none", "", "pids.max") == "55"
    assert value(runtime, id, "none", "", "memory.high") == "1048576"
