"""/linux/resources as properties of a systemd unit (systemd.resource-control(5)). Pure.

systemd writes a unit's cgroup files again when it is reloaded or a limit of a neighbour changes: only what it was told
stays. What no property can express is not here. `scope` writes every file after systemd has, so the properties need not
be exact, but they must never be stricter than the config.
"""

from runtime.cgroups import devices
from runtime.cgroups.v1 import numbers, throttled
from runtime.cgroups.v2 import DEFAULT_PERIOD, io_weight, swap_alone, weight_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import (
        Resources,
        ResourcesBlockIO,
        ResourcesCpu,
        ResourcesDevice,
        ResourcesMemory,
        ResourcesPids,
        ThrottleDevice,
        WeightDevice,
    )

    # (name, (signature of D-Bus, value of that type))
    Property = tuple[str, tuple[str, object]]

INFINITY = (1 << 64) - 1
SECOND = 1_000_000  # microseconds
PERCENT = 10_000  # microseconds of a second: the unit in which systemd keeps a quota on disk
LAST_CPU = 8191  # systemd's limit (cpu-set-util.c)
# The first version of systemd that has a property. Those that are not here are as old as its support of cgroup v2.
SINCE = {
    "MemoryMin": 240,
    "CPUQuotaPeriodUSec": 242,
    "AllowedCPUs": 244,
    "AllowedMemoryNodes": 244,
    "MemoryZSwapMax": 253,
}
IDLE_SINCE = 252  # CPUWeight 0


def accounting(v2: bool) -> "list[Property]":
    """Accounting for every controller. On v1 that is what makes systemd create the unit's cgroup there."""
    names = ("CPU", "Memory", "Tasks", "IO" if v2 else "BlockIO")
    return [(f"{name}Accounting", ("b", True)) for name in names]


def properties(resources: "Resources", v2: bool, version: int, user: bool = False) -> "list[Property]":
    """What systemd ``version`` is told. ``v2``: the host is pure v2. ``user``: a user's own systemd, which filters no devices."""
    result: list[Property] = []
    if memory := resources.get("memory"):
        result += _memory(memory, v2)
    if cpu := resources.get("cpu"):
        result += _cpu(cpu, v2, version)
    if pids := resources.get("pids"):
        result += _pids(pids)
    if block_io := resources.get("blockIO"):
        result += _block_io(block_io, v2)
    rules = resources.get("devices")
    if rules is not None and not user:
        result += device_properties(rules)
    if v2:
        for file, value in (resources.get("unified") or {}).items():
            result += _unified(file, str(value), version)
    return [(name, value) for name, value in result if SINCE.get(name, 0) <= version]


def of_unit(
    slice: str, unit: str, id: str, resources: "Resources", v2: bool, version: int, user: bool
) -> "list[Property]":
    """All properties of a container's unit except those of annotations. A slice's parent follows from its name."""
    slice_properties: list[Property] = [("Slice", ("s", slice)), ("Delegate", ("b", True))]
    if unit.endswith(".slice"):
        slice_properties = [("Wants", ("as", [slice]))]
    return [
        ("Description", ("s", f"ocirun container {id}")),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("DefaultDependencies", ("b", False)),
        *slice_properties,
        *accounting(v2),
        *properties({**resources, "devices": resources.get("devices") or []}, v2, version, user),
    ]


def text(properties: "list[Property]") -> list[str]:
    """The properties for a reader: "MemoryMax=4096", "AllowedCPUs=0 1", "DeviceAllow=/dev/null rw, char-136 rwm"."""
    rows = []
    for name, (_, value) in properties:
        if isinstance(value, bytes):
            bits = int.from_bytes(value, "little")
            shown = " ".join(str(number) for number in range(bits.bit_length()) if bits >> number & 1)
        elif isinstance(value, list | dict):
            shown = ", ".join(" ".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value)
        elif isinstance(value, bool):
            shown = "yes" if value else "no"
        else:
            shown = "infinity" if value == INFINITY else str(value)
        rows.append(f"{name}={shown}")
    return rows


def _limit(value: int) -> tuple[str, int]:
    return "t", INFINITY if value < 0 else value


