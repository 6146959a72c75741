"""kill of a container that has no cgroup to know its processes by, or no pid namespace of its own to end them by."""

from __future__ import annotations

import contextlib
import json
import os

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.test_control import DEAF, SHARED, alive, pids_of

alone = pytest.mark.not_on("runc", "crun", reason="crun's option, and ocirun's words")
NO_CGROUPS = ("--cgroup-manager", "disabled")


def launch(runtime: Caller, script: str, namespaces: list[dict[str, str]] | None = None) -> str:
    change = {"linux": {"resources": {}, **({"namespaces": namespaces} if namespaces else {})}}
    id = runtime.create(runtime.shell(script, change), *NO_CGROUPS)
    runtime.start(id)
    wait_for(lambda: "up" in runtime.output(id), "processes")
    return id


@alone
def test_in_its_own_pid_namespace(runtime: Caller) -> None:
    """A signal reaches each process, SIGKILL ends all; ps lists them."""
    id = launch(runtime, DEAF)
    pids = sorted([runtime.pid(id), *snapshot.descendants(runtime.pid(id))])
    assert {runtime.pid(id)} < set(json.loads(runtime.call("ps", "--format", "json", id).ok().out))
    runtime.call("kill", "--all", id, "USR1").ok()
    wait_for(lambda: {"first", "child"} <= set(runtime.output(id).split()), "both answers")
    runtime.call("kill", "--all", id, "KILL").ok()
    runtime.wait_status(id)
    assert alive(pids) == []


@alone
@pytest.mark.parametrize("whose", ["host", "container"])
def test_in_a_shared_pid_namespace(runtime: Caller, whose: str) -> None:
    """The first process gets the signal, and the error says that the others have not: nothing tells whose they are. ps says so too,
    kill --all once more, and delete by a warning."""
    namespaces = list(SHARED)
    other = ""
    if whose == "container":
        other = runtime.launch(runtime.shell("exec sleep 100"))
        namespaces.append({"type": "pid", "path": f"/proc/{runtime.pid(other)}/ns/pid"})
    id = launch(runtime, "sleep 1 & echo up; exec sleep 100", namespaces)
    assert "no cgroup or pid namespace of its own" in runtime.call("ps", "--format", "json", id).failed(1).err
    error = runtime.call("kill", "--all", id, "KILL").failed(1).err
    assert "only the first process was signalled" in error
    runtime.wait_status(id)
    assert "cannot be signalled" in runtime.call("kill", "--all", id, "KILL").failed(1).err
    assert "may still be running" in runtime.call("delete", id).ok().err
    if other:
        assert runtime.status(other) == "running"


@pytest.mark.vm
@pytest.mark.not_on("runc", reason="does so from 1.2 on")
@pytest.mark.not_on("crun", reason="ends the first process alone")
@pytest.mark.parametrize("whose", ["host", "container"])
def test_sigkill_in_a_shared_pid_namespace(runtime: Caller, whose: str) -> None:
    """kill KILL, without --all, of a container that shares a pid namespace ends what is in its cgroups: nothing else would, once the first
    process is dead. What the namespace has beside it lives on."""
    namespaces = list(SHARED)
    other = runtime.launch(runtime.shell("exec sleep 100"))
    if whose == "container":
        namespaces.append({"type": "pid", "path": f"/proc/{runtime.first_pid(other)}/ns/pid"})
    script = "sleep 100 & (setsid sleep 100 &) ; echo up; sleep 100"
    id = runtime.launch(runtime.shell(script, {"linux": {"namespaces": namespaces}}))
    wait_for(lambda: "up" in runtime.output(id) and len(pids_of(runtime, id)) >= 3, "processes")
    pids = pids_of(runtime, id)
    runtime.kill(id, "KILL")
    wait_for(lambda: not alive(pids), "end of all")
    runtime.wait_status(id)
    assert runtime.status(other) == "running"


@pytest.mark.vm
def test_another_signal_in_a_shared_pid_namespace(runtime: Caller) -> None:
    """kill reaches the first process alone; what it left behind goes with delete --force, also when the manager has waited for the first."""
    id = runtime.launch(runtime.shell("sleep 100 & echo up; exec sleep 100", {"linux": {"namespaces": SHARED}}))
    wait_for(lambda: "up" in runtime.output(id) and len(pids_of(runtime, id)) == 2, "processes")
    init, pids = runtime.first_pid(id), pids_of(runtime, id)
    runtime.kill(id, "TERM")
    runtime.wait_status(id)
    assert alive(pids) == [pid for pid in pids if pid != init]
    with contextlib.suppress(ChildProcessError):
        os.waitpid(init, 0)  # the number stays that of the other's session
    runtime.remove(id)
    assert alive(pids) == []
