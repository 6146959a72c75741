"""Device rules: what the last matching rule says, as settings of the v1 devices controller.

Pure. `device_program` does the same for v2. Rules count in order, each for the access bits that it names; before the
first one everything is denied. After the config's rules come those that every container gets, unless the config allows
everything.
"""

from runtime.cgroups.setting import Setting
from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import ResourcesDevice

    Device = tuple[str, int | None, int | None]  # type "b" or "c", major, minor; None: any
    Exceptions = dict[Device, tuple[int, str]]  # access bits, pointer

POINTER = "/linux/resources/devices"
# The values of BPF_DEVCG_ACC_* in linux/bpf.h
MKNOD, READ, WRITE = 1, 2, 4
ALL = MKNOD | READ | WRITE

# null, zero, full, random, urandom, tty, console, ptmx, the ptys and tun; any node may be made, not opened.
DEFAULTS = (
    ("c", None, None, MKNOD),
    ("b", None, None, MKNOD),
    ("c", 1, 3, ALL),
    ("c", 1, 5, ALL),
    ("c", 1, 7, ALL),
    ("c", 1, 8, ALL),
    ("c", 1, 9, ALL),
    ("c", 5, 0, ALL),
    ("c", 5, 1, ALL),
    ("c", 5, 2, ALL),
    ("c", 136, None, ALL),
    ("c", 10, 200, ALL),
)

# `settings` for the single rule that most configs have: every create of those would compute it anew.
DENY_ALL = (
    Setting("devices.deny", "a", POINTER),
    Setting("devices.allow", "c *:* m", POINTER),
    Setting("devices.allow", "b *:* m", POINTER),
    Setting("devices.allow", "c 1:3 rwm", POINTER),
    Setting("devices.allow", "c 1:5 rwm", POINTER),
    Setting("devices.allow", "c 1:7 rwm", POINTER),
    Setting("devices.allow", "c 1:8 rwm", POINTER),
    Setting("devices.allow", "c 1:9 rwm", POINTER),
    Setting("devices.allow", "c 5:0 rwm", POINTER),
    Setting("devices.allow", "c 5:1 rwm", POINTER),
    Setting("devices.allow", "c 5:2 rwm", POINTER),
    Setting("devices.allow", "c 136:* rwm", POINTER),
    Setting("devices.allow", "c 10:200 rwm", POINTER),
)


class Rule:
    """One rule for one type of device: ``allow`` or deny the ``access`` bits of ``device``."""

    __slots__ = ("access", "allow", "device", "pointer")

    def __init__(self, allow: bool, device: "Device", access: int, pointer: str) -> None:
        self.allow = allow
        self.device = device
        self.access = access
        self.pointer = pointer


def normal(rules: "list[ResourcesDevice]") -> "tuple[bool, list[Rule]]":
    """(whether everything is allowed to begin with, the rules after that), from the config's rules alone.

    A rule for every device and access makes those before it void. A missing type, number or access means all.
    """
    start = False
    result: list[Rule] = []
    for index, rule in enumerate(rules):
        allow, kind = bool(rule["allow"]), rule.get("type") or "a"
        major = _number(rule.get("major"), f"{POINTER}/{index}/major")
        minor = _number(rule.get("minor"), f"{POINTER}/{index}/minor")
        access = _access(rule.get("access"))
        if kind == "a" and major is None and minor is None and access == ALL:
            start, result = allow, []
            continue
        for letter in ("b", "c") if kind == "a" else ("c" if kind == "u" else kind,):
            result.append(Rule(allow, (letter, major, minor), access, f"{POINTER}/{index}"))
    return start, result


def _number(value: int | None, pointer: str) -> int | None:
    """A device number. None and -1, which older specs wrote, mean any."""
    if value is not None and value > 0x7FFFFFFF:
        raise InvalidConfig(f"no device has the number {value}", pointer)
    return None if value is None or value < 0 else int(value)


def _access(text: str | None) -> int:
    if not text:
        return ALL
    return (MKNOD if "m" in text else 0) | (READ if "r" in text else 0) | (WRITE if "w" in text else 0)


