"""/linux/resources as writes, on v1, v2 and hybrid hosts."""

from typing import Any

import pytest

from runtime.cgroups import layout, resources
from runtime.errors import InvalidConfig, OcirunError
from tests.runtime.cgroups import hosts

ALLOW_ALL = [{"allow": True, "access": "rwm"}]


REQUIRED, DEFAULT = "required", "default"


def writes(given: dict[str, Any], facts: dict[str, Any]) -> list[tuple[str, str, str, Any]]:
    """(path below /sys/fs/cgroup, value, pointer below /linux/resources, how an absent file is taken), without the device rules.

    An absent file is an error where the setting is REQUIRED, none where it is the DEFAULT, or there is a fallback.
    """
    result, _ = resources.writes({"devices": ALLOW_ALL, **given}, layout.locations("/box", "box", facts))
    rows = []
    for location, setting in result:
        if not setting.file.startswith("devices."):
            path = f"{location['path']}/{setting.file}".removeprefix("/sys/fs/cgroup/")
            absent = setting.fallback or (DEFAULT if setting.is_default else REQUIRED)
            rows.append((path, setting.value, setting.pointer.removeprefix("/linux/resources/"), absent))
    return rows


def values(given: dict[str, Any], facts: dict[str, Any]) -> dict[str, str]:
    return {path: value for path, value, _, _ in writes(given, facts)}


MEMORY = {"limit": 67108864, "swap": 134217728, "reservation": 1048576}
CPU = {"shares": 512, "quota": 50000, "period": 100000, "burst": 1000, "idle": 0, "cpus": "0-1", "mems": "0"}
BLOCK = {
    "weight": 500,
    "weightDevice": [{"major": 8, "minor": 0, "weight": 100}],
    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}],
    "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 30}],
}


def test_v1_files_in_the_kernels_order():
    """Memory before memory and swap, period before quota before burst; each with its pointer."""
    given = {"memory": {**MEMORY, "swappiness": 0, "disableOOMKiller": True}, "cpu": CPU, "pids": {"limit": 50}}
    assert writes(given, hosts.v1()) == [
        ("memory/box/memory.limit_in_bytes", "67108864", "memory/limit", REQUIRED),
        ("memory/box/memory.memsw.limit_in_bytes", "134217728", "memory/swap", REQUIRED),
        ("memory/box/memory.soft_limit_in_bytes", "1048576", "memory/reservation", REQUIRED),
        ("memory/box/memory.swappiness", "0", "memory/swappiness", REQUIRED),
        ("memory/box/memory.oom_control", "1", "memory/disableOOMKiller", REQUIRED),
        ("cpu,cpuacct/box/cpu.shares", "512", "cpu/shares", REQUIRED),
        ("cpu,cpuacct/box/cpu.cfs_period_us", "100000", "cpu/period", REQUIRED),
        ("cpu,cpuacct/box/cpu.cfs_quota_us", "50000", "cpu/quota", REQUIRED),
        ("cpu,cpuacct/box/cpu.cfs_burst_us", "1000", "cpu/burst", REQUIRED),
        ("cpu,cpuacct/box/cpu.idle", "0", "cpu/idle", DEFAULT),
        ("cpuset/box/cpuset.cpus", "0-1", "cpu/cpus", REQUIRED),
        ("cpuset/box/cpuset.mems", "0", "cpu/mems", REQUIRED),
        ("pids/box/pids.max", "50", "pids/limit", REQUIRED),
    ]


def test_v1_block_hugetlb_network_rdma():
    """Weights are BFQ's; huge pages have a limit on those reserved too."""
    given = {
        "blockIO": BLOCK,
        "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
        "network": {"classID": 7, "priorities": [{"name": "eth0", "priority": 3}]},
        "rdma": {"mlx5/1": {"hcaHandles": 3, "hcaObjects": 10000}},
    }
    assert writes(given, hosts.v1()) == [
        ("blkio/box/blkio.bfq.weight", "500", "blockIO/weight", REQUIRED),
        ("blkio/box/blkio.bfq.weight_device", "8:0 100", "blockIO/weightDevice/0/weight", REQUIRED),
        ("blkio/box/blkio.throttle.read_bps_device", "8:0 1048576", "blockIO/throttleReadBpsDevice/0/rate", REQUIRED),
        ("blkio/box/blkio.throttle.write_iops_device", "8:16 30", "blockIO/throttleWriteIOPSDevice/0/rate", REQUIRED),
        ("hugetlb/box/hugetlb.2MB.rsvd.limit_in_bytes", "0", "hugepageLimits/0/limit", REQUIRED),
        ("hugetlb/box/hugetlb.2MB.limit_in_bytes", "0", "hugepageLimits/0/limit", REQUIRED),
        ("net_cls,net_prio/box/net_cls.classid", "7", "network/classID", REQUIRED),
        ("net_cls,net_prio/box/net_prio.ifpriomap", "eth0 3", "network/priorities/0", REQUIRED),
        ("rdma/box/rdma.max", "mlx5/1 hca_handle=3 hca_object=10000", "rdma/mlx5~11", REQUIRED),
    ]


