"""Which calls our own instructions decide, and that these are right where libseccomp's are not."""

from typing import Any

import pytest

from runtime.plan import seccomp_rules
from runtime.plan.seccomp import normalise
from tests import bpf
from tests import seccomp_profile as profiles

X86_64 = profiles.X86_64


def profile_of(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], **rule} for rule in rules]}


def rule(action: str, *conditions: tuple[int, str, int]) -> dict[str, Any]:
    args = [{"index": index, "op": f"SCMP_CMP_{op}", "value": value} for index, op, value in conditions]
    return {"action": f"SCMP_ACT_{action}", **({"args": args} if args else {})}


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ([rule("ERRNO", (0, "LT", 3))], []),
        ([rule("ERRNO", (0, "EQ", 3)), rule("ERRNO", (0, "NE", 4))], []),
        ([rule("ERRNO", (0, "LT", 3)), rule("ALLOW", (0, "GT", 4))], []),  # the second says what the default says
        ([rule("ERRNO", (0, "LT", 3)), rule("ERRNO", (1, "EQ", 4))], ["read"]),
        ([rule("ERRNO", (0, "LT", 3), (0, "GT", 9))], ["read"]),  # each stands alone
        ([rule("ERRNO", (0, "LT", 3)), rule("KILL")], ["read"]),
    ],
)
def test_what_is_contested(rules: list[dict[str, Any]], names: list[str]) -> None:
    """A name with several rules, one of which orders an argument, is contested."""
    default, _, _, groups = normalise(profile_of(*rules))
    assert list(seccomp_rules.contested(groups, default)) == names


def test_rules_in_order() -> None:
    """The first that holds decides, one without conditions before all; other calls and architectures go on."""
    profile = profile_of(
        rule("TRAP", (0, "LT", 3), (5, "GE", 1 << 40)), rule("ERRNO", (0, "LE", 3)), rule("LOG", (1, "GT", 7))
    )
    default, _, _, groups = normalise(profile)
    calls = [(0, seccomp_rules.contested(groups, default)["read"])]
    code = seccomp_rules.program([(X86_64, calls), (profiles.X86, [(3, calls[0][1])])], default)
    program = [*bpf.decode(code), (0x06, 0, 0, 77)]  # what stands behind it
    for arch, number in ((X86_64, 0), (profiles.X86, 3)):
        for first in (0, 2, 3, 4, 1 << 32, (1 << 32) + 2):
            for second in (7, 8, 1 << 33):
                for last in (0, 1 << 40, (1 << 64) - 1):
                    args = [first, second, 0, 0, 0, last]
                    expected = profiles.rule_value(profile, arch, ["read"], args)
                    assert bpf.decide(program, arch, number, args) == expected, (hex(arch), args)
    for arch, number in ((X86_64, 1), (X86_64, 1 << 30), (profiles.X86, 0), (0xC00000B7, 0)):
        assert bpf.decide(program, arch, number, [0] * 6) == 77


def test_x32_and_native_share_an_architecture() -> None:
    """The kernel presents both as x86_64; the bit in the number tells them apart, and x32 compares 32 bits."""
    profile = profile_of(rule("ERRNO", (0, "LT", 1 << 32)), rule("ERRNO", (0, "EQ", (1 << 32) + 5)))
    default, _, _, groups = normalise(profile)
    rules = seccomp_rules.contested(groups, default)["read"]
    code = seccomp_rules.program([(X86_64, [(0, rules)]), (profiles.X32, [(profiles.X32_BIT, rules)])], default)
    program = [*bpf.decode(code), (0x06, 0, 0, 77)]
    for number, token in ((0, X86_64), (profiles.X32_BIT, profiles.X32)):
        for argument in (0, 5, 1 << 32, (1 << 32) + 5):
            expected = profiles.rule_value(profile, token, ["read"], [argument] * 6)
            assert bpf.decide(program, X86_64, number, [argument] * 6) == expected