def _memory(section: "ResourcesMemory", v2: bool) -> "list[Property]":
    limit, swap = int(section.get("limit") or 0), int(section.get("swap") or 0)
    result: list[Property] = []
    if limit:
        result.append(("MemoryMax" if v2 else "MemoryLimit", _limit(limit)))
    if v2:
        if reservation := section.get("reservation"):
            result.append(("MemoryLow", _limit(int(reservation))))
        alone = swap_alone(limit, swap, "/linux/resources/memory/swap")
        if alone is not None:
            result.append(("MemorySwapMax", _limit(alone)))
    return result


def _cpu(section: "ResourcesCpu", v2: bool, version: int) -> "list[Property]":
    result: list[Property] = []
    shares = int(section.get("shares") or 0)
    if v2 and section.get("idle") == 1 and version >= IDLE_SINCE:
        result.append(("CPUWeight", ("t", 0)))
    elif shares and v2:
        result.append(("CPUWeight", ("t", weight_of(shares))))
    elif v2 and section.get("idle") == 0:
        result.append(("CPUWeight", ("t", INFINITY)))  # unset, also for a cgroup that was idle
    elif shares:
        result.append(("CPUShares", ("t", min(max(shares, 2), 262144))))
    quota, period = int(section.get("quota") or 0), int(section.get("period") or 0)
    result += _bandwidth(quota, period) if quota or period else []
    if v2:
        result += _set("AllowedCPUs", section.get("cpus")) + _set("AllowedMemoryNodes", section.get("mems"))
    return result