def test_v2_converts_what_it_can():
    """v2's swap is swap alone; shares, weights and rates become v2's units."""
    given = {"memory": MEMORY, "cpu": CPU, "pids": {"limit": -1}, "blockIO": BLOCK}
    given["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4194304}]
    assert writes(given, hosts.v2()) == [
        ("box/memory.max", "67108864", "memory/limit", REQUIRED),
        ("box/memory.swap.max", "67108864", "memory/swap", REQUIRED),
        ("box/memory.low", "1048576", "memory/reservation", REQUIRED),
        ("box/cpu.weight", "20", "cpu/shares", REQUIRED),
        ("box/cpu.max", "50000 100000", "cpu/quota", REQUIRED),
        ("box/cpu.max.burst", "1000", "cpu/burst", REQUIRED),
        ("box/cpu.idle", "0", "cpu/idle", DEFAULT),
        ("box/cpuset.cpus", "0-1", "cpu/cpus", REQUIRED),
        ("box/cpuset.mems", "0", "cpu/mems", REQUIRED),
        ("box/pids.max", "max", "pids/limit", DEFAULT),
        ("box/io.bfq.weight", "500", "blockIO/weight", ("io.weight", "4950")),
        ("box/io.bfq.weight", "8:0 100", "blockIO/weightDevice/0/weight", ("io.weight", "8:0 910")),
        ("box/io.max", "8:0 rbps=1048576", "blockIO/throttleReadBpsDevice/0/rate", REQUIRED),
        ("box/io.max", "8:16 wiops=30", "blockIO/throttleWriteIOPSDevice/0/rate", REQUIRED),
        ("box/hugetlb.2MB.rsvd.max", "4194304", "hugepageLimits/0/limit", REQUIRED),
        ("box/hugetlb.2MB.max", "4194304", "hugepageLimits/0/limit", REQUIRED),
    ]


@pytest.mark.parametrize(("shares", "weight"), [(2, "1"), (1024, "39"), (262144, "10000"), (1, "1"), (300000, "10000")])
def test_v2_weight_is_in_proportion_to_shares(shares: int, weight: str):
    """2..262144 become 1..10000, and what is outside is taken to the nearest end."""
    assert values({"cpu": {"shares": shares}}, hosts.v2()) == {"box/cpu.weight": weight}


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({"limit": -1}, {"memory.max": "max", "memory.swap.max": "max"}),
        ({"swap": -1}, {"memory.swap.max": "max"}),
        ({"limit": 5, "swap": 5}, {"memory.max": "5", "memory.swap.max": "0"}),
        ({"limit": 5}, {"memory.max": "5"}),
    ],
)
def test_v2_swap_of_each_kind_of_limit(memory: dict[str, int], expected: dict[str, str]):
    """-1 is max, equal limits leave no swap, and no swap limit leaves it as it is."""
    written = values({"memory": memory}, hosts.v2())
    assert {path.removeprefix("box/"): value for path, value in written.items()} == expected


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [({"quota": 5000}, "5000 100000"), ({"period": 50000}, "max 50000"), ({"quota": -1, "period": 5000}, "max 5000")],
)
def test_v2_cpu_max_is_complete(cpu: dict[str, int], expected: str):
    """Quota and period are one file, whichever is given."""
    assert values({"cpu": cpu}, hosts.v2()) == {"box/cpu.max": expected}


ZEROES = {
    "memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "disableOOMKiller": False},
    "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "realtimeRuntime": 0},
    "blockIO": {"weight": 0, "leafWeight": 0, "throttleReadBpsDevice": []},
    "network": {"classID": 0},
    "hugepageLimits": [],
}


