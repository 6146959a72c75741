"""SCMP_ACT_NOTIFY: the agent gets the listener and the container process state, and what it answers happens."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for
from tests.integration.refusal import refuse
from tests.integration.seccomp_agent import Agent, Decide

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers here are x86-64's")

MKDIR, SENDMSG, EXECVE, WRITE, USERFAULTFD = 83, 46, 59, 1, 323
POINTER = "/linux/seccomp/listenerPath"
NOTIFY_MKDIR: dict[str, Any] = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
LATER = "loads the filter at create"


@pytest.fixture
def agent(runtime: Caller) -> Iterator[Callable[[Decide], Agent]]:
    """Makes agents that listen in the test's directory, and ends them."""
    entered: list[Agent] = []

    def make(decide: Decide) -> Agent:
        made = Agent(runtime.directory / f"agent{len(entered)}", decide).__enter__()
        entered.append(made)
        return made

    yield make
    try:
        runtime.remove_all()  # a program that waits for an answer would never end
    finally:
        for made in entered:
            made.__exit__()


def no_space(number: int) -> int | None:
    return errno.ENOSPC if number == MKDIR else None


def notified(
    runtime: Caller, script: str, path: Path | str, *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any
) -> Bundle:
    seccomp = {"defaultAction": default, "listenerPath": str(path), "syscalls": list(rules or (NOTIFY_MKDIR,)), **more}
    return runtime.shell(script, {"linux": {"seccomp": seccomp}})


