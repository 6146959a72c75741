"""/linux/resources as settings of the v1 controllers. Pure: one function for each controller.

Each takes a section of /linux/resources and gives settings in the order in which the kernel accepts them.
"""

from runtime.cgroups.setting import Setting
from runtime.files import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeVar

    from oci_spec.types import (
        ResourcesBlockIO,
        ResourcesCpu,
        ResourcesHugepageLimit,
        ResourcesMemory,
        ResourcesNetwork,
        ResourcesPids,
        ResourcesRdma,
        ThrottleDevice,
        WeightDevice,
    )

    Item = TypeVar("Item")

POINTER = "/linux/resources"


def number(value: int | None, file: str, pointer: str) -> list[Setting]:
    """A limit in one file. 0 and absence mean "not set" (Docker sends 0), -1 unlimited, as every new cgroup is."""
    value = int(value or 0)
    return [Setting(file, str(value), f"{POINTER}/{pointer}", is_default=value == -1)] if value else []


def memory(section: "ResourcesMemory") -> list[Setting]:
    """Bytes. `swap` is memory and swap together; the kernel wants it no lower than the limit, so it comes second.

    Unlimited memory makes both unlimited, as with runc: an update could not express that otherwise.
    """
    limit, swap = section.get("limit"), section.get("swap")
    settings = [
        *number(limit, "memory.limit_in_bytes", "memory/limit"),
        *number(-1 if limit == -1 and not swap else swap, "memory.memsw.limit_in_bytes", "memory/swap"),
        *number(section.get("reservation"), "memory.soft_limit_in_bytes", "memory/reservation"),
        *number(section.get("kernel"), "memory.kmem.limit_in_bytes", "memory/kernel"),
        *number(section.get("kernelTCP"), "memory.kmem.tcp.limit_in_bytes", "memory/kernelTCP"),
    ]
    swappiness = section.get("swappiness")
    if swappiness is not None:
        settings.append(Setting("memory.swappiness", str(int(swappiness)), f"{POINTER}/memory/swappiness"))
    if section.get("disableOOMKiller"):
        settings.append(Setting("memory.oom_control", "1", f"{POINTER}/memory/disableOOMKiller"))
    return settings


def cpu(section: "ResourcesCpu") -> list[Setting]:
    """The period before the quota, and the quota before the burst that it bounds; shares before idle, which locks them."""
    return [
        *number(section.get("shares"), "cpu.shares", "cpu/shares"),
        *number(section.get("period"), "cpu.cfs_period_us", "cpu/period"),
        *number(section.get("quota"), "cpu.cfs_quota_us", "cpu/quota"),
        *burst(section, "cpu.cfs_burst_us"),
        *number(section.get("realtimePeriod"), "cpu.rt_period_us", "cpu/realtimePeriod"),
        *number(section.get("realtimeRuntime"), "cpu.rt_runtime_us", "cpu/realtimeRuntime"),
        *idle(section),
    ]


def burst(section: "ResourcesCpu", file: str) -> list[Setting]:
    """How much unused quota may be used later. A new cgroup has 0, which also removes one that was set."""
    value = section.get("burst")
    if value is None:
        return []
    return [Setting(file, str(int(value)), f"{POINTER}/cpu/burst", is_default=not value)]


def idle(section: "ResourcesCpu") -> list[Setting]:
    """SCHED_IDLE for the whole cgroup; a new cgroup has 0."""
    value = section.get("idle")
    if value is None:
        return []
    return [Setting("cpu.idle", str(int(value)), f"{POINTER}/cpu/idle", is_default=not value)]


def cpuset(section: "ResourcesCpu") -> list[Setting]:
    """Lists such as "0-3,7"; v2 has the same files."""
    given = (("cpus", section.get("cpus")), ("mems", section.get("mems")))
    return [Setting(f"cpuset.{name}", str(value), f"{POINTER}/cpu/{name}") for name, value in given if value]


def pids(section: "ResourcesPids") -> list[Setting]:
    """-1 is unlimited; 0 is a limit (spec 1.3): the container's process may not make another. v2 has the same file.

    0 is written as 1, which says the same: on v2 no process can be born in a cgroup whose pids.max is 0.
    """
    limit = section.get("limit")
    if limit is None:
        return []
    value = "max" if limit < 0 else str(max(int(limit), 1))
    return [Setting("pids.max", value, f"{POINTER}/pids/limit", is_default=limit < 0)]