def complete(start: bool, rules: "list[Rule]") -> "tuple[bool, list[Rule]]":
    """What `normal` gave, followed by the rules of the default devices, unless everything is allowed anyway."""
    if start and not rules:
        return start, rules
    return start, rules + [Rule(True, (kind, major, minor), access, POINTER) for kind, major, minor, access in DEFAULTS]


def allows_all(rules: "list[ResourcesDevice]") -> bool:
    """Whether the rules leave every device allowed."""
    start, rest = normal(rules)
    return start and all(rule.allow for rule in rest)


def settings(rules: "list[ResourcesDevice]") -> "Sequence[Setting]":
    """The fewest settings of a v1 devices cgroup that express the rules: "a" for the start, then the exceptions.

    The controller keeps a default and exceptions to it, and drops an exception only when the same device is named again.
    Raises InvalidConfig where a rule takes back a part of an earlier one (all of major 1, but not 1:11): the controller
    would ignore it, and the container would have what the config denies.
    """
    start, rest = normal(rules)
    if not start and not rest:
        return DENY_ALL
    return computed(start, rest)


def computed(start: bool, rules: "list[Rule]") -> list[Setting]:
    """`settings` for rules that `normal` gave."""
    start, rules = complete(start, rules)
    exceptions: Exceptions = {}
    for rule in rules:
        if rule.allow != start:
            bits, _ = exceptions.get(rule.device, (0, ""))
            exceptions[rule.device] = (bits | rule.access, rule.pointer)
        elif exceptions:
            _take_back(exceptions, rule)
    first, then = ("devices.allow", "devices.deny") if start else ("devices.deny", "devices.allow")
    result = [Setting(first, "a", POINTER)]
    for (kind, major, minor), (access, pointer) in joined(exceptions).items():
        numbers = f"{'*' if major is None else major}:{'*' if minor is None else minor}"
        result.append(Setting(then, f"{kind} {numbers} {letters(access)}", pointer))
    return result


def _take_back(exceptions: "Exceptions", rule: Rule) -> None:
    for device, (bits, pointer) in list(exceptions.items()):
        if not bits & rule.access or not _overlap(rule.device, device):
            continue
        if covers(rule.device, device):
            exceptions[device] = (bits & ~rule.access, pointer)
            if not bits & ~rule.access:
                del exceptions[device]
        elif rule.pointer != POINTER:
            raise InvalidConfig(
                f"the v1 devices controller cannot take back a part of rule {pointer}; name the devices one by one",
                rule.pointer,
            )


def joined(exceptions: "Exceptions") -> "Exceptions":
    """The exceptions without default ones that a wider one includes, each with the bits of the wider ones that it needs.

    The kernel wants one exception that has all bits of a request: `*:* r` and `1:3 w` do not make 1:3 readable and
    writable at once. Making a node is a request of its own. The config's own exceptions stay as they are there: others
    read them.
    """
    result = {}
    wide = [device for device in exceptions if None in device]
    for device, (bits, pointer) in exceptions.items():
        wider = [other for other in wide if other != device and covers(other, device)]
        if pointer != POINTER or not any(bits & ~exceptions[other][0] == 0 for other in wider):
            for other in wider if bits & ~MKNOD else ():
                bits |= exceptions[other][0] & ~MKNOD
            result[device] = (bits, pointer)
    return result


def covers(device: "Device", other: "Device") -> bool:
    """Whether ``device`` includes all of ``other``."""
    kind, major, minor = device
    other_kind, other_major, other_minor = other
    return kind == other_kind and major in (None, other_major) and minor in (None, other_minor)


def _overlap(device: "Device", other: "Device") -> bool:
    kind, *numbers = device
    other_kind, *other_numbers = other
    return kind == other_kind and all(
        mine is None or theirs is None or mine == theirs for mine, theirs in zip(numbers, other_numbers, strict=True)
    )


def letters(access: int) -> str:
    """Access bits as the controller writes them."""
    return "".join(letter for letter, bit in (("r", READ), ("w", WRITE), ("m", MKNOD)) if access & bit)
