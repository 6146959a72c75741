"""create, start, state, kill, delete, list: what each does in each state, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.caller import Caller, wait_for

STATE_KEYS = {"ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"}


@pytest.mark.kernel
@pytest.mark.vm
def test_the_whole_cycle(runtime: Caller) -> None:
    """created, running, stopped, gone: each verb in turn moves the container on."""
    id = runtime.create(runtime.sleeper())
    assert runtime.status(id) == "created"
    runtime.start(id)
    assert runtime.status(id) == "running"
    runtime.wait_handler(id)
    runtime.kill(id, "TERM")
    runtime.wait_status(id, "stopped")
    runtime.call("delete", id).ok()
    assert "does not exist" in runtime.call("state", id).failed(1).err


@pytest.mark.proves_operation("wait_start")
def test_create_does_not_run_the_process(runtime: Caller) -> None:
    """Nothing of the user's process happens before start."""
    bundle = runtime.shell("touch /ran")
    id = runtime.create(bundle)
    assert not (bundle.rootfs / "ran").exists()
    runtime.start(id)
    runtime.finish(id)
    assert (bundle.rootfs / "ran").exists()


def test_state_of_a_created_container(runtime: Caller) -> None:
    """state prints the spec's fields, and the runtime's rootfs, created and owner."""
    bundle = runtime.bundle({"annotations": {"org.example": "1"}})
    id = runtime.create(bundle)
    state = runtime.state(id)
    assert set(state) >= STATE_KEYS
    assert state["id"] == id
    assert state["bundle"] == str(bundle.directory)
    assert state["rootfs"] == str(bundle.rootfs)
    assert state["annotations"] == {"org.example": "1"}
    assert Path(f"/proc/{state['pid']}").exists()
    assert state["created"].startswith("20")


def test_state_of_a_stopped_container(runtime: Caller) -> None:
    """A stopped container has pid 0, also while its process is a zombie."""
    id = runtime.launch(runtime.bundle())
    runtime.wait_status(id)
    assert runtime.state(id)["pid"] == 0


@pytest.mark.parametrize("verb", [["start"], ["kill", "KILL"], ["state"], ["delete"], ["exec", "true"]])
def test_missing_container(runtime: Caller, verb: list[str]) -> None:
    """Every verb on an id that is not there says so."""
    result = runtime.call(verb[0], "nobody", *verb[1:]).failed(255 if verb[0] == "exec" else 1)
    assert "does not exist" in result.err


def test_delete_force_of_a_missing_container(runtime: Caller) -> None:
    """delete --force of a missing id succeeds: managers call it again on every exit."""
    runtime.call("delete", "--force", "nobody").ok()


def test_start_twice(runtime: Caller) -> None:
    """A running container cannot be started."""
    id = runtime.launch(runtime.sleeper())
    runtime.call("start", id).failed(1)
    assert runtime.status(id) == "running"


def test_start_a_stopped_container(runtime: Caller) -> None:
    """A stopped container cannot be started."""
    id = runtime.launch(runtime.bundle())
    runtime.wait_status(id)
    runtime.call("start", id).failed(1)


@pytest.mark.parametrize("started", [False, True], ids=["created", "running"])
def test_delete_without_force(runtime: Caller, started: bool) -> None:
    """delete refuses a container that has a process, and leaves it alone; runc alone deletes a created one."""
    id = runtime.create(runtime.sleeper())
    if started:
        runtime.start(id)
        runtime.call("delete", id).failed(1)
        assert runtime.status(id) == "running"
    elif runtime.call("delete", id).code != 0:
        assert runtime.status(id) == "created"


@pytest.mark.parametrize("started", [False, True], ids=["created", "running"])
def test_delete_force(runtime: Caller, started: bool) -> None:
    """delete --force kills and removes in any state."""
    id = runtime.create(runtime.sleeper())
    pid = runtime.pid(id)
    if started:
        runtime.start(id)
    runtime.remove(id)
    assert runtime.known_ids() == []
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or ") Z " in stat.read_text()


def test_kill_a_created_container(runtime: Caller) -> None:
    """SIGTERM ends a container that was not started, though its init is pid 1 without a handler."""
    id = runtime.create(runtime.sleeper())
    runtime.kill(id, "TERM")
    runtime.wait_status(id)


def test_kill_a_stopped_container(runtime: Caller) -> None:
    """kill on a stopped container says `container not running`."""
    id = runtime.launch(runtime.bundle())
    runtime.wait_status(id)
    assert "container not running" in runtime.call("kill", id, "TERM").failed(1).err


