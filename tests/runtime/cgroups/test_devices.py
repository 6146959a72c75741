"""Device rules as v1 writes and as an eBPF program: one meaning, that of the last rule that matches."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cgroups import device_program, devices
from runtime.errors import InvalidConfig
from tests.runtime.cgroups.device_machine import Controller, last_rule_decides, reachable, run

DENY = {"allow": False, "access": "rwm"}
ALLOW = {"allow": True, "access": "rwm"}
NULL = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
DEFAULTS = [
    {"allow": True, "access": "m"},
    *({"allow": True, "type": "c", "major": 1, "minor": minor} for minor in (3, 5, 7, 8, 9)),
    *({"allow": True, "type": "c", "major": 5, "minor": minor} for minor in (0, 1, 2)),
    {"allow": True, "type": "c", "major": 136},
    {"allow": True, "type": "c", "major": 10, "minor": 200},
]

numbers = st.sampled_from([1, 3, 5, 8, 136])
rule = st.fixed_dictionaries(
    {"allow": st.booleans()},
    optional={
        "type": st.sampled_from(["a", "b", "c"]),
        "major": numbers,
        "minor": numbers,
        "access": st.sampled_from(["r", "w", "m", "rw", "rwm", "wm"]),
    },
)
request = st.tuples(st.sampled_from(["b", "c"]), st.integers(1, 7), numbers, numbers)


def written(rules: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(file, value, pointer) of the settings for v1."""
    return [(setting.file, setting.value, setting.pointer) for setting in devices.settings(rules)]