THROTTLE_FILES = {
    "throttleReadBpsDevice": "blkio.throttle.read_bps_device",
    "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
    "throttleReadIOPSDevice": "blkio.throttle.read_iops_device",
    "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device",
}


def throttled(section: "ResourcesBlockIO") -> "Iterable[tuple[str, ThrottleDevice, str]]":
    """Each throttled disk: the property that it is listed under, the disk, its pointer."""
    lists = (
        ("throttleReadBpsDevice", section.get("throttleReadBpsDevice")),
        ("throttleWriteBpsDevice", section.get("throttleWriteBpsDevice")),
        ("throttleReadIOPSDevice", section.get("throttleReadIOPSDevice")),
        ("throttleWriteIOPSDevice", section.get("throttleWriteIOPSDevice")),
    )
    for name, disks in lists:
        for disk, pointer in each(disks, f"blockIO/{name}"):
            yield name, disk, pointer


def block_io(section: "ResourcesBlockIO") -> list[Setting]:
    """Weights are BFQ's. The older blkio.weight and every leaf weight were removed with CFQ in Linux 5.0."""
    settings = number(section.get("weight"), "blkio.bfq.weight", "blockIO/weight")
    settings += number(section.get("leafWeight"), "blkio.leaf_weight", "blockIO/leafWeight")
    for disk, pointer in each(section.get("weightDevice"), "blockIO/weightDevice"):
        settings += of_disk(disk, disk.get("weight"), "blkio.bfq.weight_device", f"{pointer}/weight")
        settings += of_disk(disk, disk.get("leafWeight"), "blkio.leaf_weight_device", f"{pointer}/leafWeight")
    for name, throttle, pointer in throttled(section):
        settings += of_disk(throttle, throttle.get("rate"), THROTTLE_FILES[name], f"{pointer}/rate")
    return settings


def each(items: "Sequence[Item] | None", pointer: str) -> "list[tuple[Item, str]]":
    """The items of the list at ``pointer``, each with its own pointer."""
    return [(item, f"{pointer}/{index}") for index, item in enumerate(items or ())]


def of_disk(disk: "WeightDevice | ThrottleDevice", value: int | None, file: str, pointer: str) -> list[Setting]:
    """`major:minor value` for one block device; 0 and absence mean "not set"."""
    value = int(value or 0)
    return [Setting(file, f"{numbers(disk)} {value}", f"{POINTER}/{pointer}")] if value else []


def numbers(disk: "WeightDevice | ThrottleDevice") -> str:
    """`major:minor`."""
    return f"{int(disk['major'])}:{int(disk['minor'])}"


def hugepages(section: "list[ResourcesHugepageLimit]") -> list[Setting]:
    """Limits on pages in use and on reserved pages: a process that maps more gets an error, not a SIGBUS later."""
    settings: list[Setting] = []
    for item, pointer in each(section, f"{POINTER}/hugepageLimits"):
        for kind in ("rsvd.limit_in_bytes", "limit_in_bytes"):
            settings.append(Setting(f"hugetlb.{item['pageSize']}.{kind}", str(int(item["limit"])), f"{pointer}/limit"))
    return settings


def network_class(section: "ResourcesNetwork") -> list[Setting]:
    """The class of the container's packets."""
    return number(section.get("classID"), "net_cls.classid", "network/classID")


def network_priorities(section: "ResourcesNetwork") -> list[Setting]:
    """A priority for each interface of the caller's network namespace."""
    return [
        Setting("net_prio.ifpriomap", f"{item['name']} {int(item['priority'])}", pointer)
        for item, pointer in each(section.get("priorities"), f"{POINTER}/network/priorities")
    ]


def rdma(section: "dict[str, ResourcesRdma]") -> list[Setting]:
    """Handles and objects of each device; v2 has the same file."""
    settings: list[Setting] = []
    for device, limits in section.items():
        given = (("hca_handle", limits.get("hcaHandles")), ("hca_object", limits.get("hcaObjects")))
        values = [f"{name}={int(limit)}" for name, limit in given if limit is not None]
        if values:
            name = escape(device)
            settings.append(Setting("rdma.max", " ".join([device, *values]), f"{POINTER}/rdma/{name}"))
    return settings