def test_unlimited_memory_is_unlimited_with_swap():
    """-1 takes away v1's limit of both together, below which the kernel would not let it; a given swap stays what it is."""
    both = ["memory/box/memory.limit_in_bytes", "memory/box/memory.memsw.limit_in_bytes"]
    assert values({"memory": {"limit": -1}}, hosts.v1()) == dict.fromkeys(both, "-1")
    assert values({"memory": {"limit": -1, "swap": 5}}, hosts.v1()) == {both[0]: "-1", both[1]: "5"}


@pytest.mark.parametrize("facts", [hosts.v1(), hosts.v2(), hosts.v1("devices"), {"mode": "none", "hierarchies": ()}])
def test_zero_is_not_set(facts: dict[str, Any]):
    """Docker sends zeroes: nothing is written, and no controller is needed for them."""
    assert writes(ZEROES, facts) == []


def test_unlimited_needs_no_controller():
    """-1 is how every cgroup begins: a host without the controller gives it anyway."""
    given = {"memory": {"limit": -1, "swap": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1, "idle": 0}}
    assert writes(given, hosts.v1("devices")) == []
    assert writes(given, hosts.v2("hugetlb")) == []


def test_a_limit_of_no_process_is_written_as_one():
    """It lets no more processes be made, and nothing can be born in a cgroup of 0."""
    for facts, where in ((hosts.v1("pids"), "pids/box"), (hosts.v2(), "box")):
        assert writes({"pids": {"limit": 0}}, facts) == [(f"{where}/pids.max", "1", "pids/limit", REQUIRED)]


@pytest.mark.parametrize(
    ("given", "pointer", "controller"),
    [
        ({"memory": {"reservation": 5}}, "memory/reservation", "memory"),
        ({"cpu": {"cpus": "0"}}, "cpu/cpus", "cpuset"),
        ({"pids": {"limit": 0}}, "pids/limit", "pids"),
        ({"blockIO": {"throttleReadBpsDevice": [{"major": 1, "minor": 2, "rate": 3}]}},
         "blockIO/throttleReadBpsDevice/0/rate", "blkio"),
        ({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, "hugepageLimits/0/limit", "hugetlb"),
        ({"network": {"classID": 5}}, "network/classID", "net_cls"),
    ],
)  # fmt: skip
def test_a_missing_controller_is_named(given: dict[str, Any], pointer: str, controller: str):
    """A limit that the host cannot hold is an error at its place, which names the controller."""
    with pytest.raises(OcirunError, match=f"the {controller} controller") as caught:
        writes(given, hosts.v1("devices"))
    assert caught.value.pointer == f"/linux/resources/{pointer}"


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"memory": {"kernel": 5}}, "memory/kernel"),
        ({"memory": {"swappiness": 0}}, "memory/swappiness"),
        ({"memory": {"disableOOMKiller": True}}, "memory/disableOOMKiller"),
        ({"memory": {"swap": 5}}, "memory/swap"),
        ({"memory": {"limit": 6, "swap": 5}}, "memory/swap"),
        ({"cpu": {"realtimeRuntime": 5}}, "cpu/realtimeRuntime"),
        ({"blockIO": {"leafWeight": 50}}, "blockIO/leafWeight"),
        (
            {"blockIO": {"weightDevice": [{"major": 1, "minor": 2, "leafWeight": 50}]}},
            "blockIO/weightDevice/0/leafWeight",
        ),
    ],
)
def test_v2_refuses_what_it_cannot_say(given: dict[str, Any], pointer: str):
    """A v1 setting that v2 has no file for is an error, never left out."""
    with pytest.raises(InvalidConfig) as caught:
        writes(given, hosts.v2())
    assert caught.value.pointer == f"/linux/resources/{pointer}"


@pytest.mark.parametrize(
    ("given", "controller"),
    [({"classID": 5}, "net_cls"), ({"priorities": [{"name": "lo", "priority": 1}]}, "net_prio")],
)
def test_v1s_network_controllers(given: dict[str, Any], controller: str):
    """v2 has neither: the error names the controller of v1, and how it would be there."""
    for host, hint in (
        (hosts.v2(), "v2 has none like it"),
        (hosts.hybrid("hugetlb"), f"-o {controller} {controller} "),
    ):
        with pytest.raises(OcirunError) as caught:
            writes({"network": given}, host)
        assert f"needs the {controller} controller" in caught.value.message
        assert hint in caught.value.message
        assert str(caught.value.pointer).startswith("/linux/resources/network/")


