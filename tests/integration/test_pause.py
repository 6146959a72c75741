"""pause and resume: what stops, what the status says, and how a paused container ends."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import Counters, on_v1

COUNTER = "i=0; while :; do i=$((i+1)); echo $i > /count; done"


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
def test_nothing_runs_while_paused(runtime: Caller) -> None:
    """pause: a busy process stops, and continues after resume."""
    bundle = runtime.shell(COUNTER)
    id = runtime.launch(bundle)
    file = bundle.rootfs / "count"
    wait_for(file.read_text, "the first count")
    runtime.call("pause", id).ok()
    assert runtime.status(id) == "paused"
    before = file.read_text()
    time.sleep(0.3)
    assert file.read_text() == before
    runtime.call("resume", id).ok()
    assert runtime.status(id) == "running"
    wait_for(lambda: file.read_text() not in ("", before), "a further count")


@pytest.mark.vm
@pytest.mark.cgroups
def test_list_and_state_of_a_paused_container(runtime: Caller) -> None:
    """pause: state and list say that the container is paused."""
    id = runtime.launch(runtime.sleeper())
    runtime.call("pause", id).ok()
    listed = json.loads(runtime.call("list", "--format", "json").ok().out)
    assert [(item["id"], item["status"]) for item in listed] == [(id, "paused")]


def test_a_created_container(runtime: Caller) -> None:
    """A created container can be paused; it is not started then, and is "created" again after resume."""
    id = runtime.create(runtime.sleeper())
    runtime.call("pause", id).ok()
    assert runtime.status(id) == "paused"
    runtime.call("start", id).failed(1)
    runtime.call("resume", id).ok()
    assert runtime.status(id) == "created"
    runtime.start(id)


def test_wrong_states(runtime: Caller) -> None:
    """pause and resume are refused in another state."""
    id = runtime.launch(runtime.sleeper())
    assert "not paused" in runtime.call("resume", id).failed(1).err
    runtime.call("pause", id).ok()
    runtime.call("pause", id).failed(1)
    assert runtime.status(id) == "paused"
    runtime.kill(id)
    runtime.wait_status(id)
    for verb in ("pause", "resume"):
        runtime.call(verb, id).failed(1)
        assert "does not exist" in runtime.call(verb, "nobody").failed(1).err


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
def test_sigkill_ends_a_paused_container(runtime: Caller) -> None:
    """kill of a paused container: SIGKILL ends it at once, another signal waits for resume."""
    ended, resumed = (runtime.launch(runtime.sleeper()) for _ in range(2))
    for id in (ended, resumed):
        runtime.wait_handler(id)
        runtime.call("pause", id).ok()
        runtime.kill(id, "TERM")
    time.sleep(0.2)
    assert [runtime.status(id) for id in (ended, resumed)] == ["paused", "paused"]
    runtime.kill(ended, "KILL")
    runtime.wait_status(ended, "stopped", 3)
    runtime.call("resume", resumed).ok()
    runtime.wait_status(resumed)


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
def test_delete_force_of_a_paused_container(runtime: Caller) -> None:
    """delete --force of a paused container: everything is removed, without delay."""
    id = runtime.launch(runtime.shell("sleep 100 & sleep 100"))
    runtime.call("pause", id).ok()
    began = time.monotonic()
    runtime.call("delete", "--force", id).ok()
    assert time.monotonic() - began < 9
    assert runtime.known_ids() == []


def test_kill_all_of_a_paused_container(runtime: Caller) -> None:
    """SIGKILL reaches every process."""
    id = runtime.launch(runtime.shell("sleep 100 & sleep 100"))
    runtime.call("pause", id).ok()
    runtime.call("kill", "--all", id, "KILL").ok()
    runtime.wait_status(id, "stopped", 3)


@pytest.mark.not_on("crun", reason="runs it")
def test_exec_in_a_paused_container(runtime: Caller) -> None:
    """Refused; with --ignore-paused the program runs when the container goes on."""
    id = runtime.launch(runtime.sleeper())
    runtime.call("pause", id).ok()
    assert "paused" in runtime.exec(id, ["true"]).failed(255).err
    runtime.call("resume", id).ok()
    assert runtime.exec(id, ["echo", "on"], "--ignore-paused").ok().out == "on\n"


@pytest.mark.not_on("runc", "crun", reason="cannot be interrupted, or takes its process along")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["TERM", "INT", "HUP"])
def test_exec_in_a_paused_container_is_interrupted(runtime: Caller, number: int) -> None:
    """An exec that waits for the container to go on ends by a signal; its program never runs."""
    id = runtime.launch(runtime.sleeper())
    runtime.call("pause", id).ok()
    command = runtime.command("exec", "--ignore-paused", id, "touch", "/ran")
    errors = runtime.directory / "exec.err"
    with open(errors, "wb") as file:  # a pipe would be held open by what is suspended
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=file)
    wait_for(lambda: snapshot.descendants(child.pid), "init")
    time.sleep(0.3)
    child.send_signal(number)
    try:
        assert child.wait(5) != 0
    finally:
        child.kill()
        child.wait()
    assert f"interrupted by signal {number} before the program ran\n" in errors.read_text()
    runtime.call("resume", id).ok()
    runtime.exec(id, "test ! -e /ran").ok()


@pytest.mark.not_on("runc", "crun", reason="how long they wait is their own")
def test_delete_force_of_what_is_frozen_from_outside(runtime: Caller) -> None:
    """A cgroup above the container's that v1 has suspended: the error says how long was waited, and that is how long it took."""
    if not on_v1("freezer"):
        pytest.skip("v2 ends suspended processes")
    bundle = runtime.shell("exec sleep 100")
    bundle.linux["cgroupsPath"] = f"/{runtime.token}-frozen/box"
    id = runtime.launch(bundle.save())
    above = Counters(runtime, id).directory("freezer").parent / "freezer.state"
    above.write_text("FROZEN")
    try:
        begun = time.monotonic()
        error = runtime.call("delete", "--force", id).failed(1).err
        assert 10 <= time.monotonic() - begun < 20
        assert "10 seconds after SIGKILL" in error
        assert "frozen by a parent cgroup" in error
    finally:
        above.write_text("THAWED")
    runtime.remove(id)
