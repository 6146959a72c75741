"""/linux/resources on this host: which controller is where, and the ordered list of writes. Pure.

A controller may belong to v1 or v2, also on one host (hybrid): each section becomes settings of the hierarchy that has
its controller.
"""

from runtime.cgroups import devices, v1
from runtime.cgroups.setting import Setting
from runtime.errors import InvalidConfig, OcirunError
from runtime.files import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from oci_spec.types import (
        Resources,
        ResourcesBlockIO,
        ResourcesCpu,
        ResourcesDevice,
        ResourcesHugepageLimit,
        ResourcesMemory,
        ResourcesPids,
        ResourcesRdma,
    )
    from runtime.cgroups.setting import Write
    from runtime.shapes import Location

    # Directory of a v2 cgroup, and the eBPF program that filters its devices.
    DeviceFilter = tuple[str, bytes]

    class Version(Protocol):
        """What the modules `v1` and `v2` have in common."""

        def memory(self, section: ResourcesMemory) -> list[Setting]: ...
        def cpu(self, section: ResourcesCpu) -> list[Setting]: ...
        def cpuset(self, section: ResourcesCpu) -> list[Setting]: ...
        def pids(self, section: ResourcesPids) -> list[Setting]: ...
        def block_io(self, section: ResourcesBlockIO) -> list[Setting]: ...
        def hugepages(self, section: list[ResourcesHugepageLimit]) -> list[Setting]: ...
        def rdma(self, section: dict[str, ResourcesRdma]) -> list[Setting]: ...


# Hints for a controller that v2 has no counterpart of.
V2_ALONE = "; cgroup v2 has none like it: it takes a host with v1's mounted below /sys/fs/cgroup"
UNMOUNTED = "; `mount -t cgroup -o {0} {0} /sys/fs/cgroup/{0}` adds it where the kernel has it (see /proc/cgroups)"


def writes(resources: "Resources | None", locations: "list[Location]") -> "tuple[list[Write], DeviceFilter | None]":
    """The writes for /linux/resources (None: absent), in order, and the device filter where devices are v2's.

    Devices are limited to the default ones also where the config has no rule (config-linux.md#devices), as runc does.
    Raises OcirunError, with the pointer, for a limit whose controller the host lacks or v2 cannot express. A value that
    asks for nothing (0, -1, "idle": 0) needs no controller.
    """
    given, where = resources or {}, controllers(locations)
    result = _limits(given, where, locations)
    device_writes, device_filter = _devices(given.get("devices"), where, locations)
    return result + device_writes + _unified(given.get("unified") or {}, where, locations), device_filter


def controllers(locations: "list[Location]") -> "dict[str, Location]":
    """Controller → the cgroup in the hierarchy that has it."""
    return {name: location for location in locations for name in location["hierarchy"]["controllers"]}


def unified(locations: "list[Location]") -> "Location | None":
    """The cgroup in the v2 hierarchy."""
    return next((location for location in locations if location["hierarchy"]["version"] == 2), None)


def needed(writes: "list[Write]") -> dict[str, str]:
    """The v2 controllers that the writes need → the pointer of the first write that needs it."""
    pointers: dict[str, str] = {}
    for location, setting in writes:
        if location["hierarchy"]["version"] == 2 and not setting.is_default:
            pointers.setdefault(setting.file.split(".", 1)[0], setting.pointer)
    pointers.pop("cgroup", None)
    return pointers


