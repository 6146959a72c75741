"""/linux/resources, which has v1's units, as settings of the v2 controllers. Pure: one function for each controller.

What v2 cannot express is an error that names it (config-linux.md#unified: convert or fail).
"""

from runtime.cgroups.setting import Setting
from runtime.cgroups.v1 import POINTER, burst, cpuset, each, idle, numbers, of_disk, pids, rdma, throttled
from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import ResourcesBlockIO, ResourcesCpu, ResourcesHugepageLimit, ResourcesMemory

__all__ = ["block_io", "cpu", "cpuset", "hugepages", "memory", "pids", "rdma"]

DEFAULT_PERIOD = 100000
UNLIMITED = -1


def _refuse(value: int | None, pointer: str) -> None:
    """Refuse a setting for which v2 has no file. 0, false and -1 ask for nothing."""
    if value and value != UNLIMITED:
        raise InvalidConfig("cgroup v2 has no such setting; remove it, or use a v1 host", f"{POINTER}/{pointer}")


def _bytes(value: int) -> str:
    return "max" if value < 0 else str(value)


def memory(section: "ResourcesMemory") -> list[Setting]:
    """memory.max, memory.swap.max (swap alone, where v1 counts both) and memory.low."""
    _refuse(section.get("kernel"), "memory/kernel")
    _refuse(section.get("kernelTCP"), "memory/kernelTCP")
    _refuse(section.get("disableOOMKiller"), "memory/disableOOMKiller")
    if section.get("swappiness") is not None:
        message = "cgroup v2 has no swappiness; remove it, or use a v1 host"
        raise InvalidConfig(message, f"{POINTER}/memory/swappiness")
    settings: list[Setting] = []
    limit, both = int(section.get("limit") or 0), int(section.get("swap") or 0)
    if limit:
        settings.append(Setting("memory.max", _bytes(limit), f"{POINTER}/memory/limit", is_default=limit < 0))
    if low := int(section.get("reservation") or 0):
        settings.append(Setting("memory.low", _bytes(low), f"{POINTER}/memory/reservation", is_default=low < 0))
    pointer = f"{POINTER}/memory/swap" if both else f"{POINTER}/memory/limit"
    swap = swap_alone(limit, both, pointer)
    if swap is not None:
        # Without swap accounting the file is absent. For "max" and for no swap at all that makes no difference.
        settings.insert(1, Setting("memory.swap.max", _bytes(swap), pointer, is_default=swap <= 0))
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


def cpu(section: "ResourcesCpu") -> list[Setting]:
    """Shares 2..262144 become the weight 1..10000, in proportion, as with runc 1.1 and crun 1.8."""
    _refuse(section.get("realtimeRuntime"), "cpu/realtimeRuntime")
    _refuse(section.get("realtimePeriod"), "cpu/realtimePeriod")
    settings: list[Setting] = []
    if shares := int(section.get("shares") or 0):
        settings.append(Setting("cpu.weight", str(weight_of(shares)), f"{POINTER}/cpu/shares"))
    quota, period = int(section.get("quota") or 0), int(section.get("period") or 0)
    if quota or period:
        value = f"{quota if quota > 0 else 'max'} {period or DEFAULT_PERIOD}"
        pointer = f"{POINTER}/cpu/{'quota' if quota else 'period'}"
        settings.append(Setting("cpu.max", value, pointer, is_default=quota <= 0 and not period))
    return settings + burst(section, "cpu.max.burst") + idle(section)


def weight_of(shares: int) -> int:
    """v1's cpu shares as v2's weight."""
    return 1 + (min(max(shares, 2), 262144) - 2) * 9999 // 262142


THROTTLE_KEYS = {
    "throttleReadBpsDevice": "rbps",
    "throttleWriteBpsDevice": "wbps",
    "throttleReadIOPSDevice": "riops",
    "throttleWriteIOPSDevice": "wiops",
}


def block_io(section: "ResourcesBlockIO") -> list[Setting]:
    """BFQ takes the spec's weight as it is. Without BFQ io.weight gets 10..1000 stretched to 1..10000."""
    _refuse(section.get("leafWeight"), "blockIO/leafWeight")
    settings: list[Setting] = []
    if weight := int(section.get("weight") or 0):
        fallback = ("io.weight", str(io_weight(weight)))
        settings.append(Setting("io.bfq.weight", str(weight), f"{POINTER}/blockIO/weight", fallback=fallback))
    for disk, pointer in each(section.get("weightDevice"), "blockIO/weightDevice"):
        _refuse(disk.get("leafWeight"), f"{pointer}/leafWeight")
        for setting in of_disk(disk, disk.get("weight"), "io.bfq.weight", f"{pointer}/weight"):
            setting.fallback = ("io.weight", f"{numbers(disk)} {io_weight(int(disk['weight']))}")
            settings.append(setting)
    for name, throttle, pointer in throttled(section):
        if rate := int(throttle.get("rate") or 0):
            value = f"{numbers(throttle)} {THROTTLE_KEYS[name]}={rate}"
            settings.append(Setting("io.max", value, f"{POINTER}/{pointer}/rate"))
    return settings


def io_weight(weight: int) -> int:
    """The spec's weight of a disk as v2's."""
    return 1 + (min(max(weight, 10), 1000) - 10) * 9999 // 990


def hugepages(section: "list[ResourcesHugepageLimit]") -> list[Setting]:
    """As on v1: reserved pages and pages in use."""
    settings: list[Setting] = []
    for item, pointer in each(section, f"{POINTER}/hugepageLimits"):
        for kind in ("rsvd.max", "max"):
            settings.append(Setting(f"hugetlb.{item['pageSize']}.{kind}", str(int(item["limit"])), f"{pointer}/limit"))
    return settings
