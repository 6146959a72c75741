"""The resources of the spec, which are v1's, as files of the v2 controllers. Pure: one function a controller.

Settings are as in `v1`. What v2 cannot say is an error that names it (config-linux.md#unified: convert or fail).
"""

from runtime.cgroups.v1 import burst, cpuset, device_number, each, idle, pids, rdma
from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.v1 import Section, Setting

__all__ = ["block_io", "cpu", "cpuset", "hugepages", "memory", "pids", "rdma"]

DEFAULT_PERIOD = 100000
UNLIMITED = -1


def _refuse(section: "Section", pointer: str, *keys: str) -> None:
    """v2 has no file for these. 0, false and -1 ask for nothing."""
    for key in keys:
        if section.get(key) and section[key] != UNLIMITED:
            raise InvalidConfig("cgroup v2 has no such setting; remove it, or use a v1 host", f"{pointer}/{key}")


def _bytes(value: int) -> str:
    return "max" if value < 0 else str(value)


def memory(section: "Section") -> "list[Setting]":
    """memory.max, memory.swap.max (swap alone, where v1 counts both) and memory.low."""
    pointer = "/linux/resources/memory"
    _refuse(section, pointer, "kernel", "kernelTCP", "disableOOMKiller")
    if section.get("swappiness") is not None:
        raise InvalidConfig("cgroup v2 has no swappiness; remove it, or use a v1 host", f"{pointer}/swappiness")
    settings: list[Setting] = []
    for key, file in (("limit", "memory.max"), ("reservation", "memory.low")):
        if value := int(section.get(key) or 0):
            settings.append((file, _bytes(value), f"{pointer}/{key}", () if value < 0 else None))
    place = f"{pointer}/swap" if section.get("swap") else f"{pointer}/limit"
    swap = swap_alone(int(section.get("limit") or 0), int(section.get("swap") or 0), place)
    if swap is not None:
        # Without swap accounting there is no file, and "max" and none at all are what the container gets.
        settings.insert(1, ("memory.swap.max", _bytes(swap), place, () if swap <= 0 else None))
    return settings


def swap_alone(limit: int, swap: int, pointer: str) -> int | None:
    """v1's memory and swap together as v2's swap alone; None: not set."""
    if swap < 0 or (limit < 0 and swap == 0):
        return UNLIMITED
    if swap == 0:
        return None
    if limit <= 0:
        raise InvalidConfig("memory and swap together need a memory limit on cgroup v2: set memory.limit", pointer)
    if swap < limit:
        raise InvalidConfig("memory and swap together are below the memory limit", pointer)
    return swap - limit


def cpu(section: "Section") -> "list[Setting]":
    """Shares 2..262144 become the weight 1..10000, in proportion, as runc 1.1 and crun 1.8 have it."""
    pointer = "/linux/resources/cpu"
    _refuse(section, pointer, "realtimeRuntime", "realtimePeriod")
    settings: list[Setting] = []
    if shares := int(section.get("shares") or 0):
        settings.append(("cpu.weight", str(weight_of(shares)), f"{pointer}/shares", None))
    quota, period = int(section.get("quota") or 0), int(section.get("period") or 0)
    if quota or period:
        value = f"{quota if quota > 0 else 'max'} {period or DEFAULT_PERIOD}"
        key = "quota" if quota else "period"
        settings.append(("cpu.max", value, f"{pointer}/{key}", None if quota > 0 or period else ()))
    return settings + burst(section, "cpu.max.burst") + idle(section)


def weight_of(shares: int) -> int:
    """v1's cpu shares as v2's weight."""
    return 1 + (min(max(shares, 2), 262144) - 2) * 9999 // 262142


THROTTLES = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)


def block_io(section: "Section") -> "list[Setting]":
    """BFQ takes the spec's weight as it is; without it, io.weight takes 10..1000 stretched to 1..10000."""
    pointer = "/linux/resources/blockIO"
    _refuse(section, pointer, "leafWeight")
    settings: list[Setting] = []
    if weight := int(section.get("weight") or 0):
        otherwise = ("io.weight", str(io_weight(weight)))
        settings.append(("io.bfq.weight", str(weight), f"{pointer}/weight", otherwise))
    for device, place in each(section, "weightDevice", pointer):
        _refuse(device, place, "leafWeight")
        for file, value, where, _ in device_number(device, "weight", "io.bfq.weight", place):
            name = value.split(" ")[0]
            settings.append((file, value, where, ("io.weight", f"{name} {io_weight(int(device['weight']))}")))
    for key, word in THROTTLES:
        for device, place in each(section, key, pointer):
            if rate := int(device.get("rate") or 0):
                name = f"{int(device['major'])}:{int(device['minor'])}"
                settings.append(("io.max", f"{name} {word}={rate}", f"{place}/rate", None))
    return settings


def io_weight(weight: int) -> int:
    """The spec's weight of a disk as v2's."""
    return 1 + (min(max(weight, 10), 1000) - 10) * 9999 // 990


def hugepages(section: "list[Section]") -> "list[Setting]":
    """As on v1: reserved pages and pages in use."""
    settings: list[Setting] = []
    for index, item in enumerate(section):
        place, limit = f"/linux/resources/hugepageLimits/{index}/limit", str(int(item["limit"]))
        for kind in ("rsvd.max", "max"):
            settings.append((f"hugetlb.{item['pageSize']}.{kind}", limit, place, None))
    return settings
