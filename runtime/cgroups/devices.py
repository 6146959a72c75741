"""Device rules: what the last matching rule says, as writes of the v1 devices controller.

Pure. `device_program` says the same for v2. Rules count in order, each for the access bits that it names, over a start
where everything is denied. After the config's rules come the ones that every container gets, unless the config allows
everything.
"""

from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    # (allow, type "b" or "c", major, minor (None: any), access bits, pointer)
    Rule = tuple[bool, str, int | None, int | None, int, str]
    Key = tuple[str, int | None, int | None]

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

# What `writes` says for the single rule that most configs have, ready-made: every create of those would compute it.
DENY_ALL = (
    ("devices.deny", "a", POINTER),
    ("devices.allow", "c *:* m", POINTER),
    ("devices.allow", "b *:* m", POINTER),
    ("devices.allow", "c 1:3 rwm", POINTER),
    ("devices.allow", "c 1:5 rwm", POINTER),
    ("devices.allow", "c 1:7 rwm", POINTER),
    ("devices.allow", "c 1:8 rwm", POINTER),
    ("devices.allow", "c 1:9 rwm", POINTER),
    ("devices.allow", "c 5:0 rwm", POINTER),
    ("devices.allow", "c 5:1 rwm", POINTER),
    ("devices.allow", "c 5:2 rwm", POINTER),
    ("devices.allow", "c 136:* rwm", POINTER),
    ("devices.allow", "c 10:200 rwm", POINTER),
)


def normal(rules: "list[dict[str, Any]]") -> "tuple[bool, list[Rule]]":
    """(whether everything is allowed to begin with, the rules that come after), the config's rules alone.

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
        for one in ("b", "c") if kind == "a" else ("c" if kind == "u" else kind,):
            result.append((allow, one, major, minor, access, f"{POINTER}/{index}"))
    return start, result


def _number(value: int | None, pointer: str) -> int | None:
    """-1 is how older specs wrote "any"."""
    if value is not None and value > 0x7FFFFFFF:
        raise InvalidConfig(f"no device has the number {value}", pointer)
    return None if value is None or value < 0 else int(value)


def _access(text: str | None) -> int:
    if not text:
        return ALL
    return (MKNOD if "m" in text else 0) | (READ if "r" in text else 0) | (WRITE if "w" in text else 0)


def complete(start: bool, result: "list[Rule]") -> "tuple[bool, list[Rule]]":
    """What `normal` gave with the default devices' rules behind, unless everything is allowed anyway."""
    if start and not result:
        return start, result
    return start, result + [(True, kind, major, minor, access, POINTER) for kind, major, minor, access in DEFAULTS]


def allows_all(rules: "list[dict[str, Any]]") -> bool:
    """Whether the rules leave every device allowed."""
    start, rest = normal(rules)
    return start and all(rule[0] for rule in rest)


def writes(rules: "list[dict[str, Any]]") -> "Sequence[tuple[str, str, str]]":
    """(file, value, pointer) for a v1 devices cgroup, as few as say it: "a" for the start, then its exceptions.

    The controller keeps a default and exceptions to it, and drops an exception only when the same device is named again.
    Raises InvalidConfig where a rule takes back a part of an earlier one (all of major 1, but not 1:11): the controller
    would ignore it, and the container would have what the config denies.
    """
    start, rest = normal(rules)
    if not start and not rest:
        return DENY_ALL
    return computed(start, rest)


def computed(start: bool, rest: "list[Rule]") -> list[tuple[str, str, str]]:
    """`writes` for rules that `normal` gave."""
    start, rest = complete(start, rest)
    exceptions: dict[Key, tuple[int, str]] = {}
    for rule in rest:
        allow, kind, major, minor, access, pointer = rule
        key = (kind, major, minor)
        if allow != start:
            exceptions[key] = (exceptions.get(key, (0, ""))[0] | access, pointer)
        elif exceptions:
            _take_back(exceptions, key, access, pointer)
    first, then = ("devices.allow", "devices.deny") if start else ("devices.deny", "devices.allow")
    result = [(first, "a", POINTER)]
    for (kind, major, minor), (access, pointer) in joined(exceptions).items():
        numbers = f"{'*' if major is None else major}:{'*' if minor is None else minor}"
        result.append((then, f"{kind} {numbers} {letters(access)}", pointer))
    return result


def _take_back(exceptions: "dict[Key, tuple[int, str]]", key: "Key", access: int, pointer: str) -> None:
    for other, (bits, place) in list(exceptions.items()):
        if not bits & access or not _overlap(key, other):
            continue
        if covers(key, other):
            exceptions[other] = (bits & ~access, place)
            if not bits & ~access:
                del exceptions[other]
        elif pointer != POINTER:
            raise InvalidConfig(
                f"the v1 devices controller cannot take back a part of rule {place}; name the devices one by one",
                pointer,
            )


def joined(exceptions: "dict[Key, tuple[int, str]]") -> "dict[Key, tuple[int, str]]":
    """The exceptions without the default ones that a wider one holds, each with the bits of the wider ones that it needs.

    The kernel wants one exception that has all bits of a request: `*:* r` and `1:3 w` do not make 1:3 readable and
    writable at once. Making a node is a request of its own. What the config has stays as it is there: others read it.
    """
    result = {}
    wide = [key for key in exceptions if None in key]
    for key, (bits, pointer) in exceptions.items():
        wider = [other for other in wide if other != key and covers(other, key)]
        if pointer != POINTER or not any(bits & ~exceptions[other][0] == 0 for other in wider):
            for other in wider if bits & ~MKNOD else ():
                bits |= exceptions[other][0] & ~MKNOD
            result[key] = (bits, pointer)
    return result


def covers(one: "Key", other: "Key") -> bool:
    """Whether every device of the other is one of the first."""
    return one[0] == other[0] and one[1] in (None, other[1]) and one[2] in (None, other[2])


def _overlap(one: "Key", other: "Key") -> bool:
    return one[0] == other[0] and all(
        mine is None or theirs is None or mine == theirs for mine, theirs in zip(one[1:], other[1:], strict=True)
    )


def letters(access: int) -> str:
    """Access bits as the controller writes them."""
    return "".join(letter for letter, bit in (("r", READ), ("w", WRITE), ("m", MKNOD)) if access & bit)
