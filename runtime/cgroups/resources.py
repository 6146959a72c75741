"""/linux/resources on this host: which controller is where, and the ordered list of writes. Pure.

A controller may be v1's or v2's, also on one host (hybrid): each subject is worded for the hierarchy that has it.
"""

from runtime.cgroups import devices, v1
from runtime.errors import InvalidConfig, OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.cgroups.layout import Place
    from runtime.cgroups.v1 import Setting

    # (index of the place, file, value, pointer, otherwise as in v1)
    Write = tuple[int, str, str, str, tuple[()] | tuple[str, str] | None]
    # (index of the place, eBPF instructions, pointer): a device filter for a v2 cgroup
    Filter = tuple[int, bytes, str]

# (section of /linux/resources, the function of `v1` and of `v2` for it, v1 controller, v2 controller)
SUBJECTS = (
    ("memory", "memory", "memory", "memory"),
    ("cpu", "cpu", "cpu", "cpu"),
    ("cpu", "cpuset", "cpuset", "cpuset"),
    ("pids", "pids", "pids", "pids"),
    ("blockIO", "block_io", "blkio", "io"),
    ("hugepageLimits", "hugepages", "hugetlb", "hugetlb"),
    ("network", "network_class", "net_cls", ""),
    ("network", "network_priorities", "net_prio", ""),
    ("rdma", "rdma", "rdma", "rdma"),
)


# Of a controller that v2 has nothing like.
V2_ALONE = "; cgroup v2 has none like it: it takes a host with v1's mounted below /sys/fs/cgroup"
UNMOUNTED = "; `mount -t cgroup -o {0} {0} /sys/fs/cgroup/{0}` adds it where the kernel has it (see /proc/cgroups)"


def writes(resources: "dict[str, Any] | None", places: "list[Place]") -> "tuple[list[Write], Filter | None]":
    """The writes for /linux/resources (None: absent), in order, and the device filter where devices are v2's.

    Devices are limited to the default ones also where the config has no rule (config-linux.md#devices), as runc does.
    Raises OcirunError, with the pointer, for a limit whose controller the host lacks or v2 cannot express; a value that
    asks for nothing (0, -1, "idle": 0) needs no controller.
    """
    given = resources or {}
    where = controllers(places)
    result: list[Write] = []
    for subject in SUBJECTS:
        if section := given.get(subject[0]):
            result += _subject(subject, section, where, places)
    device_writes, device_filter = _devices(given.get("devices"), where, places)
    return result + device_writes + _unified(given.get("unified") or {}, where, places), device_filter


def controllers(places: "list[Place]") -> dict[str, int]:
    """Controller -> index of the place whose hierarchy has it."""
    return {name: index for index, (_, _, one) in enumerate(places) for name in one["controllers"]}


def needed(result: "list[Write]", places: "list[Place]") -> dict[str, str]:
    """The v2 controllers that the writes need -> the pointer of the first write that does."""
    found: dict[str, str] = {}
    for index, file, _, pointer, otherwise in result:
        if places[index][2]["version"] == 2 and otherwise != ():
            found.setdefault(file.split(".", 1)[0], pointer)
    found.pop("cgroup", None)
    return found


def _subject(
    subject: tuple[str, str, str, str], section: "Any", where: dict[str, int], places: "list[Place]"
) -> "list[Write]":
    _, function, name, new = subject
    index, module = where.get(name), "v1"
    if index is None or places[index][2]["version"] == 2:
        index = where.get(new)
        if new and (index is not None or (places and places[-1][2]["version"] == 2)):
            name, module = new, "v2"
    settings = _settings(module, function, section)
    if index is not None:
        return [(index, *setting) for setting in settings]
    for _, _, pointer, otherwise in settings:
        if otherwise != ():
            hint = "" if new else (UNMOUNTED if places and places[-1][2]["version"] == 1 else V2_ALONE).format(name)
            raise OcirunError(
                f"this needs the {name} controller, which no cgroup hierarchy of this host has{hint}", pointer
            )
    return []


def _settings(module: str, function: str, section: "Any") -> "list[Setting]":
    if module == "v1":
        result: list[Setting] = getattr(v1, function)(section)
    else:
        from runtime.cgroups import v2

        result = getattr(v2, function)(section)
    return result


def _devices(
    rules: "list[dict[str, Any]] | None", where: dict[str, int], places: "list[Place]"
) -> "tuple[list[Write], Filter | None]":
    pointer = "/linux/resources/devices"
    if (index := where.get("devices")) is not None:
        return [(index, file, value, place, None) for file, value, place in devices.writes(rules or [])], None
    for index, (_, _, hierarchy) in enumerate(places):
        if hierarchy["version"] == 2:
            from runtime.cgroups.device_program import program as filter_program

            program = filter_program(rules or [])
            return [], ((index, program, pointer) if program else None)
    if rules and not devices.allows_all(rules):
        raise OcirunError("device rules need the devices controller or cgroup v2, and this host has neither", pointer)
    return [], None


def _unified(entries: dict[str, str], where: dict[str, int], places: "list[Place]") -> "list[Write]":
    """config-linux.md#unified: files of v2 by name, also unknown ones; their controllers must be there."""
    result: list[Write] = []
    for file, value in entries.items():
        pointer = "/linux/resources/unified/" + file.replace("~", "~0").replace("/", "~1")
        index = next((at for at, (_, _, one) in enumerate(places) if one["version"] == 2), None)
        if index is None:
            raise OcirunError("unified settings need cgroup v2, which this host has not mounted", pointer)
        if "/" in file or "." not in file.strip("."):
            raise InvalidConfig("a unified setting is named <controller>.<file>, without a slash", pointer)
        name = file.split(".", 1)[0]
        if name != "cgroup" and where.get(name) != index:
            raise OcirunError(f"the {name} controller is not in this host's v2 hierarchy", pointer)
        result.append((index, file, value, pointer, None))
    return result