def _limits(given: "Resources", where: "dict[str, Location]", locations: "list[Location]") -> "list[Write]":
    """The writes of all sections but `devices` and `unified`."""
    result: list[Write] = []

    def add(name: str, v2_name: str, settings: "Callable[[Version], list[Setting]]") -> None:
        result.extend(_writes_of(name, v2_name, settings, where, locations))

    if memory := given.get("memory"):
        add("memory", "memory", lambda version: version.memory(memory))
    if cpu := given.get("cpu"):
        add("cpu", "cpu", lambda version: version.cpu(cpu))
        add("cpuset", "cpuset", lambda version: version.cpuset(cpu))
    if pids := given.get("pids"):
        add("pids", "pids", lambda version: version.pids(pids))
    if block_io := given.get("blockIO"):
        add("blkio", "io", lambda version: version.block_io(block_io))
    if hugepages := given.get("hugepageLimits"):
        add("hugetlb", "hugetlb", lambda version: version.hugepages(hugepages))
    if network := given.get("network"):
        add("net_cls", "", lambda _: v1.network_class(network))
        add("net_prio", "", lambda _: v1.network_priorities(network))
    if rdma := given.get("rdma"):
        add("rdma", "rdma", lambda version: version.rdma(rdma))
    return result


def _writes_of(
    name: str,
    v2_name: str,
    settings: "Callable[[Version], list[Setting]]",
    where: "dict[str, Location]",
    locations: "list[Location]",
) -> "list[Write]":
    """The settings of the controller that is called ``name`` on v1 and ``v2_name`` ("": none) on v2, for its cgroup."""
    location, version = where.get(name), 1
    pure_v2 = bool(locations) and locations[-1]["hierarchy"]["version"] == 2
    if location is None or location["hierarchy"]["version"] == 2:
        location = where.get(v2_name)
        if v2_name and (location is not None or pure_v2):
            name, version = v2_name, 2
    wanted = settings(_module(version))
    if location is not None:
        return [(location, setting) for setting in wanted]
    for setting in wanted:
        if not setting.is_default:
            hint = "" if v2_name else (V2_ALONE if pure_v2 or not locations else UNMOUNTED).format(name)
            message = f"this needs the {name} controller, which no cgroup hierarchy of this host has{hint}"
            raise OcirunError(message, setting.pointer)
    return []


def _module(version: int) -> "Version":
    if version == 1:
        return v1
    from runtime.cgroups import v2

    return v2


def _devices(
    rules: "list[ResourcesDevice] | None", where: "dict[str, Location]", locations: "list[Location]"
) -> "tuple[list[Write], DeviceFilter | None]":
    location = where.get("devices")
    if location is not None:
        return [(location, setting) for setting in devices.settings(rules or [])], None
    location = unified(locations)
    if location is not None:
        from runtime.cgroups.device_program import program as filter_program

        program = filter_program(rules or [])
        return [], ((location["path"], program) if program else None)
    if rules and not devices.allows_all(rules):
        message = "device rules need the devices controller or cgroup v2, and this host has neither"
        raise OcirunError(message, devices.POINTER)
    return [], None


def _unified(entries: dict[str, str], where: "dict[str, Location]", locations: "list[Location]") -> "list[Write]":
    """config-linux.md#unified: v2 files by name, unknown ones too. Their controllers must be in the v2 hierarchy.

    A value of several lines, such as io.max of several disks, is a write for each: the kernel takes one line at a time.
    """
    result: list[Write] = []
    location = unified(locations)
    for file, value in entries.items():
        pointer = "/linux/resources/unified/" + escape(file)
        if location is None:
            raise OcirunError("unified settings need cgroup v2, which this host has not mounted", pointer)
        if "/" in file or "." not in file.strip("."):
            raise InvalidConfig("a unified setting is named <controller>.<file>, without a slash", pointer)
        name = file.split(".", 1)[0]
        if name != "cgroup" and where.get(name) is not location:
            raise OcirunError(f"the {name} controller is not in this host's v2 hierarchy", pointer)
        result += [(location, Setting(file, line, pointer)) for line in _lines(file, value)]
    return result


def _lines(file: str, value: str) -> list[str]:
    """The writes for a value: its lines, if each begins with what it is for, such as a disk. In pids.max 0 becomes 1, as in `pids`."""
    if file == "pids.max" and value.strip() == "0":
        return ["1"]
    lines = [line for line in value.split("\n") if line.strip()]
    return lines if lines and all(len(line.split()) > 1 for line in lines) else [value]
