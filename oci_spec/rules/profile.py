"""Seccomp profiles that do something else than they seem to. Warnings, in `validate` only. Cold.

How rules are combined is libseccomp's doing: one with the default action is dropped, and of the rest for one call, the
first without conditions wins over all others.
"""

from oci_spec.rules.seccomp import WITH_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config, Seccomp, SeccompSyscall, SeccompSyscallArg

    Action = tuple[str, int]  # and its number

POINTER = "/linux/seccomp"
EPERM = 1
MOST = (1 << 64) - 1
_REFUSING = ("SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ERRNO", "SCMP_ACT_TRAP")
_GRANTING = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
_SYNONYMS = {"SCMP_ACT_KILL": "SCMP_ACT_KILL_THREAD"}
# What even a static program calls before its main function, and to end.
NEEDED = ("exit_group", "brk", "mmap", "mprotect", "munmap", "read", "write", "close")


def _numbered(action: str, number: "int | None") -> "Action":
    action = _SYNONYMS.get(action, action)
    return action, (EPERM if number is None else number) if action in WITH_NUMBER else 0


def _default(profile: "Seccomp") -> "Action":
    return _numbered(profile["defaultAction"], profile.get("defaultErrnoRet"))


def _action(entry: "SeccompSyscall") -> "Action":
    return _numbered(entry["action"], entry.get("errnoRet"))


def _unconditional(profile: "Seccomp") -> "dict[str, tuple[int, Action]]":
    """Name → index and action of the rule that wins over all others for it."""
    default = _default(profile)
    found: dict[str, tuple[int, Action]] = {}
    for index, entry in enumerate(profile.get("syscalls", ())):
        action = _action(entry)
        if not entry.get("args") and action != default:
            for name in entry["names"]:
                found.setdefault(name, (index, action))
    return found


def seccomp_program_runs(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: a profile allows execve, by which the program is started, and what every program calls."""
    profile = spec["linux"]["seccomp"]
    winners = _unconditional(profile)
    conditional = {name for entry in profile.get("syscalls", ()) if entry.get("args") for name in entry["names"]}
    default = _default(profile)

    def refusal(name: str) -> str:
        """The pointer of what refuses a call, or ""."""
        if name not in winners:
            refused = name not in conditional and default[0] in _REFUSING
            return f"{POINTER}/defaultAction" if refused else ""
        index, action = winners[name]
        position = profile["syscalls"][index]["names"].index(name)
        return f"{POINTER}/syscalls/{index}/names/{position}" if action[0] in _REFUSING else ""

    pointer = refusal("execve")
    if pointer:
        yield pointer, "warning", "execve is refused, so the program cannot be started", "allow execve"
    by_place: dict[str, list[str]] = {}
    for name in NEEDED:
        if refusal(name):
            by_place.setdefault(refusal(name), []).append(name)
    for place, names in by_place.items():
        yield (
            place,
            "warning",
            f"most programs need {', '.join(names)}, which the profile refuses",
            "allow what they need",
        )


def seccomp_rule_counts(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: of several rules for a call, the first without conditions wins over the others."""
    profile = spec["linux"]["seccomp"]
    winners, default = _unconditional(profile), _default(profile)
    for index, entry in enumerate(profile.get("syscalls", ())):
        action = _action(entry)
        for position, name in enumerate(entry["names"]):
            winner, other = winners.get(name, (index, action))
            if other != action:
                message = f"this rule for {name} has no effect, that of item {winner} has no conditions and wins"
                yield f"{POINTER}/syscalls/{index}/names/{position}", "warning", message, "leave one of them out"
        if action == default and default[0] in _GRANTING and not set(entry["names"]) & winners.keys():
            message = f"the rule has no effect, {entry['action']} is the default action"
            yield f"{POINTER}/syscalls/{index}/action", "warning", message, "leave the rule out"


def seccomp_conditions_hold(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: a condition can hold, and tests an argument that the call has."""
    from oci_spec.rules.arguments import COUNTS

    for index, entry in enumerate(spec["linux"]["seccomp"].get("syscalls", ())):
        for position, condition in enumerate(entry.get("args", ())):
            pointer = f"{POINTER}/syscalls/{index}/args/{position}"
            if _never(condition):
                yield (
                    f"{pointer}/value",
                    "warning",
                    "the condition never holds, whatever the argument",
                    _remedy(condition),
                )
            elif condition.get("valueTwo") and condition["op"] != "SCMP_CMP_MASKED_EQ":
                message = f"{condition['op']} does not look at valueTwo"
                yield f"{pointer}/valueTwo", "warning", message, "leave it out; a range is not one condition"
            short = [name for name in entry["names"] if condition["index"] >= COUNTS.get(name, 6)]
            if short and condition["index"] < 6:
                count = COUNTS[short[0]]
                message = (
                    f"{short[0]} has {count or 'no'} argument{'s' * (count != 1)}, none is number {condition['index']}"
                )
                yield f"{pointer}/index", "warning", message, "arguments are counted from 0"


def _never(condition: "SeccompSyscallArg") -> bool:
    operator, value, two = condition["op"], condition["value"], condition.get("valueTwo", 0)
    return (
        (operator == "SCMP_CMP_MASKED_EQ" and bool(two & ~value))
        or (operator == "SCMP_CMP_LT" and value == 0)
        or (operator == "SCMP_CMP_GT" and value == MOST)
    )


def _remedy(condition: "SeccompSyscallArg") -> str:
    if condition["op"] == "SCMP_CMP_MASKED_EQ":
        return "value is the mask, and valueTwo what remains of the argument under it"
    return "leave the rule out, or compare with another value"


def seccomp_conditions_together(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#seccomp: if two conditions of a rule test the same argument, one of all is enough, as with runc."""
    for index, entry in enumerate(spec["linux"]["seccomp"].get("syscalls", ())):
        conditions = entry.get("args", ())
        tested = {condition["index"] for condition in conditions}
        alike = {condition["op"] for condition in conditions} <= {"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"}
        if len(tested) < len(conditions) and (len(tested) > 1 or not alike):
            message = "two conditions test the same argument, so the rule holds if any one of its conditions does"
            yield f"{POINTER}/syscalls/{index}/args", "warning", message, "a range cannot be written in one rule"


RULES: "tuple[Rule, ...]" = (
    seccomp_program_runs,
    seccomp_rule_counts,
    seccomp_conditions_hold,
    seccomp_conditions_together,
)