def meant(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rules with the default ones behind them, as a container gets them."""
    start, rest = devices.normal(rules)
    return [*rules] if start and not rest else [*rules, *DEFAULTS]


def test_the_ready_made_answer_is_the_computed_one():
    """The shortcut for a single deny rule says what the rules say."""
    for rules in ([], [DENY], [ALLOW, DENY]):
        assert devices.settings(rules) is devices.DENY_ALL
    computed = [(setting.file, setting.value, setting.pointer) for setting in devices.computed(False, [])]
    assert written([DENY]) == computed


def test_allowing_everything_is_one_write_and_no_program():
    """A privileged container: the default, without exceptions."""
    assert written([ALLOW]) == [("devices.allow", "a", "/linux/resources/devices")]
    assert device_program.program([ALLOW]) == b""
    assert device_program.program([DENY, NULL, ALLOW]) == b""


def test_rules_that_say_nothing_new_are_not_written():
    """Docker denies a device and allows it again, and names the default ones: twelve exceptions stay, and its own."""
    fuse = {"type": "c", "major": 10, "minor": 229, "access": "rwm"}
    rows = written([DENY, NULL, {**fuse, "allow": False}, {**fuse, "allow": True}])
    assert len(rows) == 14
    assert ("devices.allow", "c 10:229 rwm", "/linux/resources/devices/3") in rows


def test_an_exception_has_the_bits_of_a_wider_one():
    """The kernel wants one exception with all bits of a request."""
    rules = [DENY, {"allow": True, "type": "b", "access": "r"}, {"allow": True, "type": "b", "major": 8, "access": "w"}]
    assert ("devices.allow", "b 8:* rw", "/linux/resources/devices/2") in written(rules)


def test_what_the_config_names_is_written_as_it_is():
    """First, in its order, and without the defaults' bits: making a node is a request of its own. A default that the config covers is left out."""
    rules = [
        DENY,
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": True, "type": "b", "major": 8, "minor": 20, "access": "rw"},
        {"allow": True, "type": "b", "major": 10, "minor": 200, "access": "r"},
        {"allow": True, "type": "c", "major": 1, "access": "rwm"},
        {"allow": True, "type": "c", "major": 4, "minor": 64, "access": "m"},
    ]
    values = [value for _, value, _ in written(rules)]
    assert values[:6] == ["a", "c 10:229 rwm", "b 8:20 rw", "b 10:200 r", "c 1:* rwm", "c 4:64 m"]
    assert "c 1:3 rwm" not in values
    assert "c 5:2 rwm" in values


def test_v1_refuses_to_take_back_a_part():
    """What the controller would silently ignore is an error at the rule."""
    rules = [DENY, {"allow": True, "type": "b", "major": 8}, {"allow": False, "type": "b", "major": 8, "minor": 1}]
    with pytest.raises(InvalidConfig, match="/linux/resources/devices/1") as caught:
        devices.settings(rules)
    assert caught.value.pointer == "/linux/resources/devices/2"
    assert run(device_program.program(rules), "b", 2, 8, 0) == 1
    assert run(device_program.program(rules), "b", 2, 8, 1) == 0


def test_impossible_numbers_are_refused_and_minus_one_is_any():
    """A number beyond 31 bits is no device's; older configs write -1 for any."""
    with pytest.raises(InvalidConfig) as caught:
        devices.settings([DENY, {"allow": True, "type": "c", "major": 1 << 31}])
    assert caught.value.pointer == "/linux/resources/devices/1/major"
    (row,) = written([{"allow": True, "type": "a", "major": -1, "minor": -1}])
    assert row[:2] == ("devices.allow", "a")


GOLDEN = """\
61 13 +0 0
bc 32 +0 0
54 2 +0 65535
74 3 +0 16
61 14 +4 0
61 15 +8 0"""


def test_the_program_of_a_single_rule():
    """The prologue, the rules from the last to the first, and two ends, of which each is jumped to."""
    program = device_program.program(
        [{"allow": True, "access": "rwm"}, {"allow": False, "type": "b", "major": 8, "minor": 1}]
    )
    lines = []
    for index in range(0, len(program), 8):
        opcode, pair = program[index], program[index + 1]
        offset = int.from_bytes(program[index + 2 : index + 4], "little", signed=True)
        value = int.from_bytes(program[index + 4 : index + 8], "little", signed=True)
        lines.append(f"{opcode:x} {pair:x} {offset:+d} {value}")
    assert "\n".join(lines[:6]) == GOLDEN
    assert lines[6:11] == ["56 2 +4 2", "56 4 +3 10", "56 5 +2 200", "54 3 +0 -8", "16 3 +57 0"]
    assert lines[-9:] == [
        "56 2 +3 1", "56 4 +2 8", "56 5 +1 1", "46 3 +1 7",
        "5 0 +2 0",
        "b7 0 +0 0", "95 0 +0 0",
        "b7 0 +0 1", "95 0 +0 0",
    ]  # fmt: skip


@given(st.lists(rule, max_size=6), request)
def test_the_program_means_what_the_rules_say(rules: list[dict[str, Any]], asked: tuple[str, int, int, int]):
    """For every request the eBPF program answers as the last matching rule of each access bit."""
    program = device_program.program(rules)
    expected = last_rule_decides(meant(rules), *asked)
    assert (run(program, *asked) == 1 if program else True) is expected


@given(st.lists(rule, max_size=6))
def test_every_instruction_is_reached(rules: list[dict[str, Any]]):
    """The verifier refuses a program with dead code."""
    program = device_program.program(rules)
    assert len(reachable(program) if program else ()) == len(program) // 8


@given(st.lists(rule, max_size=6), request)
def test_v1_never_allows_what_the_rules_deny(rules: list[dict[str, Any]], asked: tuple[str, int, int, int]):
    """v1 says the same for one access bit; for several at once it may want them in one exception, and deny.

    Where everything is allowed to begin with, a default device that the config denies in a wider rule stays denied.
    """
    try:
        controller = Controller(written(rules))
    except InvalidConfig:
        return
    expected = last_rule_decides(meant(rules), *asked)
    allowed = controller.allows(*asked)
    assert not allowed or expected
    if asked[1] in (1, 2, 4) and not devices.normal(rules)[0]:
        assert allowed is expected