@pytest.mark.not_on("crun", reason="has its own kill --all")
def test_kill_all_of_a_stopped_container(runtime: Caller) -> None:
    """kill --all on a stopped container is no error: managers sweep with it."""
    id = runtime.launch(runtime.bundle())
    runtime.wait_status(id)
    runtime.call("kill", "--all", id, "KILL").ok()


@pytest.mark.parametrize("word", ["TERM", "SIGTERM", "term", "15"])
def test_kill_spellings(runtime: Caller, word: str) -> None:
    """A signal is a name with or without SIG, in either case, or a number."""
    id = runtime.launch(runtime.sleeper())
    runtime.wait_handler(id)
    runtime.kill(id, word)
    runtime.wait_status(id)


def test_kill_default_is_term(runtime: Caller) -> None:
    """kill without a signal sends SIGTERM."""
    id = runtime.launch(runtime.shell("trap 'echo got; exit 0' TERM; while :; do sleep 0.02; done"))
    runtime.wait_handler(id)
    runtime.call("kill", id).ok()
    assert runtime.finish(id) == "got\n"


@pytest.mark.parametrize("word", ["NOSUCH", "0x", "-3", "999"])
def test_kill_with_a_bad_signal(runtime: Caller, word: str) -> None:
    """An unknown signal is refused, and the container lives."""
    id = runtime.launch(runtime.sleeper())
    runtime.call("kill", id, word).failed()
    assert runtime.status(id) == "running"


def test_kill_all(runtime: Caller) -> None:
    """kill --all reaches every process of the container, not only init."""
    child = "(trap 'touch /child' USR1; touch /ready; while :; do sleep 0.02; done)"
    id = runtime.launch(runtime.shell(f"trap : USR1; {child} & wait; sleep 9"))
    rootfs = Path(runtime.state(id)["rootfs"])
    wait_for((rootfs / "ready").exists, "handler of the child")
    runtime.call("kill", "--all", id, "USR1").ok()
    wait_for((rootfs / "child").exists, "signal at the child")


def test_shared_pid_namespace_is_swept(runtime: Caller) -> None:
    """Without a pid namespace of its own, kill --all still ends what init left behind."""
    bundle = runtime.shell("sleep 60 & echo $! > /child; touch /ready; wait")
    bundle.linux["namespaces"] = [space for space in bundle.linux["namespaces"] if space["type"] != "pid"]
    id = runtime.launch(bundle.save())
    wait_for((bundle.rootfs / "ready").exists, "child")
    pid = int((bundle.rootfs / "child").read_text())
    runtime.call("kill", "--all", id, "KILL").ok()
    wait_for(lambda: not alive(pid), "end of the child")
    runtime.wait_status(id)


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_delete_removes_survivors(runtime: Caller) -> None:
    """A process that outlived init in a shared pid namespace goes with delete --force."""
    bundle = runtime.shell("sleep 60 & echo $! > /child; exit 0")
    bundle.linux["namespaces"] = [space for space in bundle.linux["namespaces"] if space["type"] != "pid"]
    id = runtime.launch(bundle.save())
    runtime.wait_status(id)
    pid = int((bundle.rootfs / "child").read_text())
    runtime.remove(id)
    wait_for(lambda: not alive(pid), "end of the child")


def test_same_id_twice(runtime: Caller) -> None:
    """An id that is in use is refused, and the container that has it is unharmed."""
    bundle, id = runtime.sleeper(), runtime.new_id()
    runtime.create(bundle, id=id)
    result = runtime.call("create", "--bundle", runtime.sleeper().directory, id).failed(1)
    assert "exist" in result.err
    assert runtime.status(id) == "created"


def test_id_can_be_used_again(runtime: Caller) -> None:
    """After delete the id is free."""
    bundle, id = runtime.bundle(), runtime.new_id()
    for _ in range(2):
        runtime.create(bundle, id=id)
        runtime.start(id)
        runtime.finish(id)


@pytest.mark.parametrize("id", ["", "a/b", "..", ".", "a b", "ü", "x" * 1025, "-a=b:c"])
def test_bad_ids(runtime: Caller, id: str) -> None:
    """Ids are letters, digits and _+.- ; anything else is refused before anything is made."""
    runtime.call("create", "--bundle", runtime.bundle().directory, "--", id).failed()
    assert runtime.known_ids() == []


@pytest.mark.parametrize("id", ["a", "A_b+c.d-1", "0"])
def test_good_ids(runtime: Caller, id: str) -> None:
    """The spec's alphabet is taken."""
    runtime.create(runtime.bundle(), id=id)
    runtime.remove(id)