def _bandwidth(quota: int, period: int) -> "list[Property]":
    """systemd keeps a quota as whole percents of a cpu. It is rounded up, so that it is never below the config's."""
    result: list[Property] = []
    if period:
        result.append(("CPUQuotaPeriodUSec", ("t", period)))
    if quota > 0:
        time = quota * SECOND // (period or DEFAULT_PERIOD)
        return [*result, ("CPUQuotaPerSecUSec", ("t", -(-time // PERCENT) * PERCENT))]
    return [*result, ("CPUQuotaPerSecUSec", ("t", INFINITY))]


def _set(name: str, text: "str | None") -> "list[Property]":
    """A list such as "0-3,7" as bits, lowest first. [] for one that cannot be parsed: the kernel judges that."""
    members: set[int] = set()
    for part in str(text or "").split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) > LAST_CPU:
            return []
        members.update(range(int(first), int(last or first) + 1))
    if not members:
        return []
    bits = sum(1 << number for number in members)
    return [(name, ("ay", bits.to_bytes(max(members) // 8 + 1, "little")))]


def _pids(section: "ResourcesPids") -> "list[Property]":
    """systemd has no limit of 0. With 1 the container's process cannot make another either."""
    limit = section.get("limit")
    return [] if limit is None else [("TasksMax", _limit(max(int(limit), 1) if int(limit) >= 0 else -1))]


# property of the spec → (property of systemd on v2, on v1; "": it has none)
_THROTTLES = {
    "throttleReadBpsDevice": ("IOReadBandwidthMax", "BlockIOReadBandwidth"),
    "throttleWriteBpsDevice": ("IOWriteBandwidthMax", "BlockIOWriteBandwidth"),
    "throttleReadIOPSDevice": ("IOReadIOPSMax", ""),
    "throttleWriteIOPSDevice": ("IOWriteIOPSMax", ""),
}
_IO_MAX = {
    "rbps": "IOReadBandwidthMax",
    "wbps": "IOWriteBandwidthMax",
    "riops": "IOReadIOPSMax",
    "wiops": "IOWriteIOPSMax",
}


def _disk(disk: "WeightDevice | ThrottleDevice") -> str:
    return f"/dev/block/{numbers(disk)}"


def _block_io(section: "ResourcesBlockIO", v2: bool) -> "list[Property]":
    result: list[Property] = []
    weight = int(section.get("weight") or 0)
    if weight:
        result.append(("IOWeight", ("t", io_weight(weight))) if v2 else ("BlockIOWeight", ("t", weight)))
    for disk in section.get("weightDevice") or ():
        if number := int(disk.get("weight") or 0):
            name, value = ("IODeviceWeight", io_weight(number)) if v2 else ("BlockIODeviceWeight", number)
            result.append((name, ("a(st)", [(_disk(disk), value)])))
    for key, throttle, _ in throttled(section):
        on_v2, on_v1 = _THROTTLES[key]
        name = on_v2 if v2 else on_v1
        if (rate := int(throttle.get("rate") or 0)) and name:
            result.append((name, ("a(st)", [(_disk(throttle), rate)])))
    return result


def device_properties(rules: "list[ResourcesDevice]") -> "list[Property]":
    """A list of what is allowed. It cannot express a rule that takes a part back: the runtime's own filter does that.

    The first DeviceAllow empties the list.
    """
    start, rest = devices.complete(*devices.normal(rules))
    if start:
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    allowed: dict[devices.Device, int] = {}
    for rule in rest:
        if rule.allow:
            kind, major, _ = rule.device
            # A minor alone cannot be named: all devices of the kind then.
            device = rule.device if major is not None else (kind, None, None)
            allowed[device] = allowed.get(device, 0) | rule.access
            continue
        for device in allowed:
            if devices.covers(rule.device, device):
                allowed[device] &= ~rule.access
    # A request passes by a single row that has all of its accesses.
    rows = devices.joined({device: (access, devices.POINTER) for device, access in allowed.items() if access})
    listed = [(_device(device), devices.letters(access)) for device, (access, _) in rows.items()]
    return [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", [])), ("DeviceAllow", ("a(ss)", listed))]


def _device(device: "devices.Device") -> str:
    kind, major, minor = device
    type = "block" if kind == "b" else "char"
    if major is None:
        return f"{type}-*"
    return f"{type}-{major}" if minor is None else f"/dev/{type}/{major}:{minor}"


# unified file → property with one number or "max"
_NUMBERS = {
    "memory.min": "MemoryMin",
    "memory.low": "MemoryLow",
    "memory.high": "MemoryHigh",
    "memory.max": "MemoryMax",
    "memory.swap.max": "MemorySwapMax",
    "memory.zswap.max": "MemoryZSwapMax",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
}


def _number(text: str) -> int | None:
    """The number in a cgroup file, with the kernel's units of 1024; -1 for "max", None for anything else."""
    word = text.strip().lower()
    if word == "max":
        return -1
    shift = {"k": 10, "m": 20, "g": 30, "t": 40}.get(word[-1:], 0)
    digits = word[:-1] if shift else word
    return int(digits) << shift if digits.isascii() and digits.isdecimal() else None


def _unified(file: str, value: str, version: int) -> "list[Property]":
    """The property for a v2 file; [] where there is none, and for values that the kernel will refuse."""
    fields = value.split()
    if file in _NUMBERS:
        number = _number(value)
        if file == "pids.max" and number == 0:
            number = 1
        return [] if number is None else [(_NUMBERS[file], _limit(number))]
    if file == "cpu.max" and 1 <= len(fields) <= 2:
        quota, period = _number(fields[0]), _number(fields[1]) if len(fields) == 2 else 0
        return [] if not quota or period is None or period < 0 else _bandwidth(quota, period)
    if file == "cpu.idle":
        return [("CPUWeight", ("t", 0))] if value.strip() == "1" and version >= IDLE_SINCE else []
    if file in ("cpuset.cpus", "cpuset.mems"):
        return _set("AllowedCPUs" if file == "cpuset.cpus" else "AllowedMemoryNodes", value)
    if file == "io.weight":
        return _unified_weight(fields)
    return _unified_maxima(value) if file == "io.max" else []


def _unified_weight(fields: list[str]) -> "list[Property]":
    number = _number(fields[-1]) if fields else None
    if number is None or number < 1:
        return []
    if len(fields) == 1 or fields[0] == "default":
        return [("IOWeight", ("t", number))]
    return [("IODeviceWeight", ("a(st)", [(f"/dev/block/{fields[0]}", number)]))] if _is_device(fields[0]) else []


def _unified_maxima(value: str) -> "list[Property]":
    result: list[Property] = []
    for line in value.splitlines():
        device, *pairs = line.split() or [""]
        for key, _, text in (pair.partition("=") for pair in pairs):
            number = _number(text)
            if key in _IO_MAX and number is not None and _is_device(device):
                result.append((_IO_MAX[key], ("a(st)", [(f"/dev/block/{device}", _limit(number)[1])])))
    return result


def _is_device(text: str) -> bool:
    major, colon, minor = text.partition(":")
    return bool(colon) and major.isdecimal() and minor.isdecimal()
