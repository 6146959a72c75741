"""What a filter decides, and which rule is named for it: against another interpreter, and against the profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime import seccomp
from runtime.plan import filter_verdict as verdicts
from runtime.plan.seccomp import normalise
from runtime.process.notifications import name_of
from tests import bpf
from tests import seccomp_profile as profiles

CONFIGS = Path(__file__).parents[2] / "configs"
NATIVE = ["SCMP_ARCH_X86_64"]


def of_config(name: str) -> dict[str, Any]:
    profile: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())["linux"]["seccomp"]
    return profile


PROFILES = {
    **{name: of_config(name) for name in ("podman", "docker", "cri-container", "containerd-seccomp")},
    "kills": {"defaultAction": "SCMP_ACT_KILL_THREAD", "architectures": NATIVE, "syscalls": []},
    "arguments": {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [*NATIVE, "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {
                "names": ["clone", "personality"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": number,
                "args": [{"index": 0, "value": number, "op": op}],
            }
            for number, op in ((40, "SCMP_CMP_EQ"), (16, "SCMP_CMP_GT"), (7, "SCMP_CMP_NE"))
        ],
    },
}


@pytest.mark.parametrize("name", PROFILES)
def test_verdict_and_rule(name: str) -> None:
    """The verdict on every call is that of an independent interpreter, and what is named for it has that action."""
    profile = PROFILES[name]
    code = seccomp.compile_profile(profile)[0]  # type: ignore[arg-type]
    program, normalised = bpf.decode(code), normalise(profile)  # type: ignore[arg-type]
    named = set()
    for arch, number, args in profiles.system_calls(profile):
        signed = number - (1 << 32) if number >> 31 else number
        action = verdicts.verdict(code, signed, arch, args)
        assert action == bpf.decide(program, arch, number, args)
        if action == verdicts.ALLOW or arch not in (profiles.X86_64, profiles.X86):
            continue
        token = verdicts.token_of(arch, number)
        call = verdicts.multiplexed(token, number, args) or name_of(token, signed) or f"{verdicts.UNKNOWN}{number}"
        if call in ("socketcall", "ipc", "socket") and token == verdicts.X86:
            continue  # its arguments cannot be examined
        pointer = verdicts.rule(normalised, call, token, args, action)
        assert stands_for(profile, pointer, action), (call, args, hex(action), pointer)
        named.add(pointer)
    assert named


def stands_for(profile: dict[str, Any], pointer: str, action: int) -> bool:
    """Whether what the pointer leads to may decide this action."""
    if pointer == verdicts.DEFAULT:
        return action == profiles.default_value(profile)
    if pointer == verdicts.ARCHITECTURES:
        return action == verdicts.KILL_THREAD
    if pointer == verdicts.POINTER:
        return action == verdicts.ERRNO | profiles.ENOSYS
    rule = profile["syscalls"][int(pointer.rpartition("/")[2])]
    return action == profiles.action_value(rule["action"], rule.get("errnoRet"))


def test_notifying_program() -> None:
    """The program that asks a listener allows what the other allows, and asks about everything else."""
    profile = PROFILES["arguments"]
    code = seccomp.compile_profile(profile)[0]  # type: ignore[arg-type]
    changed = bpf.decode(verdicts.notifying(code))
    for arch, number, args in profiles.system_calls(profile):
        allowed = bpf.decide(bpf.decode(code), arch, number, args) == verdicts.ALLOW
        assert bpf.decide(changed, arch, number, args) == (verdicts.ALLOW if allowed else verdicts.NOTIFY)


def test_rule_without_arguments() -> None:
    """Where the arguments are unknown a rule is named only if they do not matter."""
    profile = normalise(PROFILES["arguments"])  # type: ignore[arg-type]
    errno = verdicts.ERRNO | 40
    assert verdicts.rule(profile, "clone", profiles.X86_64, None, errno) == f"{verdicts.POINTER}/syscalls/0"
    assert verdicts.rule(profile, "clone", profiles.X86_64, None, verdicts.ALLOW) == verdicts.POINTER
    assert verdicts.unconditional(profile, "clone") is None
    assert verdicts.unconditional(profile, "mkdir") == (verdicts.ALLOW, verdicts.DEFAULT)


REFUSED = {
    "default": ([("mkdir", profiles.X86_64, verdicts.DEFAULT)], "SCMP_ACT_ERRNO", ([], ["mkdir"])),
    "table": (
        [("mkdir", profiles.X86, verdicts.ARCHITECTURES)] * 2,
        "SCMP_ACT_ERRNO",
        (['add "SCMP_ARCH_X86" to /linux/seccomp/architectures'], []),
    ),
    "part of a rule": (
        [("mkdir", profiles.X86_64, "/linux/seccomp/syscalls/0")],
        "SCMP_ACT_ALLOW",
        (['remove "mkdir" from /linux/seccomp/syscalls/0/names'], []),
    ),
    "a whole rule": (
        [(name, profiles.X86_64, "/linux/seccomp/syscalls/0") for name in ("rmdir", "mkdir")],
        "SCMP_ACT_ALLOW",
        (["remove /linux/seccomp/syscalls/0"], []),
    ),
    "a call through a multiplexer": (
        [("socket", profiles.X86_64, "/linux/seccomp/syscalls/1")],
        "SCMP_ACT_ERRNO",
        (["remove /linux/seccomp/syscalls/1"], ["socket"]),
    ),
    "no name": (
        [("system call 999", profiles.X86_64, verdicts.DEFAULT)],
        "SCMP_ACT_ERRNO",
        (["no rule can, since libseccomp has no name for system call 999"], []),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_remedies(case: str) -> None:
    """What would allow a call depends on what refuses it."""
    calls, default, expected = REFUSED[case]
    rules = [{"names": names, "action": "SCMP_ACT_KILL"} for names in (["mkdir", "rmdir"], ["socket"])]
    listed = [*NATIVE, *(["SCMP_ARCH_X86"] if case != "table" else [])]
    profile = normalise({"defaultAction": default, "architectures": listed, "syscalls": rules})  # type: ignore[typeddict-item]
    words, rules = verdicts.remedies(profile, [(*call, ()) for call in calls])
    assert words == expected[0]
    added = [{"names": expected[1], "action": "SCMP_ACT_ALLOW"}] if expected[1] else []
    assert [json.loads(text) for text in rules] == added


def test_remedy_of_tested_arguments() -> None:
    """Where the profile allows a call by its arguments, each rule to add allows those that were refused."""
    profile = normalise(PROFILES["docker"])  # type: ignore[arg-type]
    calls = [("personality", profiles.X86_64, verdicts.DEFAULT, ((0, value),)) for value in (0x40000, 3, 3)]
    words, rules = verdicts.remedies(profile, [*calls, ("acct", profiles.X86_64, verdicts.DEFAULT, ())])
    assert words == []
    added = [json.loads(text) for text in rules]
    assert [(one["names"], [(a["index"], a["value"], a["op"]) for a in one.get("args", [])]) for one in added] == [
        (["acct"], []),
        (["personality"], [(0, 0x40000, "SCMP_CMP_EQ")]),
        (["personality"], [(0, 3, "SCMP_CMP_EQ")]),
    ]
    more = {**PROFILES["docker"], "syscalls": [*added, *PROFILES["docker"]["syscalls"]]}
    code = seccomp.compile_profile(more)[0]  # type: ignore[arg-type]
    for number, first, action in ((135, 3, verdicts.ALLOW), (135, 4, verdicts.ERRNO | 1), (163, 0, verdicts.ALLOW)):
        assert verdicts.verdict(code, number, profiles.X86_64, [first, 0, 0, 0, 0, 0]) == action
    assert (verdicts.tested(profile, "personality"), verdicts.tested(profile, "mkdir")) == ([0], [])


ACTIONS = {
    verdicts.ERRNO | 1: ("SCMP_ACT_ERRNO, EPERM", "fails with EPERM"),
    verdicts.ERRNO: ("SCMP_ACT_ERRNO, 0", "is not made, and returns 0"),
    verdicts.ERRNO | 4000: ("SCMP_ACT_ERRNO, 4000", "fails with error 4000"),
    verdicts.TRACE | 7: ("SCMP_ACT_TRACE", "fails with ENOSYS, since no tracer answers"),
    verdicts.TRAP: ("SCMP_ACT_TRAP", "is not made, and raises SIGSYS"),
    verdicts.KILL_THREAD: ("SCMP_ACT_KILL_THREAD", "kills its thread"),
    verdicts.KILL_PROCESS: ("SCMP_ACT_KILL_PROCESS", "kills its process"),
    verdicts.LOG: ("SCMP_ACT_LOG", "is made, and logged"),
    0x12340000: ("SCMP_ACT_KILL_PROCESS", "kills its process"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_words_of_an_action(action: int) -> None:
    """An action is told as the config has it, with its effect."""
    assert (verdicts.action_name(action), verdicts.effect(action)) == ACTIONS[action]


def test_calls_through_a_multiplexer() -> None:
    """A socketcall of x86 is told as the call that it stands for, with that call's arguments."""
    words = b"".join(number.to_bytes(4, "little") for number in (40, 1, 0))
    assert verdicts.multiplexed(verdicts.X86, 102, [1, 0x1000, 0, 0, 0, 0]) == "socket"
    assert verdicts.own_arguments(102, [1, 0x1000], lambda address, _: words if address == 0x1000 else b"")[:3] == [
        40,
        1,
        0,
    ]
    assert verdicts.multiplexed(verdicts.X86, 117, [21, 5, 0, 0, 6, 0]) == "shmat"
    assert verdicts.own_arguments(117, [21, 5, 0, 0, 6, 0], lambda *_: b"")[:2] == [5, 0]
    for token, number, first in ((verdicts.X86, 102, 99), (verdicts.X86, 117, 5), (profiles.X86_64, 102, 1)):
        assert verdicts.multiplexed(token, number, [first, 0, 0, 0, 0, 0]) == ""
