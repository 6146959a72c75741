"""startContainer hooks are programs of the image, and so under the container's filter."""

from __future__ import annotations

import errno
import platform
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller
from tests.integration.seccomp_agent import Agent

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers here are x86-64's")

MKDIR = 83
SPAWNED_EARLY = "start does not wait for the hook"


def hooked(runtime: Caller, script: str, *rules: dict[str, Any], program: str = "cat /log", **more: Any) -> Bundle:
    """A bundle whose startContainer hook runs ``script``, writing to /log, under a filter of ``rules``."""
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **more}
    bundle = runtime.shell(program, {"linux": {"seccomp": seccomp}})
    bundle.write("/log", "")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"exec > /log 2>&1; {script}"], "env": ["PATH=/bin:/usr/bin"]}
    bundle.config["hooks"] = {"startContainer": [hook]}
    return bundle.save()


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def test_filtered(runtime: Caller) -> None:
    """The hook has the filter, and what it refuses is refused to the hook."""
    script = "grep ^Seccomp: /proc/self/status; mkdir /a; true"
    bundle = hooked(runtime, script, rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat", errnoRet=errno.ENOSPC))
    out = runtime.run(bundle).ok().out
    assert out.splitlines()[0].split() == ["Seccomp:", "2"]
    assert "No space left" in out


def test_filtered_with_no_new_privileges(runtime: Caller) -> None:
    """Without CAP_SYS_ADMIN, with noNewPrivileges, the hook has the filter as well."""
    bundle = hooked(runtime, "mkdir /a; true", rule("SCMP_ACT_ERRNO", "mkdir", errnoRet=errno.ENOSPC))
    bundle.process.update({"noNewPrivileges": True, "user": {"uid": 1000, "gid": 1000}, "capabilities": {}})
    bundle.rootfs.joinpath("log").chmod(0o666)
    assert "No space left" in runtime.run(bundle.save()).ok().out


@pytest.mark.not_on("runc", "crun", reason=SPAWNED_EARLY)
def test_killed(runtime: Caller) -> None:
    """A hook that the filter kills fails start, which says so, and the program does not run."""
    bundle = hooked(runtime, "exec mkdir /a", rule("SCMP_ACT_KILL_PROCESS", "mkdir"), program="echo ran")
    result = runtime.run(bundle).failed()
    assert result.out == ""
    assert "killed by signal 31 (SIGSYS: bad system call); the seccomp filter" in result.err
    assert "/hooks/startContainer/0" in result.err


@pytest.mark.not_on("runc", "crun", reason=SPAWNED_EARLY)
def test_not_executed(runtime: Caller) -> None:
    """A filter that forbids execve keeps the hook from being executed, which start says."""
    result = runtime.run(hooked(runtime, "true", rule("SCMP_ACT_ERRNO", "execve"), program="echo ran")).failed()
    assert result.out == ""
    assert "could not be executed in the container" in result.err


@pytest.mark.not_on("runc", "crun", reason="have the agent answer for the hook")
def test_nobody_answers(runtime: Caller) -> None:
    """The listener is the program's: a call of the hook's that would be notified fails, with a warning before."""
    with Agent(runtime.directory / "agent", lambda number: errno.ENOSPC if number == MKDIR else None) as agent:
        notify = rule("SCMP_ACT_NOTIFY", "mkdir")
        bundle = hooked(runtime, "mkdir /a; true", notify, program="cat /log; mkdir /b", listenerPath=str(agent.path))
        result = runtime.run(bundle).failed(1)
        calls = [number for _, number in agent.calls]
        runtime.remove_all()
    assert "Function not implemented" in result.out
    assert "No space left" in result.err
    assert "/hooks/startContainer: " in result.err
    assert calls == [MKDIR]
