"""Seccomp rules that are in the profile and not in the filter."""

from __future__ import annotations

from typing import Any

from tests.security.attack import Target, attack

CHMOD = ["chmod", "fchmodat"]


def refused(*conditions: tuple[str, int]) -> list[dict[str, Any]]:
    """A rule for each condition, on the mode that chmod sets."""
    return [
        {
            "names": [name],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1 + index, "op": f"SCMP_CMP_{operator}", "value": value}],
        }
        for operator, value in conditions
        for index, name in enumerate(CHMOD)
    ]


# rules, and of some modes whether one of the rules holds
CASES = (
    ((("LT", 0o10), ("LT", 1 << 32)), {0o7: True, 0o17: True, 0o777: True}),
    ((("LT", 0o10), ("GT", 1 << 32)), {0o7: True, 0o17: False}),
    ((("LE", 0o10), ("GE", 1 << 32), ("EQ", 0o20)), {0o10: True, 0o17: False, 0o20: True}),
    ((("LT", 0o10), ("EQ", 0o11), ("GT", 0o20)), {0o7: True, 0o10: False, 0o11: True, 0o20: False, 0o21: True}),
)


@attack(
    "own find",
    "libseccomp 2.5.4 loses one of two rules that compare the same argument: a refused call passes",
    stops="calls with several rules, one of them an ordering comparison, are decided by our own instructions ahead"
    " of its filter",
    bites=("runc", "crun"),
)
def test_rules_of_one_call(target: Target) -> None:
    """chmod is refused by its mode: below 8, and below 2^32. The kernel runs the filter; both peers let 15 pass."""
    for conditions, expected in CASES:
        syscalls = refused(*conditions)
        change = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": syscalls}}}
        script = "; ".join(f"chmod {mode:o} /tmp 2> /dev/null && echo passed || echo refused" for mode in expected)
        told = target.caller.run(target.caller.shell(script, change)).ok().out.split()
        decided = {mode: word == "refused" for mode, word in zip(expected, told, strict=True)}
        target.judge(decided != expected, (conditions, decided))
        if not target.ours:
            return
