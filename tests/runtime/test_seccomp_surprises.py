"""What `validate` says of seccomp profiles, against what the compiled profile decides."""

import copy
import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oci_spec
from runtime import seccomp
from runtime.errors import OcirunError
from runtime.shim import lib
from tests import bpf

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tables of numbers here are x86's")

X86_64 = 0xC000003E
NAMES = ("mkdir", "close", "dup")
RULES = ("seccomp_rule_counts", "seccomp_conditions_hold", "seccomp_conditions_together")
VALUES = (0, 1, 2, 3, 7, 1 << 32, (1 << 64) - 1)
ARGUMENTS = [(one, two) for one in VALUES for two in VALUES]

condition = st.fixed_dictionaries(
    {
        "index": st.sampled_from([0, 1]),
        "op": st.sampled_from([f"SCMP_CMP_{name}" for name in "EQ NE LT GT LE GE MASKED_EQ".split()]),
        "value": st.sampled_from([0, 1, 2, 3, (1 << 64) - 1]),
        "valueTwo": st.sampled_from([0, 1, 2]),
    }
)
entry = st.fixed_dictionaries(
    {
        "names": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True),
        "action": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL"]),
    },
    optional={"args": st.lists(condition, max_size=2)},
)
profile = st.fixed_dictionaries(
    {
        "defaultAction": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"]),
        "architectures": st.just(["SCMP_ARCH_X86_64"]),
        "syscalls": st.lists(entry, max_size=4),
    }
)


def decisions(chosen: dict[str, Any]) -> list[int]:
    """The action for each of the calls, with each of ARGUMENTS."""
    program = bpf.decode(seccomp.compile_profile(chosen)[0])  # type: ignore[arg-type]
    numbers = [lib.shim_seccomp_number(X86_64, name.encode()) for name in NAMES]
    return [bpf.run(program, bpf.data(X86_64, number, given))[0] for number in numbers for given in ARGUMENTS]


def told(chosen: dict[str, Any]) -> list[Any]:
    config = {"ociVersion": "1.3.0", "root": {"path": "r"}, "linux": {"seccomp": chosen}}
    return [one for one in oci_spec.check(json.dumps(config).encode()) if one.rule in RULES]


def without(chosen: dict[str, Any], pointer: str) -> dict[str, Any]:
    """The profile without the rule, or the name in it, that a pointer is about."""
    chosen = copy.deepcopy(chosen)
    index, *rest = pointer.removeprefix("/linux/seccomp/syscalls/").split("/")
    names = chosen["syscalls"][int(index)]["names"]
    if rest[0] == "names" and len(names) > 1:
        del names[int(rest[1])]
    else:
        del chosen["syscalls"][int(index)]
    return chosen


@given(profile)
@settings(max_examples=150, deadline=None)
def test_a_rule_without_effect_has_none(chosen: dict[str, Any]) -> None:
    """Without a rule that is told to have no effect, or whose condition never holds, every call gets the same."""
    try:
        before = decisions(chosen)
    except OcirunError:
        return  # two rules of equal conditions and another action
    for problem in told(chosen):
        alone = len(chosen["syscalls"][int(problem.pointer.split("/")[4])].get("args", ())) == 1
        if "has no effect" in problem.message or ("never holds" in problem.message and alone):
            assert decisions(without(chosen, problem.pointer)) == before, problem


@pytest.mark.parametrize("alternatives", [[("GE", 1), ("LE", 2)], [("NE", 1), ("NE", 2)]])
def test_a_range_is_none(alternatives: list[tuple[str, int]]) -> None:
    """A range in one rule holds for every argument, as the warning says."""
    args = [{"index": 0, "op": f"SCMP_CMP_{name}", "value": value} for name, value in alternatives]
    rule = {"names": ["close"], "action": "SCMP_ACT_ERRNO", "args": args}
    chosen = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [rule]}
    assert [one.rule for one in told(chosen)] == ["seccomp_conditions_together"]
    start = len(ARGUMENTS) * NAMES.index("close")
    assert set(decisions(chosen)[start : start + len(ARGUMENTS)]) == {0x50001}


def test_counts_are_the_kernels() -> None:
    """The table of arguments has what the kernel's trace events have, where they can be read."""
    from oci_spec.rules.arguments import COUNTS

    events = "/sys/kernel/tracing/events/syscalls"
    if not os.path.isdir(events):
        pytest.skip("the kernel's trace events cannot be read")
    read = 0
    for name, count in COUNTS.items():
        try:
            with open(f"{events}/sys_enter_{name}/format") as file:
                fields = file.read().partition("\n\n")[2].count("field:")
        except OSError:
            continue  # not of this kernel, or under another name
        read += 1
        assert fields - 1 == count, name
    assert read > 200
