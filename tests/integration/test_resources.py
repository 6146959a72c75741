"""linux.resources by what each does to the container's processes, or, where nothing shows that, by the kernel's own
word for it in the container's cgroup."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for
from tests.integration.test_limits import limited, value

MEGABYTE = 1 << 20
BUSY = "while :; do :; done"
SIZE, FILES = "2MB", "hugetlb.2MB"


def cgroup_directory(runtime: Caller, id: str) -> Path:
    """The container's cgroup of version 2, on a pure or a hybrid host."""
    lines = Path(f"/proc/{runtime.pid(id)}/cgroup").read_text().splitlines()
    path = next(line[3:] for line in lines if line.startswith("0::"))
    for mount in snapshot.cgroup_mounts():
        if (mount / "cgroup.controllers").exists():
            return mount / path.lstrip("/")
    pytest.skip("the machine has no cgroup v2")


def on_v1(controller: str) -> bool:
    lines = Path("/proc/cgroups").read_text().splitlines()
    return any(line.split()[0] == controller and line.split()[1] != "0" for line in lines)


# Memory


@pytest.mark.proves("/linux/resources/memory/reservation")
@pytest.mark.proves("/linux/resources/memory/swap")
def test_memory_values(runtime: Caller) -> None:
    """The reservation is the kernel's soft limit, and swap what is left of it above the memory."""
    memory = {"limit": 64 * MEGABYTE, "reservation": 32 * MEGABYTE, "swap": 96 * MEGABYTE}
    id = runtime.create(limited(runtime, "true", memory=memory))
    assert value(runtime, id, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 * MEGABYTE)
    swap = value(runtime, id, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert swap == str((96 if on_v1("memory") else 32) * MEGABYTE)


@pytest.mark.not_on("runc", reason="leaves kernelTCP out without a word")
@pytest.mark.proves("/linux/resources/memory/swappiness")
@pytest.mark.proves("/linux/resources/memory/kernelTCP")
def test_memory_values_of_v1(runtime: Caller) -> None:
    """swappiness and the limit of TCP's buffers are cgroup v1's; v2 has neither, and each is refused by name."""
    memory: dict[str, Any] = {"swappiness": 13, "kernelTCP": 4 * MEGABYTE}
    if not on_v1("memory"):
        for name, number in memory.items():
            result = runtime.try_create(limited(runtime, "true", memory={name: number})).failed(1)
            assert f"/linux/resources/memory/{name}" in result.err
        return
    id = runtime.create(limited(runtime, "true", memory=memory))
    assert value(runtime, id, "memory", "memory.swappiness", "") == "13"
    assert value(runtime, id, "memory", "memory.kmem.tcp.limit_in_bytes", "") == str(4 * MEGABYTE)


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


@pytest.mark.proves("/linux/resources/memory/disableOOMKiller")
def test_oom_killer_disabled(runtime: Caller) -> None:
    """A process that takes more than the limit waits instead of being killed; on v2 the property is refused by name."""
    memory = {"limit": 24 * MEGABYTE, "swap": 24 * MEGABYTE, "disableOOMKiller": True}
    # The string is touched by the program itself: a system call that lacks memory would fail instead of waiting.
    bundle = limited(
        runtime, """awk 'BEGIN { s = "x"; while (length(s) < 268435456) s = s s }'; echo $?""", memory=memory
    )
    if not on_v1("memory"):
        assert "/linux/resources/memory/disableOOMKiller" in runtime.try_create(bundle).failed(1).err
        return
    id = runtime.launch(bundle)
    wait_for(lambda: "under_oom 1" in value(runtime, id, "memory", "memory.oom_control", ""), "process that waits", 20)
    time.sleep(0.3)
    assert runtime.status(id) == "running"
    assert runtime.output(id) == ""


@pytest.mark.proves("/linux/resources/memory/useHierarchy")
@pytest.mark.not_on("runc", "crun", reason="ignores it without a word")
def test_use_hierarchy(runtime: Caller) -> None:
    """cgroups always form a hierarchy: true is what there is, false gets one warning and has no effect."""
    assert runtime.run(limited(runtime, "true", memory={"useHierarchy": True})).ok().err == ""
    err = runtime.run(limited(runtime, "true", memory={"useHierarchy": False})).ok().err
    assert len(err.splitlines()) == 1
    assert "/linux/resources/memory/useHierarchy" in err


@pytest.mark.proves("/linux/resources/memory/checkBeforeUpdate")
def test_check_before_update(runtime: Caller) -> None:
    """At create there is nothing to check, a new cgroup uses no memory: the limit is set."""
    id = runtime.create(limited(runtime, "true", memory={"limit": 48 * MEGABYTE, "checkBeforeUpdate": True}))
    assert value(runtime, id, "memory", "memory.limit_in_bytes", "memory.max") == str(48 * MEGABYTE)


# Processors


def ticks(pid: int) -> int:
    return sum(map(int, snapshot.stat_fields(pid)[11:13]))


def race(runtime: Caller, favoured: dict[str, Any], other: dict[str, Any]) -> float:
    """How many times as much of one processor the favoured of two busy containers gets."""
    ids = [runtime.launch(limited(runtime, BUSY, cpu={"cpus": "0", **cpu})) for cpu in (favoured, other)]
    pids = [runtime.pid(id) for id in ids]
    before = [ticks(pid) for pid in pids]
    wait_for(lambda: ticks(pids[0]) - before[0] >= 60, "work by the favoured", 40)
    fast, slow = (ticks(pid) - first for pid, first in zip(pids, before, strict=True))
    for id in ids:
        runtime.remove(id)
    return fast / max(slow, 1)


@pytest.mark.proves("/linux/resources/cpu/shares")
def test_shares(runtime: Caller) -> None:
    """Of a processor that both want, the container with more shares gets more."""
    assert race(runtime, {"shares": 4096}, {"shares": 128}) > 4


@pytest.mark.proves("/linux/resources/cpu/idle")
@pytest.mark.not_on("runc", "crun", reason="does not know it")
def test_idle(runtime: Caller) -> None:
    """A container that is idle gets of a processor what another one leaves."""
    assert race(runtime, {}, {"idle": 1}) > 4


@pytest.mark.proves("/linux/resources/cpu/burst")
@pytest.mark.not_on("runc", "crun", reason="does not know it")
def test_burst(runtime: Caller) -> None:
    """What the processes may save up of their quota is the kernel's."""
    cpu = {"quota": 50000, "period": 100000, "burst": 30000}
    id = runtime.create(limited(runtime, "true", cpu=cpu))
    assert value(runtime, id, "cpu", "cpu.cfs_burst_us", "cpu.max.burst") == "30000"


@pytest.mark.proves("/linux/resources/cpu/period")
def test_period(runtime: Caller) -> None:
    """The time in which the quota is given anew is the kernel's."""
    id = runtime.create(limited(runtime, "true", cpu={"quota": 50000, "period": 200000}))
    v1 = value(runtime, id, "cpu", "cpu.cfs_period_us", "cpu.max")
    assert v1.split()[-1] == "200000"


@pytest.mark.proves("/linux/resources/cpu/realtimeRuntime")
@pytest.mark.proves("/linux/resources/cpu/realtimePeriod")
def test_realtime(runtime: Caller) -> None:
    """A process may become a realtime one where the config gives its cgroup time for that, and only there."""
    cpu = {"realtimeRuntime": 20000, "realtimePeriod": 500000}
    if not Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():
        result = runtime.try_create(limited(runtime, "true", cpu=cpu)).failed(1)
        assert "/linux/resources/cpu/realtime" in result.err
        return
    with_time, without = (runtime.create(limited(runtime, "true", cpu=given)) for given in (cpu, {}))
    assert value(runtime, with_time, "cpu", "cpu.rt_period_us", "") == "500000"
    os.sched_setscheduler(runtime.pid(with_time), os.SCHED_FIFO, os.sched_param(1))
    assert os.sched_getscheduler(runtime.pid(with_time)) == os.SCHED_FIFO
    with pytest.raises(PermissionError):
        os.sched_setscheduler(runtime.pid(without), os.SCHED_FIFO, os.sched_param(1))


@pytest.mark.kernel
@pytest.mark.proves("/linux/resources/cpu/cpus")
@pytest.mark.proves("/linux/resources/cpu/mems")
def test_cpuset(runtime: Caller) -> None:
    """The process sees, and may use, the processors and the memory nodes of the config only."""
    script = "grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status; nproc"
    last = (os.cpu_count() or 1) - 1
    bundle = limited(runtime, script, cpu={"cpus": str(last), "mems": "0"})
    assert runtime.run(bundle).ok().out.split() == ["Cpus_allowed_list:", str(last), "Mems_allowed_list:", "0", "1"]


# Disks


def disk(directory: Path) -> tuple[int, int]:
    """The numbers of the disk that the directory is on."""
    number = os.stat(directory).st_dev
    path = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not path.exists():
        pytest.skip(f"{directory} is not on a disk")
    if (path / "partition").exists():
        path = path.resolve().parent
    major, minor = (path / "dev").read_text().split(":")
    return int(major), int(minor)


THROTTLES = [
    pytest.param(
        name,
        rate,
        words,
        marks=[
            pytest.mark.proves(f"/linux/resources/blockIO/{name}"),
            *(pytest.mark.proves(f"/linux/resources/blockIO/{name}/*/{key}") for key in ("major", "minor", "rate")),
        ],
        id=name,
    )
    for name, rate, words in (
        ("throttleReadBpsDevice", MEGABYTE, "if=/data of=/dev/null bs=64k count=24 iflag=direct"),
        ("throttleWriteBpsDevice", MEGABYTE, "if=/dev/zero of=/new bs=64k count=24 oflag=direct"),
        ("throttleReadIOPSDevice", 20, "if=/data of=/dev/null bs=4k count=30 iflag=direct"),
        ("throttleWriteIOPSDevice", 20, "if=/dev/zero of=/new bs=4k count=30 oflag=direct"),
    )
]


@pytest.mark.parametrize(("name", "rate", "words"), THROTTLES)
def test_throttle(runtime: Caller, name: str, rate: int, words: str) -> None:
    """Reading or writing 1.5 times as much as the rate allows in a second takes about that long."""
    major, minor = disk(runtime.directory)
    clock = "cut -d' ' -f1 /proc/uptime"
    script = f"{clock}; dd {words} status=none && {clock}"
    bundle = limited(runtime, script, blockIO={name: [{"major": major, "minor": minor, "rate": rate}]})
    with open(bundle.rootfs / "data", "wb") as file:
        file.write(bytes(2 * MEGABYTE))
        os.fsync(file.fileno())
    began, ended = map(float, runtime.run(bundle).ok().out.split())
    assert ended - began > 0.8


@pytest.mark.not_on("crun", reason="leaves the cgroups of a container that it could not make")
@pytest.mark.proves("/linux/resources/blockIO/weight")
def test_weight(runtime: Caller) -> None:
    """The share of the disks is the kernel's where its scheduler BFQ is there, and refused by name where it is not."""
    result = runtime.try_create(limited(runtime, "true", blockIO={"weight": 77}))
    if result.code != 0:
        assert runtime.name != "ocirun" or "/linux/resources/blockIO/weight" in result.err
        return
    id = runtime.known_ids()[0]
    words = value(runtime, id, "blkio", "blkio.bfq.weight", "io.bfq.weight").split()
    assert words[-1] == "77"


@pytest.mark.not_on("crun", reason="leaves the cgroups of a container that it could not make")
@pytest.mark.proves("/linux/resources/blockIO/weightDevice/*/major")
@pytest.mark.proves("/linux/resources/blockIO/weightDevice/*/minor")
@pytest.mark.proves("/linux/resources/blockIO/weightDevice/*/weight")
def test_weight_of_a_disk(runtime: Caller) -> None:
    """The share of one disk is the kernel's where BFQ schedules it, and refused by name where it does not."""
    major, minor = disk(runtime.directory)
    blocks = {"weightDevice": [{"major": major, "minor": minor, "weight": 55}]}
    result = runtime.try_create(limited(runtime, "true", blockIO=blocks))
    if "[bfq]" not in Path(f"/sys/dev/block/{major}:{minor}/queue/scheduler").read_text():
        result.failed(1)
        assert runtime.name != "ocirun" or "/linux/resources/blockIO/weightDevice/0/weight" in result.err
        return
    words = value(runtime, runtime.known_ids()[0], "blkio", "blkio.bfq.weight_device", "io.bfq.weight").split()
    assert words[words.index(f"{major}:{minor}") + 1] == "55"


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


# The rest


def with_hugepages(runtime: Caller, script: str, limit: int) -> Bundle:
    bundle = limited(runtime, script, hugepageLimits=[{"pageSize": SIZE, "limit": limit}])
    bundle.config["mounts"].append({"destination": "/huge", "type": "hugetlbfs", "source": "none"})
    return bundle.save()


@pytest.mark.not_on("runc", "crun", reason="looks for the controller among those of v1 only")
@pytest.mark.proves("/linux/resources/hugepageLimits/*/pageSize")
@pytest.mark.proves("/linux/resources/hugepageLimits/*/limit")
def test_hugepages(runtime: Caller) -> None:
    """The limit is the kernel's, for the pages of the named size."""
    if not Path("/sys/kernel/mm/hugepages/hugepages-2048kB").is_dir():
        pytest.skip("the machine has no pages of 2 MB")
    id = runtime.create(with_hugepages(runtime, "true", 4 * MEGABYTE))
    if on_v1("hugetlb"):
        found = value(runtime, id, "hugetlb", f"{FILES}.limit_in_bytes", "")
    else:
        found = (cgroup_directory(runtime, id) / f"{FILES}.max").read_text().strip()
    assert found == str(4 * MEGABYTE)


@pytest.mark.not_on("crun", reason="leaves the cgroups of a container that it could not make")
@pytest.mark.kernel
@pytest.mark.proves("/linux/resources/network/classID")
@pytest.mark.proves("/linux/resources/network/priorities/*/name")
@pytest.mark.proves("/linux/resources/network/priorities/*/priority")
def test_network(runtime: Caller) -> None:
    """The class and the priorities of packets are the kernel's; without the v1 controllers each is refused by name."""
    network: dict[str, Any] = {"classID": 0x100001, "priorities": [{"name": "lo", "priority": 3}]}
    if not all(on_v1(name) for name in ("net_cls", "net_prio")):
        for key, given in network.items():
            result = runtime.try_create(limited(runtime, "true", network={key: given})).failed(1)
            assert runtime.name != "ocirun" or f"/linux/resources/network/{key}" in result.err
        return
    id = runtime.create(limited(runtime, "true", network=network))
    lines = Path(f"/proc/{runtime.pid(id)}/cgroup").read_text().splitlines()
    path = next(line.split(":", 2)[2] for line in lines if "net_cls" in line)
    mounts = [mount for mount in snapshot.cgroup_mounts() if (mount / f"{path[1:]}/net_cls.classid").exists()]
    assert (mounts[0] / path[1:] / "net_cls.classid").read_text().strip() == str(0x100001)
    assert "lo 3" in (mounts[0] / path[1:] / "net_prio.ifpriomap").read_text().splitlines()


@pytest.mark.not_on("crun", reason="leaves the limit out without a word")
@pytest.mark.proves("/linux/resources/rdma/*/hcaHandles")
@pytest.mark.proves("/linux/resources/rdma/*/hcaObjects")
def test_rdma(runtime: Caller) -> None:
    """A limit for a device that the machine does not have is refused by name."""
    devices = Path("/sys/class/infiniband")
    if devices.is_dir() and any(devices.iterdir()):
        pytest.skip("the machine has such devices")
    for limit in ("hcaHandles", "hcaObjects"):
        result = runtime.try_create(limited(runtime, "true", rdma={"mlx5_1": {limit: 3}})).failed(1)
        assert runtime.name != "ocirun" or "/linux/resources/rdma/mlx5_1" in result.err


@pytest.mark.kernel
@pytest.mark.not_on("runc", "crun", reason="takes such files only where no controller is v1's")
@pytest.mark.proves("/linux/resources/unified")
def test_unified_forbids_cgroups_below(runtime: Caller) -> None:
    """A file of cgroup v2 that the config names is written: here the one that allows no cgroup below the container's."""
    id = runtime.create(limited(runtime, "true", unified={"cgroup.max.depth": "0"}))
    with pytest.raises(OSError, match="unavailable") as caught:
        (cgroup_directory(runtime, id) / "below").mkdir()
    assert caught.value.errno == errno.EAGAIN