@pytest.mark.kernel
@pytest.mark.proves("/linux/seccomp/listenerPath")
def test_run(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """`run`: the agent decides about the calls, and about those only."""
    one = agent(no_space)
    assert "No space left" in runtime.run(notified(runtime, "rmdir /none; mkdir /a", one.path)).failed(1).err
    assert {number for _, number in one.calls} == {MKDIR}
    assert [document["state"]["status"] for document in one.states] == ["creating"]
    wait_for(lambda: one.ended, "end of the stream")


@pytest.mark.parametrize("error", [errno.EPERM, errno.EACCES, errno.ENOSYS], ids=errno.errorcode.get)
def test_without_userfaultfd(runtime: Caller, agent: Callable[[Decide], Agent], error: int) -> None:
    """A sandbox around the runtime may refuse what init waits by: `run`, `start` and `exec` do without it."""
    one = agent(no_space)

    def sandbox() -> None:
        refuse(USERFAULTFD, error=error)

    bundle = notified(runtime, "rmdir /none; mkdir /a", one.path)
    assert "No space left" in runtime.run(bundle, preexec_fn=sandbox).failed(1).err
    id = runtime.launch(notified(runtime, "exec sleep 60", one.path), preexec_fn=sandbox)
    assert "No space left" in runtime.exec(id, "mkdir /a", preexec_fn=sandbox).failed(1).err
    assert len(one.received(3)) == 3
    assert {number for _, number in one.calls} == {MKDIR}


@pytest.mark.not_on("runc", "crun", reason="refuses it, since its own calls would be notified")
def test_failed_execve_without_userfaultfd(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """A failure after the load is told there too, and no call but the program's is notified."""
    one = agent(lambda number: errno.EMFILE if number == EXECVE else errno.EPERM)
    bundle = notified(runtime, "true", one.path, default="SCMP_ACT_NOTIFY")
    result = runtime.run(bundle, preexec_fn=lambda: refuse(USERFAULTFD)).failed()
    assert "too many open files" in result.err.lower()
    assert {number for _, number in one.calls} == {EXECVE}


@pytest.mark.not_on("runc", "crun", reason="needs no such call")
def test_real_time_without_userfaultfd(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """A real-time program would keep the second thread from running: it is refused, and does not hang."""
    one = agent(no_space)
    bundle = notified(runtime, "echo ran", one.path)
    bundle.process["scheduler"] = {"policy": "SCHED_FIFO", "priority": 10}
    if Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():
        bundle.linux["resources"]["cpu"] = {"realtimeRuntime": 1000, "realtimePeriod": 1000000}
    runtime.run(bundle.save()).ok()
    result = runtime.run(bundle, preexec_fn=lambda: refuse(USERFAULTFD)).failed()
    assert "/linux/seccomp" in result.err
    assert "userfaultfd" in result.err
    assert result.out == ""


@pytest.mark.proves("/linux/seccomp/listenerMetadata")
def test_process_state(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """What the agent gets is the container process state: versions, pid, metadata, and the container's own state."""
    one = agent(no_space)
    bundle = notified(runtime, "mkdir /a; exec sleep 60", one.path, listenerMetadata='{"a": "\u00fc"}')
    bundle.config["annotations"] = {"org.example.long": "x" * 300_000}
    id = runtime.launch(bundle.save())
    wait_for(lambda: one.calls, "notification")
    (document,) = one.states
    state = runtime.state(id)
    assert document["ociVersion"]
    assert document["pid"] == document["state"]["pid"] == state["pid"]
    assert document["metadata"] == '{"a": "\u00fc"}'
    assert document["state"]["status"] == "creating"
    assert document["state"]["annotations"] == bundle.config["annotations"]
    for name in ("id", "bundle"):
        assert document["state"][name] == state[name]


def test_no_metadata(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """Without listenerMetadata there is none in the state."""
    one = agent(no_space)
    runtime.run(notified(runtime, "true", one.path)).ok()
    assert not one.received(1)[0].get("metadata")


@pytest.mark.not_on("runc", "crun", reason=LATER)
def test_nothing_is_sent_before_start(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """A created container has no filter yet; the agent hears of it at start."""
    one = agent(no_space)
    id = runtime.create(notified(runtime, "mkdir /a; echo $?", one.path))
    assert not one.states
    runtime.start(id)
    assert len(one.received(1)) == 1
    assert runtime.finish(id) == "1\n"


@pytest.mark.not_on("crun", reason="gives the state no pid of the process that exec adds")
def test_exec(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """A process that exec adds has a listener of its own; its pid is in the state, the container's in that of the container."""
    one = agent(no_space)
    id = runtime.launch(notified(runtime, "exec sleep 60", one.path))
    one.received(1)
    pid_file = runtime.directory / "exec.pid"
    result = runtime.exec(id, "mkdir /a", "--pid-file", pid_file)
    assert "No space left" in result.failed(1).err
    first, second = one.states
    assert first["pid"] == first["state"]["pid"] == second["state"]["pid"] == runtime.pid(id)
    assert second["pid"] == int(pid_file.read_text())
    assert second["state"]["status"] == "running"
    assert one.calls[0][1] == MKDIR


@pytest.mark.kernel
@pytest.mark.not_on("runc", "crun", reason="refuses it, since its own calls would be notified")
def test_every_call_may_be_notified(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """Every call may be notified, sendmsg, write and execve too, which hand a listener over: nothing waits for itself."""
    one = agent(no_space)
    bundle = notified(
        runtime,
        "echo on; mkdir /a",
        one.path,
        {"names": ["getpid"], "action": "SCMP_ACT_ALLOW"},
        default="SCMP_ACT_NOTIFY",
        flags=["SECCOMP_FILTER_FLAG_TSYNC"],
    )
    result = runtime.run(bundle).failed(1)
    assert (result.out, "No space left" in result.err) == ("on\n", True)
    numbers = [number for _, number in one.calls]
    assert numbers[0] == EXECVE
    assert {EXECVE, WRITE, MKDIR} <= set(numbers)
    assert SENDMSG not in numbers


@pytest.mark.not_on("runc", "crun", reason="refuses it, since its own calls would be notified")
def test_failed_execve_is_told(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """When the agent refuses the execve under a filter that notifies of everything, start says so, and nothing waits."""
    one = agent(lambda number: errno.EMFILE if number == EXECVE else errno.EPERM)
    bundle = notified(runtime, "true", one.path, default="SCMP_ACT_NOTIFY")
    result = runtime.run(bundle).failed()
    assert "too many open files" in result.err.lower()
    assert POINTER.rpartition("/")[0] in result.err
    id = runtime.create(bundle)
    assert "too many open files" in runtime.call("start", id).failed().err
    runtime.wait_status(id)
    assert {number for _, number in one.calls} == {EXECVE}


@pytest.mark.kernel
@pytest.mark.not_on("runc", "crun", reason="refuses it, since its own calls would be notified")
@pytest.mark.parametrize("action", ["ERRNO", "KILL", "KILL_PROCESS", "TRAP"])
def test_filter_that_notifies_and_stops_execve(runtime: Caller, agent: Callable[[Decide], Agent], action: str) -> None:
    """A filter that notifies, and refuses execve or kills for it, is named; nothing waits for the thread that it has killed."""
    one = agent(no_space)
    stop = {"names": ["execve", "sendmsg", "exit_group"], "action": f"SCMP_ACT_{action}"}
    bundle = notified(runtime, "true", one.path, NOTIFY_MKDIR, stop)
    words = "refuses execve" if action == "ERRNO" else "killed before the program ran"
    assert words in runtime.run(bundle, timeout=10).failed().err
    id = runtime.create(bundle)
    for verb in (("exec", id, "true"), ("exec", "--detach", id, "true"), ("start", id)):
        assert words in runtime.call(*verb, timeout=10).failed().err
    runtime.wait_status(id)


@pytest.mark.not_on("crun", reason="answers for the first process only")
def test_program_is_alone(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """The program is the only thread, has no child that it did not make, and only its own descriptors."""
    one = agent(no_space)
    id = runtime.launch(notified(runtime, "exec sleep 60", one.path))
    pid_file = runtime.directory / "exec.pid"
    runtime.call("exec", "--detach", "--pid-file", pid_file, id, "sleep", "60").ok()
    assert len(one.received(2)) == 2
    for pid in (runtime.pid(id), int(pid_file.read_text())):
        wait_for(lambda pid=pid: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "sleep")  # type: ignore[misc]
        assert os.listdir(f"/proc/{pid}/task") == [str(pid)]
        assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""
        assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]


@pytest.mark.parametrize("obstacle", ["missing", "file", "nobody listens", "datagram"])
@pytest.mark.not_on("runc", "crun", reason=LATER)
def test_no_agent(runtime: Caller, obstacle: str) -> None:
    """Without an agent at listenerPath start, run and exec fail and name the property; the program never runs."""
    import socket

    path = runtime.directory / "agent"
    if obstacle == "file":
        path.touch()
    elif obstacle != "missing":
        kind = socket.SOCK_DGRAM if obstacle == "datagram" else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as bound:
            bound.bind(str(path))
    bundle = notified(runtime, "echo ran", path)
    result = runtime.run(bundle).failed()
    assert POINTER in result.err
    assert f"connect to {path}: " in result.err
    assert result.out == ""
    assert runtime.known_ids() == []
    id = runtime.create(bundle)
    failure = runtime.call("start", id).failed()
    assert POINTER in failure.err
    assert runtime.finish(id) == ""


@pytest.mark.not_on("runc", "crun", reason=LATER)
def test_exec_without_agent(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """An agent that is gone fails the exec, and the container goes on."""
    one = agent(no_space)
    id = runtime.launch(notified(runtime, "exec sleep 60", one.path))
    one.path.unlink()
    result = runtime.exec(id, "echo ran").failed(255)
    assert POINTER in result.err
    assert result.out == ""
    assert runtime.status(id) == "running"


@pytest.mark.not_on("runc", "crun", reason="has no such limit of its own")
def test_long_path(runtime: Caller, workplace: Path) -> None:
    """listenerPath may be longer than a socket address."""
    directory = runtime.directory / ("long" * 40)
    directory.mkdir()
    with Agent(directory / "agent", no_space) as one:
        runtime.run(notified(runtime, "mkdir /a", one.path)).failed(1)
        assert len(one.states) == 1


@pytest.mark.not_on("crun", reason="connects to it all the same")
def test_path_without_notify_is_ignored(runtime: Caller) -> None:
    """Where no action is SCMP_ACT_NOTIFY, listenerPath is not looked at."""
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}
    bundle = notified(runtime, "mkdir /a; echo $?", runtime.directory / "nobody", rule)
    assert runtime.run(bundle).ok().out == "1\n"


def test_user_without_privileges(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """The same for a user without capabilities, in a user namespace."""
    one = agent(no_space)
    bundle = notified(runtime, "mkdir /tmp/a", one.path)
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["capabilities"] = {}
    bundle.linux["namespaces"].append({"type": "user"})
    for kind in ("uid", "gid"):
        bundle.linux[f"{kind}Mappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    os.chown(bundle.rootfs, 100000, 100000)
    assert "No space left" in runtime.run(bundle.save()).failed(1).err


@pytest.mark.not_on("runc", "crun", reason=LATER)
def test_killed_start_ends_init(runtime: Caller) -> None:
    """A start that is killed while the agent does not take the listener ends the container, whose program never runs."""
    import signal
    import socket
    import subprocess

    path = runtime.directory / "agent"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        bound.bind(str(path))
        bound.listen(0)
        filler = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        filler.connect(str(path))  # the queue is full: whoever connects now waits
        id = runtime.create(notified(runtime, "echo ran", path))
        start = subprocess.Popen(runtime.command("start", id), stdin=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            start.wait(1)
        start.send_signal(signal.SIGKILL)
        start.wait()
        filler.close()
    assert runtime.finish(id) == ""


@pytest.mark.not_on("runc", "crun", reason="makes no thread, or many")
def test_no_room_for_the_thread(runtime: Caller, agent: Callable[[Decide], Agent]) -> None:
    """Where the pids limit leaves no room for the second thread, start says so, and the program does not run."""
    one = agent(no_space)
    bundle = notified(runtime, "echo ran", one.path)
    bundle.linux["resources"]["pids"] = {"limit": 1}
    result = runtime.run(bundle.save()).failed()
    assert "/linux/seccomp" in result.err
    assert "the pids limit" in result.err
    assert (result.out, one.states) == ("", [])
