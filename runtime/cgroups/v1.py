"""The resources of the spec as files of the v1 controllers. Pure: one function a controller.

Each takes a section of /linux/resources and gives settings in the order in which the kernel takes them:
`(file, value, pointer, otherwise)`. `otherwise` says what to do where the file is absent: None is an error, () nothing,
since the value is what an unlimited container has anyway, and (file, value) is another way to say it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Section = dict[str, Any]
    Setting = tuple[str, str, str, tuple[()] | tuple[str, str] | None]


def number(section: "Section", key: str, file: str, pointer: str) -> "list[Setting]":
    """A limit in one file. 0 and absence mean "not set" (Docker sends 0), -1 unlimited, which every new cgroup is."""
    value = int(section.get(key) or 0)
    return [(file, str(value), f"{pointer}/{key}", () if value == -1 else None)] if value else []


def memory(section: "Section") -> "list[Setting]":
    """Bytes; `swap` is memory and swap together, and the kernel wants it no lower than the limit, so it comes second.

    Unlimited memory makes both unlimited, as with runc: an update could not say it otherwise.
    """
    pointer = "/linux/resources/memory"
    swap = section if section.get("swap") or section.get("limit") != -1 else {"swap": -1}
    settings = (
        number(section, "limit", "memory.limit_in_bytes", pointer)
        + number(swap, "swap", "memory.memsw.limit_in_bytes", pointer)
        + number(section, "reservation", "memory.soft_limit_in_bytes", pointer)
        + number(section, "kernel", "memory.kmem.limit_in_bytes", pointer)
        + number(section, "kernelTCP", "memory.kmem.tcp.limit_in_bytes", pointer)
    )
    if section.get("swappiness") is not None:
        settings.append(("memory.swappiness", str(int(section["swappiness"])), f"{pointer}/swappiness", None))
    if section.get("disableOOMKiller"):
        settings.append(("memory.oom_control", "1", f"{pointer}/disableOOMKiller", None))
    return settings


def cpu(section: "Section") -> "list[Setting]":
    """The period before the quota and the quota before the burst that it bounds; shares before idle, which locks them."""
    pointer = "/linux/resources/cpu"
    settings = (
        number(section, "shares", "cpu.shares", pointer)
        + number(section, "period", "cpu.cfs_period_us", pointer)
        + number(section, "quota", "cpu.cfs_quota_us", pointer)
        + burst(section, "cpu.cfs_burst_us")
        + number(section, "realtimePeriod", "cpu.rt_period_us", pointer)
        + number(section, "realtimeRuntime", "cpu.rt_runtime_us", pointer)
    )
    return settings + idle(section)


def burst(section: "Section", file: str) -> "list[Setting]":
    """What of a quota may be used later; 0 is how a cgroup begins, and takes one away that was set."""
    if section.get("burst") is None:
        return []
    value = int(section["burst"])
    return [(file, str(value), "/linux/resources/cpu/burst", None if value else ())]


def idle(section: "Section") -> "list[Setting]":
    """SCHED_IDLE for the whole cgroup; 0 is how a cgroup begins."""
    if section.get("idle") is None:
        return []
    value = int(section["idle"])
    return [("cpu.idle", str(value), "/linux/resources/cpu/idle", None if value else ())]


def cpuset(section: "Section") -> "list[Setting]":
    """Lists such as "0-3,7"; v2 has the same files."""
    keys = [key for key in ("cpus", "mems") if section.get(key)]
    return [(f"cpuset.{key}", str(section[key]), f"/linux/resources/cpu/{key}", None) for key in keys]


def pids(section: "Section") -> "list[Setting]":
    """-1 is unlimited; 0 is a limit (spec 1.3): the container's process may not make another. v2 has the same file."""
    if section.get("limit") is None:
        return []
    limit = int(section["limit"])
    value, otherwise = ("max", ()) if limit < 0 else (str(limit), None)
    return [("pids.max", value, "/linux/resources/pids/limit", otherwise)]


THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
)


def block_io(section: "Section") -> "list[Setting]":
    """Weights are BFQ's (the older blkio.weight went with CFQ in 5.0, and every leaf weight with it)."""
    pointer = "/linux/resources/blockIO"
    settings = number(section, "weight", "blkio.bfq.weight", pointer)
    settings += number(section, "leafWeight", "blkio.leaf_weight", pointer)
    for device, place in each(section, "weightDevice", pointer):
        for key, file in (("weight", "blkio.bfq.weight_device"), ("leafWeight", "blkio.leaf_weight_device")):
            settings += device_number(device, key, file, place)
    for key, file in THROTTLES:
        for device, place in each(section, key, pointer):
            settings += device_number(device, "rate", file, place)
    return settings


def each(section: "Section", key: str, pointer: str) -> "list[tuple[Section, str]]":
    """The items of a list with their pointers."""
    return [(item, f"{pointer}/{key}/{index}") for index, item in enumerate(section.get(key) or ())]


def device_number(device: "Section", key: str, file: str, place: str) -> "list[Setting]":
    """`major:minor value` for one block device; 0 is "not set"."""
    value = int(device.get(key) or 0)
    return [(file, f"{int(device['major'])}:{int(device['minor'])} {value}", f"{place}/{key}", None)] if value else []


def hugepages(section: "list[Section]") -> "list[Setting]":
    """A limit on pages in use and on pages reserved: a process that maps more gets an error, not a SIGBUS later."""
    settings: list[Setting] = []
    for index, item in enumerate(section):
        place, limit = f"/linux/resources/hugepageLimits/{index}/limit", str(int(item["limit"]))
        for kind in ("rsvd.limit_in_bytes", "limit_in_bytes"):
            settings.append((f"hugetlb.{item['pageSize']}.{kind}", limit, place, None))
    return settings


def network_class(section: "Section") -> "list[Setting]":
    """The class that the container's packets carry."""
    return number(section, "classID", "net_cls.classid", "/linux/resources/network")


def network_priorities(section: "Section") -> "list[Setting]":
    """A priority for each interface of the caller's network namespace."""
    places = each(section, "priorities", "/linux/resources/network")
    return [("net_prio.ifpriomap", f"{item['name']} {int(item['priority'])}", place, None) for item, place in places]


def rdma(section: "Section") -> "list[Setting]":
    """Handles and objects by device; v2 has the same file."""
    settings: list[Setting] = []
    for device, limits in section.items():
        words = [device]
        for key, word in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")):
            if limits.get(key) is not None:
                words.append(f"{word}={int(limits[key])}")
        if len(words) > 1:
            name = device.replace("~", "~0").replace("/", "~1")
            settings.append(("rdma.max", " ".join(words), f"/linux/resources/rdma/{name}", None))
    return settings
