"""/linux/resources as properties of a systemd unit (systemd.resource-control(5)). Pure.

systemd writes a unit's cgroup files again when it is reloaded or a limit of a neighbour changes: only what it was told
stays. What no property can say is not here; the driver writes every file after systemd has, so these need not be exact,
and may never be stricter than the config.
"""

from runtime.cgroups import devices
from runtime.cgroups.v2 import DEFAULT_PERIOD, io_weight, swap_alone, weight_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # (name, (signature of D-Bus, value))
    Property = tuple[str, tuple[str, Any]]
    Section = dict[str, Any]

INFINITY = (1 << 64) - 1
SECOND = 1_000_000  # microseconds
PERCENT = 10_000  # microseconds of a second: what systemd keeps on disk
LAST_CPU = 8191  # as systemd has it (cpu-set-util.c)
# The first version of systemd that takes a property; those that are not here were there with cgroup v2.
SINCE = {
    "MemoryMin": 240,
    "CPUQuotaPeriodUSec": 242,
    "AllowedCPUs": 244,
    "AllowedMemoryNodes": 244,
    "MemoryZSwapMax": 253,
}
IDLE_SINCE = 252  # CPUWeight 0


def accounting(v2: bool) -> "list[Property]":
    """That every controller counts, which on v1 is what makes the unit's cgroup there."""
    names = ("CPU", "Memory", "Tasks", "IO" if v2 else "BlockIO")
    return [(f"{name}Accounting", ("b", True)) for name in names]


def properties(resources: "Section", v2: bool, version: int, user: bool = False) -> "list[Property]":
    """What systemd ``version`` is told. ``v2``: it manages cgroup v2 alone. ``user``: a user's own, which filters no devices."""
    found: list[Property] = []
    for name, function in (("memory", _memory), ("cpu", _cpu), ("pids", _pids), ("blockIO", _block_io)):
        if resources.get(name):
            found += function(resources[name], v2, version)
    if resources.get("devices") is not None and not user:
        found += device_properties(resources["devices"])
    if v2:
        for file, value in (resources.get("unified") or {}).items():
            found += _unified(file, str(value), version)
    return [one for one in found if SINCE.get(one[0], 0) <= version]


def of_unit(
    slice: str, unit: str, id: str, resources: "Section", v2: bool, version: int, user: bool
) -> "list[Property]":
    """All properties of a container's unit but those of annotations. A slice's own name says where it is."""
    place: list[Property] = [("Slice", ("s", slice)), ("Delegate", ("b", True))]
    if unit.endswith(".slice"):
        place = [("Wants", ("as", [slice]))]
    return [
        ("Description", ("s", f"ocirun container {id}")),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("DefaultDependencies", ("b", False)),
        *place,
        *accounting(v2),
        *properties({**resources, "devices": resources.get("devices") or []}, v2, version, user),
    ]


