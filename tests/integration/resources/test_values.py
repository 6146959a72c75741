"""linux.resources by what stands in the container's files: numbers, numbers that set nothing, and numbers that no kernel takes.

The other files of this directory show what a limit does to processes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.caller import Caller
from tests.integration.resources.readings import MEGABYTE, limited, on_v1, value


@pytest.mark.proves("/linux/resources/memory/reservation")
@pytest.mark.proves("/linux/resources/memory/swap")
def test_memory_values(runtime: Caller) -> None:
    """The reservation is the kernel's soft limit, and swap what is left of it above the memory."""
    memory = {"limit": 64 * MEGABYTE, "reservation": 32 * MEGABYTE, "swap": 96 * MEGABYTE}
    id = runtime.create(limited(runtime, "true", memory=memory))
    assert value(runtime, id, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 * MEGABYTE)
    swap = value(runtime, id, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert swap == str((96 if on_v1("memory") else 32) * MEGABYTE)


@pytest.mark.proves("/linux/resources/memory/kernel")
@pytest.mark.not_on("runc", "crun", reason="leaves the limit out without a word")
def test_kernel_memory(runtime: Caller) -> None:
    """Linux 5.16 took the limit of kernel memory away: it holds, or one line names it, as a warning or as an error."""
    bundle = limited(runtime, "true", memory={"kernel": 32 * MEGABYTE})
    result = runtime.try_create(bundle)
    assert "/linux/resources/memory/kernel: " in result.err
    if result.code == 0:
        found = value(runtime, runtime.known_ids()[0], "memory", "memory.kmem.limit_in_bytes", "")
        assert found == str(32 * MEGABYTE) or "new kernels ignore it" in result.err


@pytest.mark.proves("/linux/resources/memory/useHierarchy")
@pytest.mark.not_on("runc", "crun", reason="ignores it without a word")
def test_use_hierarchy(runtime: Caller) -> None:
    """cgroups always form a hierarchy: true is what there is, false gets one warning and has no effect."""
    assert runtime.run(limited(runtime, "true", memory={"useHierarchy": True})).ok().err == ""
    err = runtime.run(limited(runtime, "true", memory={"useHierarchy": False})).ok().err
    assert len(err.splitlines()) == 1
    assert "/linux/resources/memory/useHierarchy" in err


# Both were CFQ's, which Linux 5.0 removed: no machine has them any more.
@pytest.mark.not_on("crun", reason="leaves the cgroups of a container that it could not make")
@pytest.mark.proves("/linux/resources/blockIO/leafWeight")
@pytest.mark.proves("/linux/resources/blockIO/weightDevice/*/leafWeight")
def test_leaf_weight(runtime: Caller) -> None:
    """No kernel has leaf weights any more: they are refused by name."""
    pointers = {
        "leafWeight": {"leafWeight": 77},
        "weightDevice/0/leafWeight": {"weightDevice": [{"major": 1, "minor": 0, "leafWeight": 77}]},
    }
    for pointer, section in pointers.items():
        result = runtime.try_create(limited(runtime, "true", blockIO=section)).failed(1)
        assert runtime.name != "ocirun" or f"/linux/resources/blockIO/{pointer}" in result.err


def test_values(runtime: Caller) -> None:
    """The numbers of the config stand in the cgroup's files."""
    resources = {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 77},
    }
    id = runtime.create(limited(runtime, "true", **resources))
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
    id = runtime.create(limited(runtime, "true", **resources))
    assert value(runtime, id, "memory", "memory.limit_in_bytes", "memory.max") not in ("0", "4096")


def test_minus_one_is_unlimited(runtime: Caller) -> None:
    """-1 takes a limit away."""
    resources = {"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}}
    id = runtime.create(limited(runtime, "true", **resources))
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "max"


@pytest.mark.kernel
def test_impossible_limit(runtime: Caller) -> None:
    """A limit that the kernel refuses fails create with its place and its file, and nothing is left."""
    result = runtime.try_create(limited(runtime, "true", cpu={"cpus": "5000"})).failed(1)
    assert runtime.name != "ocirun" or "/linux/resources/cpu/cpus" in result.err
    assert "cpuset.cpus" in result.err
    assert runtime.known_ids() == []


@pytest.mark.kernel
def test_unified(runtime: Caller) -> None:
    """linux.resources.unified writes the named files of cgroup v2."""
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("the machine has no cgroup v2")
    id = runtime.create(limited(runtime, "true", unified={"pids.max": "55", "memory.high": "1048576"}))
    assert value(runtime, id, "none", "", "pids.max") == "55"
    assert value(runtime, id, "none", "", "memory.high") == "1048576"


@pytest.mark.kernel
@pytest.mark.parametrize("pids", [{}, {"limit": None}])
def test_pids_without_a_limit(runtime: Caller, pids: dict[str, None]) -> None:
    """`pids` without a limit is no limit."""
    id = runtime.create(limited(runtime, "true", pids=pids))
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "max"
