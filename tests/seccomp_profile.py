"""What a seccomp profile says about one system call, read off the profile itself.

The other opinion for tests of compiled programs: no rule trees, no BPF. Only the tables of names come from
libseccomp. Where rules for one name contradict each other only libseccomp's simple precedence is known here: the first
rule without conditions wins over all others.
"""

import ctypes
import functools
from collections.abc import Iterator
from typing import Any

Profile = dict[str, Any]

X86_64, X86, X32 = 0xC000003E, 0x40000003, 0x4000003E
AUDIT = {X86_64: X86_64, X86: X86, X32: X86_64}
TOKENS = {"SCMP_ARCH_X86_64": X86_64, "SCMP_ARCH_X86": X86, "SCMP_ARCH_X32": X32}
X32_BIT = 1 << 30

KILL, ERRNO, TRACE, ALLOW = 0, 0x00050000, 0x7FF00000, 0x7FFF0000
ACTIONS = {
    "SCMP_ACT_KILL": KILL,
    "SCMP_ACT_KILL_THREAD": KILL,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": ALLOW,
}
PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
EPERM, ENOSYS = 1, 38


@functools.cache
def libseccomp() -> ctypes.CDLL:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    return library


@functools.cache
def number_of(token: int, name: str) -> int:
    """The number in an architecture's table; negative where it has none, or only through a multiplexer."""
    return int(libseccomp().seccomp_syscall_resolve_name_arch(ctypes.c_uint32(token), name.encode()))


@functools.cache
def name_of(token: int, number: int) -> str | None:
    name = libseccomp().seccomp_syscall_resolve_num_arch(ctypes.c_uint32(token), ctypes.c_int(number))
    return name.decode() if name else None


def action_value(name: str, errno: int | None) -> int:
    carries = name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
    return ACTIONS[name] | ((EPERM if errno is None else errno) if carries else 0)


def default_value(profile: Profile) -> int:
    return action_value(profile["defaultAction"], profile.get("defaultErrnoRet"))


def tables(profile: Profile) -> set[int]:
    """The tables of system calls that the filter has: the listed ones, and the machine's own."""
    return {X86_64} | {TOKENS[name] for name in profile.get("architectures", ())}


def has_stub(profile: Profile) -> bool:
    return profile["defaultAction"] not in PERMISSIVE and default_value(profile) != ERRNO | ENOSYS


def highest(profile: Profile, token: int) -> int:
    names = [name for syscall in profile.get("syscalls", ()) for name in syscall["names"]]
    return max([0] + [number_of(token, name) for name in names])


def expected(profile: Profile, arch: int, number: int, args: list[int]) -> int:
    """The SECCOMP_RET_* value for a system call as the kernel presents it."""
    present = tables(profile)
    if arch not in {AUDIT[token] for token in present}:
        return KILL
    token = X32 if arch == X86_64 and number & X32_BIT else arch
    if token in present and has_stub(profile) and 0 < highest(profile, token) < number:
        return ERRNO | ENOSYS
    # A tracer skips a system call by setting its number to -1; libseccomp lets that pass as an unnamed one.
    if token not in present and number != 0xFFFFFFFF:
        return KILL
    return rule_value(profile, token, names_called(token, number, args), args)


def names_called(token: int, number: int, args: list[int]) -> list[str]:
    """The names that a number has; on x86 socketcall and ipc are also what their first argument says."""
    names = [name_of(token, number)]
    if token == X86 and number == 102:
        names.append(name_of(token, -100 - args[0]) if 0 < args[0] <= 20 else None)
    if token == X86 and number == 117:
        names.append(name_of(token, -200 - args[0]) if 0 < args[0] <= 24 else None)
    return [name for name in names if name]


def rule_value(profile: Profile, token: int, names: list[str], args: list[int]) -> int:
    default = default_value(profile)
    conditional = None
    for syscall in profile.get("syscalls", ()):
        value = action_value(syscall["action"], syscall.get("errnoRet"))
        if value == default or not set(names) & set(syscall["names"]):
            continue
        if not syscall.get("args"):
            return value
        if conditional is None and any(
            all(holds(condition, token, args) for condition in conditions) for conditions in alternatives(syscall)
        ):
            conditional = value
    return default if conditional is None else conditional


def alternatives(syscall: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Two conditions on one argument make every condition a rule of its own."""
    conditions = syscall.get("args", [])
    indices = [condition["index"] for condition in conditions]
    return [[condition] for condition in conditions] if len(set(indices)) < len(indices) else [conditions]


def holds(condition: dict[str, Any], token: int, args: list[int]) -> bool:
    width = (1 << 64) - 1 if token == X86_64 else (1 << 32) - 1
    argument = args[condition["index"]] & width
    value, two = condition["value"] & width, condition.get("valueTwo", 0) & width
    return bool(
        {
            "SCMP_CMP_NE": argument != value,
            "SCMP_CMP_LT": argument < value,
            "SCMP_CMP_LE": argument <= value,
            "SCMP_CMP_EQ": argument == value,
            "SCMP_CMP_GE": argument >= value,
            "SCMP_CMP_GT": argument > value,
            "SCMP_CMP_MASKED_EQ": argument & value == two,
        }[condition["op"]]
    )


def boundaries(profile: Profile, names: list[str]) -> list[list[int]]:
    """Arguments around every value that the profile compares for these names, also with high bits that differ."""
    rows = [[0] * 6]
    for syscall in profile.get("syscalls", ()):
        if not set(names) & set(syscall["names"]):
            continue
        for condition in syscall.get("args", ()):
            value, two = condition["value"], condition.get("valueTwo", 0)
            near = [value - 1, value, value + 1, value ^ 1 << 32, value ^ 1 << 63, two, two | ~value, two ^ value]
            rows += [[number & (1 << 64) - 1] * 6 for number in near]
    return rows


def system_calls(profile: Profile) -> Iterator[tuple[int, int, list[int]]]:
    """Every number of every table, present or not, with boundary arguments, and numbers beside the tables."""
    beside = [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, X32_BIT | 0x1000]
    for arch, numbers in (
        (X86_64, [*range(600), *range(X32_BIT, X32_BIT + 600), *beside]),
        (X86, [*range(600), *beside]),
        (0xC00000B7, [0, 1, 221, *beside]),
    ):
        for number in numbers:
            token = X32 if arch == X86_64 and number & X32_BIT else arch
            names = [name_of(token, number) or ""]
            rows = boundaries(profile, names)
            if arch == X86 and number in (102, 117):
                rows += [[call] * 6 for call in range(1, 26)]
            for args in rows:
                yield arch, number, args