def test_missing_bundle(runtime: Caller) -> None:
    """A bundle without config.json is refused by name."""
    empty = runtime.directory / "empty"
    empty.mkdir()
    result = runtime.call("create", "--bundle", empty, runtime.new_id()).failed(1)
    assert "config.json" in result.err
    runtime.call("create", "--bundle", runtime.directory / "absent", runtime.new_id()).failed(1)
    assert runtime.known_ids() == []


def test_failed_create_leaves_nothing(runtime: Caller) -> None:
    """A create that fails half way (a mount that cannot be) leaves no state; the fixture sees to the rest."""
    bundle = runtime.bundle()
    bundle.config["mounts"].append({"destination": "/x", "type": "no-such-file-system", "source": "none"})
    runtime.try_create(bundle.save()).failed(1)
    assert runtime.known_ids() == []


def test_list(runtime: Caller) -> None:
    """list: a table, ids alone, or JSON with every container's state."""
    first = runtime.create(runtime.bundle())
    second = runtime.launch(runtime.sleeper())
    table = runtime.call("list").ok().out.splitlines()
    assert table[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert {line.split()[0]: line.split()[2] for line in table[1:]} == {first: "created", second: "running"}
    assert sorted(runtime.call("list", "-q").ok().out.split()) == sorted([first, second])
    listed = json.loads(runtime.call("list", "--format", "json").ok().out)
    assert {one["id"]: one["status"] for one in listed} == {first: "created", second: "running"}


@pytest.mark.not_on("crun", reason="prints an empty array")
def test_empty_list(runtime: Caller) -> None:
    """No containers: null in JSON, only the heading in the table."""
    assert json.loads(runtime.call("list", "--format", "json").ok().out) is None
    assert len(runtime.call("list").ok().out.splitlines()) == 1


@pytest.mark.not_on("runc", reason="knows no --regex")
def test_delete_by_regex(runtime: Caller) -> None:
    """delete --regex removes each container whose id matches."""
    ids = [runtime.create(runtime.bundle(), id=f"{runtime.token}-{name}") for name in ("red", "blue")]
    runtime.call("delete", "--force", "--regex", f"{runtime.token}-r.*").ok()
    assert runtime.known_ids() == [ids[1]]


def test_init_is_handed_to_the_callers_subreaper(runtime: Caller) -> None:
    """The container's init is re-parented to the caller that is a subreaper, as containerd's shim is."""
    id = runtime.create(runtime.bundle())
    assert int(Path(f"/proc/{runtime.pid(id)}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()


def test_death_of_the_caller_does_not_end_the_container(runtime: Caller) -> None:
    """A PDEATHSIG that the manager set on the command does not reach the container's init."""
    import ctypes

    def die_with_parent() -> None:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG

    id = runtime.create(runtime.sleeper(), preexec_fn=die_with_parent)
    runtime.start(id)
    assert runtime.status(id) == "running"
    status = Path(f"/proc/{runtime.pid(id)}/status").read_text()
    assert "SigCgt" in status


def test_config_is_read_once(runtime: Caller) -> None:
    """After create the bundle's config may change; the container keeps the one it was made from."""
    bundle = runtime.shell("echo first")
    id = runtime.create(bundle)
    bundle.process["args"] = ["sh", "-c", "echo second"]
    bundle.save()
    runtime.start(id)
    assert runtime.finish(id) == "first\n"


@pytest.mark.not_on("runc", "crun", reason="is known to race")
def test_two_creates_of_one_id_at_once(runtime: Caller) -> None:
    """Of callers that race for an id exactly one gets it."""
    id = runtime.new_id()
    bundles = [runtime.sleeper() for _ in range(4)]
    children = [
        subprocess.Popen(
            runtime.command("create", "--bundle", bundle.directory, id),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for bundle in bundles
    ]
    assert sorted(child.wait(20) for child in children) == [0, 1, 1, 1]
    assert runtime.status(id) == "created"


@pytest.mark.not_on("runc", "crun", reason="is known to race")
def test_start_races_delete(runtime: Caller) -> None:
    """start and delete --force at once: one waits or is refused, and nothing is left."""
    for _ in range(3):
        id = runtime.create(runtime.sleeper())
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        start = subprocess.Popen(runtime.command("start", id), **quiet)
        delete = subprocess.Popen(runtime.command("delete", "--force", id), **quiet)
        assert delete.wait(20) == 0
        assert start.wait(20) in (0, 1)
        assert runtime.known_ids() == []
