"""What a container's cgroups are for beside limits: to find its processes, to stop them, to end them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import Counters

pytestmark = [pytest.mark.vm, pytest.mark.cgroups]

SHARED = [{"type": kind} for kind in ("network", "ipc", "uts", "mount")]
DEAF = "trap '' TERM; trap 'echo first' USR1; (trap 'echo child; exit' USR1; echo up; while :; do sleep 0.1; done) & while :; do wait; done"

VIEW = """cut -d: -f3 /proc/self/cgroup | sort -u
cd /sys/fs/cgroup; cat pids/pids.max pids.max 2>/dev/null
mkdir x pids/x 2>/dev/null || echo no"""


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if snapshot.stat_fields(pid)[:1] not in ([], ["Z"])]


def test_kill_all(runtime: Caller) -> None:
    """kill --all: a signal reaches the first process and the others; SIGKILL ends them all."""
    id = runtime.launch(runtime.shell(DEAF))
    wait_for(lambda: "up" in runtime.output(id), "two processes")
    pids = [runtime.first_pid(id), *snapshot.descendants(runtime.pid(id))]
    runtime.call("kill", "--all", id, "USR1").ok()
    wait_for(lambda: {"first", "child"} <= set(runtime.output(id).split()), "both answers")
    runtime.call("kill", "--all", id, "KILL").ok()
    runtime.wait_status(id)
    assert alive(pids) == []


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_kill_all_in_the_hosts_pid_namespace(runtime: Caller, paused: bool) -> None:
    """kill --all KILL of a container without its own pid namespace: its first process and its descendants end, paused or not."""
    bundle = runtime.shell("sleep 100 & (setsid sleep 100 &) ; echo up; sleep 100", {"linux": {"namespaces": SHARED}})
    id = runtime.launch(bundle)
    wait_for(lambda: "up" in runtime.output(id), "processes")
    wait_for(lambda: len(pids_of(runtime, id)) >= 3, "two children")
    pids = pids_of(runtime, id)
    if paused:
        runtime.call("pause", id).ok()
    runtime.call("kill", "--all", id, "KILL").ok()
    wait_for(lambda: not alive(pids), "end of all")
    runtime.wait_status(id)


def pids_of(runtime: Caller, id: str) -> list[int]:
    return [int(word) for word in (Counters(runtime, id).directory("pids") / "cgroup.procs").read_text().split()]


def test_kill_all_of_what_outlived_the_first_process(runtime: Caller) -> None:
    """kill --all KILL of a stopped container without its own pid namespace: processes that outlived the first end too."""
    bundle = runtime.shell(
        "(setsid sleep 100 &); (setsid sleep 100 &); echo up; read x < /go", {"linux": {"namespaces": SHARED}}
    )
    os.mkfifo(bundle.rootfs / "go")
    id = runtime.launch(bundle)
    wait_for(lambda: "up" in runtime.output(id), "processes")
    pids = pids_of(runtime, id)
    (bundle.rootfs / "go").write_text("go\n")
    runtime.wait_status(id)
    assert alive(pids)
    runtime.call("kill", "--all", id, "KILL").ok()
    wait_for(lambda: not alive(pids), "end of all")


def test_kill_all_beside_another_in_one_pid_namespace(runtime: Caller) -> None:
    """kill --all KILL of a container in another's pid namespace: its processes end and the other's live on."""
    other = runtime.launch(runtime.shell("sleep 100 & exec sleep 100"))
    namespaces = [*SHARED, {"type": "pid", "path": f"/proc/{runtime.first_pid(other)}/ns/pid"}]
    id = runtime.launch(runtime.shell("sleep 100 & echo up; exec sleep 100", {"linux": {"namespaces": namespaces}}))
    wait_for(lambda: "up" in runtime.output(id), "processes")
    mine, theirs = pids_of(runtime, id), pids_of(runtime, other)
    runtime.call("kill", "--all", id, "KILL").ok()
    wait_for(lambda: not alive(mine), "end of all")
    assert alive(theirs) == theirs
    assert runtime.status(other) == "running"


def test_delete_removes_all(runtime: Caller) -> None:
    """delete --force: all processes and cgroups are gone, including those the container created; in the host's pid namespace too."""
    bundle = runtime.shell("(setsid sleep 100 &); echo up; exec sleep 100", {"linux": {"namespaces": SHARED}})
    id = runtime.launch(bundle)
    wait_for(lambda: "up" in runtime.output(id), "processes")
    pids = pids_of(runtime, id)
    below = Counters(runtime, id).directory("pids") / "below/deeper"
    below.mkdir(parents=True)
    (below / "cgroup.procs").write_text(str(pids[-1]))
    assert snapshot.cgroups(runtime.token)
    runtime.remove(id)
    assert alive(pids) == []
    assert snapshot.cgroups(runtime.token) == set()


@pytest.mark.proves("/linux/cgroupsPath")
def test_in_its_cgroup_everywhere(runtime: Caller) -> None:
    """cgroupsPath: the first process and exec's are in the container's cgroup in every hierarchy that has one, and in no other."""
    id = runtime.launch(runtime.sleeper())
    mine = Path(f"/proc/{runtime.first_pid(id)}/cgroup").read_text()
    assert all(runtime.token in line for line in mine.splitlines() if not line.startswith("0::/../"))
    assert runtime.exec(id, "cat /proc/self/cgroup").ok().out == mine
    assert os.readlink(f"/proc/{runtime.first_pid(id)}/ns/cgroup") == os.readlink("/proc/self/ns/cgroup")


@pytest.mark.proves("/linux/namespaces")
def test_the_view_of_a_cgroup_namespace(runtime: Caller) -> None:
    """A cgroup namespace: the container sees its own cgroup as the root, in /proc and in its cgroup mount, with its own limits."""
    bundle = runtime.shell(VIEW, {"linux": {"resources": {"pids": {"limit": 77}}}})
    bundle.linux["namespaces"].append({"type": "cgroup"})
    assert runtime.run(bundle.save()).ok().out.split() == ["/", "77", "no"]