def text(properties: "list[Property]") -> list[str]:
    """The properties for a reader: "MemoryMax=4096", "AllowedCPUs=0 1", "DeviceAllow=/dev/null rw, char-136 rwm"."""
    rows = []
    for name, (signature, value) in properties:
        if signature == "ay":
            bits = int.from_bytes(value, "little")
            words = " ".join(str(number) for number in range(bits.bit_length()) if bits >> number & 1)
        elif signature.startswith("a"):
            words = ", ".join(" ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)
        elif signature == "b":
            words = "yes" if value else "no"
        else:
            words = "infinity" if value == INFINITY else str(value)
        rows.append(f"{name}={words}")
    return rows


def _limit(value: int) -> tuple[str, int]:
    return "t", INFINITY if value < 0 else value


def _memory(section: "Section", v2: bool, version: int) -> "list[Property]":  # noqa: ARG001 - as the others
    limit, swap = int(section.get("limit") or 0), int(section.get("swap") or 0)
    found: list[Property] = []
    if limit:
        found.append(("MemoryMax" if v2 else "MemoryLimit", _limit(limit)))
    if v2:
        if section.get("reservation"):
            found.append(("MemoryLow", _limit(int(section["reservation"]))))
        alone = swap_alone(limit, swap, "/linux/resources/memory/swap")
        if alone is not None:
            found.append(("MemorySwapMax", _limit(alone)))
    return found


def _cpu(section: "Section", v2: bool, version: int) -> "list[Property]":
    found: list[Property] = []
    shares = int(section.get("shares") or 0)
    if v2 and section.get("idle") == 1 and version >= IDLE_SINCE:
        found.append(("CPUWeight", ("t", 0)))
    elif shares and v2:
        found.append(("CPUWeight", ("t", weight_of(shares))))
    elif v2 and section.get("idle") == 0:
        found.append(("CPUWeight", ("t", INFINITY)))  # unset: of a cgroup that was idle, too
    elif shares:
        found.append(("CPUShares", ("t", min(max(shares, 2), 262144))))
    quota, period = int(section.get("quota") or 0), int(section.get("period") or 0)
    found += _bandwidth(quota, period) if quota or period else []
    if v2:
        found += _set("AllowedCPUs", section.get("cpus")) + _set("AllowedMemoryNodes", section.get("mems"))
    return found


def _bandwidth(quota: int, period: int) -> "list[Property]":
    """A quota is kept as whole percents of a cpu; rounded up, so that it never takes away from the config's."""
    found: list[Property] = []
    if period:
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
    if quota > 0:
        time = quota * SECOND // (period or DEFAULT_PERIOD)
        return [*found, ("CPUQuotaPerSecUSec", ("t", -(-time // PERCENT) * PERCENT))]
    return [*found, ("CPUQuotaPerSecUSec", ("t", INFINITY))]


def _set(name: str, text: "str | None") -> "list[Property]":
    """A list such as "0-3,7" as bits, lowest first. One that cannot be read is left to the kernel's own judgement."""
    numbers: set[int] = set()
    for part in str(text or "").split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) > LAST_CPU:
            return []
        numbers.update(range(int(first), int(last or first) + 1))
    if not numbers:
        return []
    bits = sum(1 << number for number in numbers)
    return [(name, ("ay", bits.to_bytes(max(numbers) // 8 + 1, "little")))]


def _pids(section: "Section", v2: bool, version: int) -> "list[Property]":  # noqa: ARG001 - as the others
    """systemd has no limit of 0. With 1 the container's process can as little make another."""
    limit = section.get("limit")
    return [] if limit is None else [("TasksMax", _limit(max(int(limit), 1) if int(limit) >= 0 else -1))]


# property of the spec -> (property of systemd on v2, on v1)
_THROTTLES = (
    ("throttleReadBpsDevice", "IOReadBandwidthMax", "BlockIOReadBandwidth"),
    ("throttleWriteBpsDevice", "IOWriteBandwidthMax", "BlockIOWriteBandwidth"),
    ("throttleReadIOPSDevice", "IOReadIOPSMax", ""),
    ("throttleWriteIOPSDevice", "IOWriteIOPSMax", ""),
)
_IO_MAX = {
    "rbps": "IOReadBandwidthMax",
    "wbps": "IOWriteBandwidthMax",
    "riops": "IOReadIOPSMax",
    "wiops": "IOWriteIOPSMax",
}


def _disk(device: "Section") -> str:
    return f"/dev/block/{int(device['major'])}:{int(device['minor'])}"


def _block_io(section: "Section", v2: bool, version: int) -> "list[Property]":  # noqa: ARG001 - as the others
    found: list[Property] = []
    weight = int(section.get("weight") or 0)
    if weight:
        found.append(("IOWeight", ("t", io_weight(weight))) if v2 else ("BlockIOWeight", ("t", weight)))
    for device in section.get("weightDevice") or ():
        if number := int(device.get("weight") or 0):
            name, value = ("IODeviceWeight", io_weight(number)) if v2 else ("BlockIODeviceWeight", number)
            found.append((name, ("a(st)", [(_disk(device), value)])))
    for key, new, old in _THROTTLES:
        for device in section.get(key) or ():
            if (rate := int(device.get("rate") or 0)) and (new if v2 else old):
                found.append((new if v2 else old, ("a(st)", [(_disk(device), rate)])))
    return found


def device_properties(rules: "list[Section]") -> "list[Property]":
    """A list of what is allowed. A rule that takes a part back cannot be said: our own filter is beside systemd's.

    The first DeviceAllow empties the list.
    """
    start, rest = devices.complete(*devices.normal(rules))
    if start:
        return [("DevicePolicy", ("s", "auto")), ("DeviceAllow", ("a(ss)", []))]
    allowed: dict[devices.Key, int] = {}
    for allow, kind, major, minor, access, _ in rest:
        key = (kind, major, minor)
        if allow:
            # A minor alone cannot be named: all devices of the kind then.
            key = key if major is not None else (kind, None, None)
            allowed[key] = allowed.get(key, 0) | access
            continue
        for other in allowed:
            if devices.covers(key, other):
                allowed[other] &= ~access
    # A request passes by one row that has all of its accesses.
    rows = devices.joined({key: (access, devices.POINTER) for key, access in allowed.items() if access})
    listed = [(_device(key), devices.letters(access)) for key, (access, _) in rows.items()]
    return [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", [])), ("DeviceAllow", ("a(ss)", listed))]


def _device(key: "devices.Key") -> str:
    kind, major, minor = key
    word = "block" if kind == "b" else "char"
    if major is None:
        return f"{word}-*"
    return f"{word}-{major}" if minor is None else f"/dev/{word}/{major}:{minor}"


# unified file -> property with one number or "max"
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
    """Of a cgroup file, with the kernel's units of 1024."""
    word = text.strip().lower()
    if word == "max":
        return -1
    shift = {"k": 10, "m": 20, "g": 30, "t": 40}.get(word[-1:], 0)
    digits = word[:-1] if shift else word
    return int(digits) << shift if digits.isascii() and digits.isdecimal() else None


def _unified(file: str, value: str, version: int) -> "list[Property]":
    """The property that a v2 file has; [] for those without one, and for what the kernel will refuse."""
    words = value.split()
    if file in _NUMBERS:
        number = _number(value)
        if file == "pids.max" and number == 0:
            number = 1
        return [] if number is None else [(_NUMBERS[file], _limit(number))]
    if file == "cpu.max" and 1 <= len(words) <= 2:
        quota, period = _number(words[0]), _number(words[1]) if len(words) == 2 else 0
        return [] if not quota or period is None or period < 0 else _bandwidth(quota, period)
    if file == "cpu.idle":
        return [("CPUWeight", ("t", 0))] if value.strip() == "1" and version >= IDLE_SINCE else []
    if file in ("cpuset.cpus", "cpuset.mems"):
        return _set("AllowedCPUs" if file == "cpuset.cpus" else "AllowedMemoryNodes", value)
    if file == "io.weight":
        return _unified_weight(words)
    return _unified_maxima(value) if file == "io.max" else []


def _unified_weight(words: list[str]) -> "list[Property]":
    number = _number(words[-1]) if words else None
    if number is None or number < 1:
        return []
    if len(words) == 1 or words[0] == "default":
        return [("IOWeight", ("t", number))]
    return [("IODeviceWeight", ("a(st)", [(f"/dev/block/{words[0]}", number)]))] if _is_device(words[0]) else []


def _unified_maxima(value: str) -> "list[Property]":
    found: list[Property] = []
    for line in value.splitlines():
        device, *pairs = line.split() or [""]
        for key, _, text in (pair.partition("=") for pair in pairs):
            number = _number(text)
            if key in _IO_MAX and number is not None and _is_device(device):
                found.append((_IO_MAX[key], ("a(st)", [(f"/dev/block/{device}", _limit(number)[1])])))
    return found


def _is_device(text: str) -> bool:
    major, colon, minor = text.partition(":")
    return bool(colon) and major.isdecimal() and minor.isdecimal()
