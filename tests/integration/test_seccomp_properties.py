"""Each property of linux.seccomp, by its effect on the program."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import shutil
import subprocess
import time
from typing import Any

import pytest

from tests.integration.caller import Caller
from tests.integration.seccomp_agent import Agent
from tests.integration.test_seccomp import ORDINARY, filtered, rule

SIGSYS = 128 + 31
CHDIR = 80
# That the program of a test does not make: one for each action and each operator.
UNUSED_CALLS = (
    "swapon swapoff reboot acct quotactl kexec_load init_module delete_module iopl ioperm settimeofday personality "
    "vhangup pivot_root syslog add_key keyctl request_key"
).split()


@pytest.mark.proves("/linux/seccomp/defaultAction")
@pytest.mark.proves("/linux/seccomp/defaultErrnoRet")
def test_default_errno(runtime: Caller) -> None:
    """What no rule names gets the default action with its errno."""
    bundle = filtered(
        runtime,
        "mkdir /a",
        rule("SCMP_ACT_ALLOW", *ORDINARY),
        default="SCMP_ACT_ERRNO",
        defaultErrnoRet=errno.ENOSPC,
    )
    assert "No space left" in runtime.run(bundle).failed().err


@pytest.mark.proves("/linux/seccomp/syscalls/*/names")
@pytest.mark.proves("/linux/seccomp/syscalls/*/errnoRet")
def test_every_name_of_a_rule(runtime: Caller) -> None:
    """A rule is about each of its names, and about no other call."""
    bundle = filtered(
        runtime,
        "mkdir /a; rmdir /b; touch /c && echo fine",
        rule("SCMP_ACT_ERRNO", "mkdir", "rmdir", errnoRet=errno.EXDEV),
    )
    result = runtime.run(bundle).ok()
    assert result.err.count("Invalid cross-device link") == 2
    assert result.out == "fine\n"


@pytest.mark.kernel
@pytest.mark.proves("/linux/seccomp/syscalls/*/action")
@pytest.mark.parametrize(
    ("action", "status", "words"),
    [
        ("ALLOW", 0, ""),
        ("LOG", 0, ""),
        ("ERRNO", 1, "Operation not permitted"),
        ("TRACE", 1, "Function not implemented"),  # nobody traces
        ("TRAP", SIGSYS, ""),
        ("KILL", SIGSYS, ""),
        ("KILL_THREAD", SIGSYS, ""),
        ("KILL_PROCESS", SIGSYS, ""),
    ],
)
def test_action(runtime: Caller, action: str, status: int, words: str) -> None:
    """Each action does what its name says."""
    default = "SCMP_ACT_LOG" if action == "ALLOW" else "SCMP_ACT_ALLOW"
    bundle = filtered(runtime, "mkdir /a; echo $?", rule(f"SCMP_ACT_{action}", "mkdir"), default=default)
    result = runtime.run(bundle).ok()
    assert result.out == f"{status}\n"
    assert words in result.err


@pytest.mark.proves("/linux/seccomp/syscalls/*/args/*/index")
@pytest.mark.proves("/linux/seccomp/syscalls/*/args/*/value")
@pytest.mark.proves("/linux/seccomp/syscalls/*/args/*/valueTwo")
@pytest.mark.proves("/linux/seccomp/syscalls/*/args/*/op")
@pytest.mark.parametrize(
    ("operator", "value", "two", "refused"),
    [
        ("NE", 0o600, 0, "500 700"),
        ("LT", 0o600, 0, "500"),
        ("LE", 0o600, 0, "500 600"),
        ("EQ", 0o600, 0, "600"),
        ("GE", 0o600, 0, "600 700"),
        ("GT", 0o600, 0, "700"),
        ("MASKED_EQ", 0o100, 0o100, "500 700"),
        ("MASKED_EQ", 0o100, 0, "600"),
    ],
)
def test_operator(runtime: Caller, operator: str, value: int, two: int, refused: str) -> None:
    """chmod's second argument, the mode, is compared as the operator says."""
    condition = {"index": 1, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": two}
    script = "for mode in 500 600 700; do chmod $mode /tmp 2> /dev/null || echo $mode; done"
    bundle = filtered(runtime, script, rule("SCMP_ACT_ERRNO", "chmod", args=[condition]))
    assert runtime.run(bundle).ok().out.split() == refused.split()


def old_call(path: os.PathLike[str]) -> None:
    """A program that calls mkdir by the table of 32-bit x86, and exits with its errno."""
    if platform.machine() != "x86_64" or not shutil.which("gcc"):
        pytest.skip("needs gcc on x86-64")
    source = """static char name[] = "/a"; void _start(void) { int r; long s;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(39), "b"(name), "c"(0700) : "r8", "r9", "r10", "r11", "memory");
    __asm__ volatile("syscall" : "=a"(s) : "a"(231), "D"(-(long)r) : "rcx", "r11", "memory"); }"""
    command = ["gcc", "-static", "-no-pie", "-fno-pie", "-nostdlib", "-O1", "-x", "c", "-o", path, "-"]
    subprocess.run(command, input=source, text=True, check=True)


@pytest.mark.proves("/linux/seccomp/architectures")
@pytest.mark.parametrize(("listed", "status"), [(["X86_64"], SIGSYS), (["X86_64", "X86"], errno.ENOSPC)])
def test_architectures(runtime: Caller, listed: list[str], status: int) -> None:
    """A table that is listed is filtered by the names; a call by one that is not kills."""
    bundle = filtered(
        runtime,
        "/old; echo $?",
        rule("SCMP_ACT_ERRNO", "mkdir", errnoRet=errno.ENOSPC),
        architectures=[f"SCMP_ARCH_{name}" for name in listed],
    )
    old_call(bundle.rootfs / "old")
    assert runtime.run(bundle).ok().out == f"{status}\n"


@pytest.mark.proves("/linux/seccomp/flags")
@pytest.mark.not_on("runc", "crun", reason="libseccomp 2.5 has no WAIT_KILLABLE_RECV")
@pytest.mark.parametrize("killable", [False, True])
def test_wait_killable(runtime: Caller, killable: bool) -> None:
    """With WAIT_KILLABLE_RECV a signal does not interrupt a call that the agent looks at; without it, it does."""

    def slowly(number: int) -> None:
        time.sleep(0.8 if number == CHDIR else 0)

    flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]
    if killable:
        flags.append("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
    with Agent(runtime.directory / "agent", slowly) as agent:
        more: dict[str, Any] = {"listenerPath": str(agent.path), "flags": flags}
        script = "trap : USR1; (sleep 0.3; kill -USR1 $$) & cd /tmp"
        result = runtime.run(filtered(runtime, script, rule("SCMP_ACT_NOTIFY", "chdir"), **more))
        calls = len(agent.calls)
    interrupted = calls > 1 or result.code != 0
    assert interrupted is not killable


@pytest.mark.kernel
@pytest.mark.not_on("runc", "crun", reason="has another way of warning")
def test_unknown_flag_use_is_warned_about(runtime: Caller) -> None:
    """WAIT_KILLABLE_RECV without SCMP_ACT_NOTIFY is a warning, and the filter holds."""
    flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    result = runtime.run(filtered(runtime, "mkdir /a", rule("SCMP_ACT_ERRNO", "mkdir"), flags=flags)).failed(1)
    assert "/linux/seccomp/flags/0" in result.err
    assert "not permitted" in result.err


@pytest.mark.not_on("runc", "crun", reason="claims what it was built for")
def test_features_of_seccomp_are_true(runtime: Caller) -> None:
    """A container runs with every action, operator and flag that features claims, and libseccomp knows each architecture."""
    claimed = json.loads(runtime.call("features").ok().out)["linux"]["seccomp"]
    assert claimed["enabled"] is True
    assert set(claimed["supportedFlags"]) <= set(claimed["knownFlags"])
    library = ctypes.CDLL("libseccomp.so.2")
    for name in claimed["archs"]:
        assert library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode()) != 0, name
    rules: list[dict[str, Any]] = [
        {"names": [name], "action": action}
        for name, action in zip(UNUSED_CALLS, claimed["actions"], strict=False)
        if action != "SCMP_ACT_ALLOW"
    ]
    conditions = [{"index": 0, "op": name, "value": 1 << 20} for name in claimed["operators"]]
    rules += [
        {"names": [name], "action": "SCMP_ACT_ERRNO", "args": [one]}
        for name, one in zip(reversed(UNUSED_CALLS), conditions, strict=False)
    ]
    with Agent(runtime.directory / "agent", lambda _: None) as agent:
        seccomp = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "flags": claimed["supportedFlags"],
            "listenerPath": str(agent.path),
            "syscalls": rules,
        }
        assert runtime.run(runtime.shell("echo fine", {"linux": {"seccomp": seccomp}})).ok().out == "fine\n"
        assert agent.received(1)