def test_hybrid_uses_the_hierarchy_that_has_the_controller():
    """A hugetlb limit goes to the v2 directory when only that has hugetlb; memory stays on v1."""
    given = {"hugepageLimits": [{"pageSize": "2MB", "limit": 5}], "memory": {"limit": 7}}
    assert values(given, hosts.hybrid("hugetlb")) == {
        "memory/box/memory.limit_in_bytes": "7",
        "unified/box/hugetlb.2MB.rsvd.max": "5",
        "unified/box/hugetlb.2MB.max": "5",
    }


def test_unified_comes_last_and_unknown_files_are_written():
    """unified is written verbatim after everything else, also where no known controller has the file."""
    given = {"unified": {"memory.high": "max", "memory.new": "1", "cgroup.type": "threaded"}, "memory": {"limit": 7}}
    assert writes(given, hosts.v2()) == [
        ("box/memory.max", "7", "memory/limit", REQUIRED),
        ("box/memory.high", "max", "unified/memory.high", REQUIRED),
        ("box/memory.new", "1", "unified/memory.new", REQUIRED),
        ("box/cgroup.type", "threaded", "unified/cgroup.type", REQUIRED),
    ]


def test_unified_lines_are_written_one_by_one():
    """The kernel takes one line of such a file in a write. What it thinks of other values with lines is for it to say."""
    given = {"unified": {"io.max": "7:0 riops=3\n7:1 riops=5\n", "cpuset.cpus": "\n", "cgroup.max.depth": "5\n6"}}
    assert writes(given, hosts.v2()) == [
        ("box/io.max", "7:0 riops=3", "unified/io.max", REQUIRED),
        ("box/io.max", "7:1 riops=5", "unified/io.max", REQUIRED),
        ("box/cpuset.cpus", "\n", "unified/cpuset.cpus", REQUIRED),
        ("box/cgroup.max.depth", "5\n6", "unified/cgroup.max.depth", REQUIRED),
    ]


def test_unified_limit_of_no_process():
    """As pids.limit 0: the first process can be born in such a cgroup, and make no other."""
    assert writes({"unified": {"pids.max": "0\n"}}, hosts.v2()) == [("box/pids.max", "1", "unified/pids.max", REQUIRED)]


@pytest.mark.parametrize(
    ("file", "facts"),
    [("memory.high", hosts.v1()), ("misc.max", hosts.v2()), ("memory.high", hosts.hybrid("hugetlb")),
     ("../x.y", hosts.v2()), ("memory", hosts.v2())],
)  # fmt: skip
def test_unified_without_its_controller_is_an_error(file: str, facts: dict[str, Any]):
    """No v2 hierarchy, a controller that is not in it, or a name with a slash or without a controller."""
    with pytest.raises(OcirunError) as caught:
        writes({"unified": {file: "1"}}, facts)
    assert caught.value.pointer == "/linux/resources/unified/" + file.replace("/", "~1")


def test_devices_are_limited_where_the_host_can():
    """v1: writes to the devices controller. v2: a program for the one cgroup. Neither: an error for a rule."""
    deny = {"devices": [{"allow": False, "access": "rwm"}]}
    for given in (deny, {}, None):
        result, device_filter = resources.writes(given, layout.locations("/b", "b", hosts.hybrid()))
        location, setting = result[0]
        assert location["path"] == "/sys/fs/cgroup/devices/b"
        assert (setting.file, setting.value, setting.pointer) == ("devices.deny", "a", "/linux/resources/devices")
        assert device_filter is None
        result, device_filter = resources.writes(given, layout.locations("/b", "b", hosts.v2()))
        assert result == []
        assert device_filter is not None
        assert device_filter[0] == "/sys/fs/cgroup/b"
    with pytest.raises(OcirunError, match="neither"):
        resources.writes(deny, layout.locations("/b", "b", hosts.v1("memory")))
    assert resources.writes({}, layout.locations("/b", "b", hosts.v1("memory"))) == ([], None)
    assert resources.writes({"devices": ALLOW_ALL}, layout.locations("/b", "b", hosts.v2())) == ([], None)


def test_needed_controllers_have_the_pointer_of_their_first_limit():
    """What must be enabled in subtree_control: not what asks for nothing, not v1's."""
    given = {"memory": {"limit": 7, "swap": 9}, "pids": {"limit": -1}, "unified": {"io.latency": "x", "cgroup.x": "1"}}
    result, _ = resources.writes(given, layout.locations("/b", "b", hosts.v2()))
    assert resources.needed(result) == {
        "memory": "/linux/resources/memory/limit",
        "io": "/linux/resources/unified/io.latency",
    }
