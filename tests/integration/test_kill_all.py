"""kill --all of a container that has no cgroup to know its processes by."""

from __future__ import annotations

import json

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.test_control import DEAF, SHARED, alive

pytestmark = pytest.mark.not_on("runc", "crun", reason="crun's option, and ocirun's words")
NO_CGROUPS = ("--cgroup-manager", "disabled")


def launch(runtime: Caller, script: str, namespaces: list[dict[str, str]] | None = None) -> str:
    change = {"linux": {"resources": {}, **({"namespaces": namespaces} if namespaces else {})}}
    id = runtime.create(runtime.shell(script, change), *NO_CGROUPS)
    runtime.start(id)
    wait_for(lambda: "up" in runtime.output(id), "processes", 20)
    return id


def test_in_its_own_pid_namespace(runtime: Caller) -> None:
    """A signal reaches each process, SIGKILL ends all; ps lists them."""
    id = launch(runtime, DEAF)
    pids = sorted([runtime.pid(id), *snapshot.descendants(runtime.pid(id))])
    assert {runtime.pid(id)} < set(json.loads(runtime.call("ps", "--format", "json", id).ok().out))
    runtime.call("kill", "--all", id, "USR1").ok()
    wait_for(lambda: {"first", "child"} <= set(runtime.output(id).split()), "both answers", 20)
    runtime.call("kill", "--all", id, "KILL").ok()
    runtime.wait_status(id)
    assert alive(pids) == []


@pytest.mark.parametrize("whose", ["host", "container"])
def test_in_a_shared_pid_namespace(runtime: Caller, whose: str) -> None:
    """The first process gets the signal, and the error says that the others have not: nothing tells whose they are. ps says so too."""
    namespaces = list(SHARED)
    other = ""
    if whose == "container":
        other = runtime.launch(runtime.shell("exec sleep 100"))
        namespaces.append({"type": "pid", "path": f"/proc/{runtime.pid(other)}/ns/pid"})
    id = launch(runtime, "sleep 1 & echo up; exec sleep 100", namespaces)
    assert "nor a pid namespace of its own" in runtime.call("ps", "--format", "json", id).failed(1).err
    error = runtime.call("kill", "--all", id, "KILL").failed(1).err
    assert "only the first process has got the signal" in error
    runtime.wait_status(id)
    runtime.call("kill", "--all", id, "KILL").ok()  # nobody is left to get it
    if other:
        assert runtime.status(other) == "running"
