"""What few configs ask for of the process, by what the kernel then says: scheduling, memory's nodes, personality."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Config
from tests.integration.caller import Caller

RESET_ON_FORK = 0x40000000
SYS_PERSONALITY, SYS_SET_MEMPOLICY, SYS_IOPRIO_GET, SYS_SCHED_GETATTR = 135, 238, 252, 315  # x86-64
WHO_PROCESS = 1
LINUX, LINUX32 = 0, 8
USER_NAMESPACE = {
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")],
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}],
    }
}
ours = pytest.mark.not_on("runc", "crun", reason="older than the property, or words it differently")


def kernel(*arguments: Any) -> int:
    """A system call, which must succeed."""
    result = ctypes.CDLL(None, use_errno=True).syscall(*arguments)
    assert result >= 0, os.strerror(ctypes.get_errno())
    return result


def scheduled(runtime: Caller, wanted: dict[str, Any], change: Config | None = None) -> int:
    """The pid of a container's program with this scheduler."""
    process = (change or {}).get("process", {}) | {"scheduler": wanted}
    return runtime.pid(runtime.launch(runtime.sleeper({**(change or {}), "process": process})))


def io_priority(pid: int) -> tuple[int, int]:
    """(class, level)"""
    value = kernel(SYS_IOPRIO_GET, WHO_PROCESS, pid)
    return value >> 13, value & 0x1FFF


def said(result_of: str, name: str) -> str:
    """A line of /proc/PID/status."""
    return dict(line.split(":\t") for line in result_of.splitlines())[name]


@ours
@pytest.mark.proves("/process/scheduler/policy")
@pytest.mark.proves("/process/scheduler/nice")
@pytest.mark.parametrize(
    ("policy", "number", "nice"),
    [("SCHED_OTHER", os.SCHED_OTHER, 7), ("SCHED_OTHER", os.SCHED_OTHER, -3), ("SCHED_BATCH", os.SCHED_BATCH, 5)],
)
def test_policy_and_nice(runtime: Caller, policy: str, number: int, nice: int) -> None:
    """The program has the policy and the nice value of the config, and so has one of exec."""
    wanted = {"scheduler": {"policy": policy, "nice": nice}}
    id = runtime.launch(runtime.sleeper({"process": wanted}))
    pid = runtime.pid(id)
    assert (os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)) == (number, nice)
    fields = runtime.exec(id, ["cat", "/proc/self/stat"]).ok().out.rpartition(") ")[2].split()
    assert (int(fields[38]), int(fields[16])) == (number, nice)


@ours
@pytest.mark.proves("/process/scheduler")
@pytest.mark.proves("/process/scheduler/flags")
def test_idle_and_reset_on_fork(runtime: Caller) -> None:
    """A flag holds too: children do not inherit the policy."""
    pid = scheduled(runtime, {"policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_RESET_ON_FORK"]})
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE | RESET_ON_FORK


@ours
@pytest.mark.proves("/process/scheduler/priority")
@pytest.mark.parametrize("policy", ["SCHED_FIFO", "SCHED_RR"])
def test_real_time(runtime: Caller, policy: str) -> None:
    """A real-time policy has its priority, where the cgroup has time for it."""
    cpu = {"realtimeRuntime": 1000, "realtimePeriod": 1000000}
    change = {"linux": {"resources": {"cpu": cpu if Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() else {}}}}
    pid = scheduled(runtime, {"policy": policy, "priority": 10}, change)
    assert os.sched_getscheduler(pid) == getattr(os, policy)
    assert os.sched_getparam(pid).sched_priority == 10


@ours
def test_real_time_that_the_cgroup_has_no_time_for(runtime: Caller) -> None:
    """The refusal names the property and what is missing; nothing stays."""
    if not Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():
        pytest.skip("the kernel has no group scheduling for real time on v1")
    bundle = runtime.bundle({"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 1}}})
    err = runtime.try_create(bundle).failed(1).err
    assert "/process/scheduler: schedule by SCHED_FIFO, priority 1: sched_setattr: operation not permitted" in err
    assert "realtimeRuntime" in err
    assert runtime.known_ids() == []


@ours
@pytest.mark.proves("/process/scheduler/runtime")
@pytest.mark.proves("/process/scheduler/deadline")
@pytest.mark.proves("/process/scheduler/period")
def test_deadline(runtime: Caller) -> None:
    """SCHED_DEADLINE has its three times; without the flag of reset the program could start no child."""
    times = {"runtime": 1_000_000, "deadline": 20_000_000, "period": 50_000_000}
    wanted = {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"], **times}
    text = Path(f"/proc/{scheduled(runtime, wanted)}/sched").read_text()
    found = {name: int(value) for name, value in re.findall(r"^(policy|dl\.\w+)\s*:\s*(\d+)", text, re.MULTILINE)}
    assert found["policy"] == 6
    pid = scheduled(runtime, wanted)
    assert attributes_of(pid) == tuple(times.values())


def attributes_of(pid: int) -> tuple[int, ...]:
    """runtime, deadline, period of sched_getattr(2)."""
    buffer = ctypes.create_string_buffer(56)
    kernel(SYS_SCHED_GETATTR, pid, buffer, 56, 0)
    return tuple(int.from_bytes(buffer.raw[at : at + 8], "little") for at in (24, 32, 40))


@pytest.mark.proves_operation("scheduler")
@ours
@pytest.mark.parametrize("wanted", [{"policy": "SCHED_BATCH", "nice": -5}, {"policy": "SCHED_OTHER", "nice": -1}])
def test_scheduler_in_a_user_namespace(runtime: Caller, wanted: dict[str, Any]) -> None:
    """The parent sets it, since init has lost the privilege by then."""
    pid = scheduled(runtime, wanted, USER_NAMESPACE)
    assert os.getpriority(os.PRIO_PROCESS, pid) == wanted["nice"]
    assert os.sched_getscheduler(pid) == getattr(os, wanted["policy"])


@ours
def test_scheduler_that_is_refused_to_a_user_namespace(runtime: Caller) -> None:
    """What the parent cannot do is worded like what init cannot do."""
    wanted = {"scheduler": {"policy": "SCHED_ISO"}}
    for change in ({}, USER_NAMESPACE):
        err = runtime.try_create(runtime.bundle({**change, "process": wanted})).failed(1).err
        assert "/process/scheduler: schedule by SCHED_ISO" in err
        assert "invalid argument; Linux reserves the name and has no such policy" in err


@pytest.mark.proves_operation("io_priority")
@ours
@pytest.mark.proves("/process/ioPriority")
@pytest.mark.proves("/process/ioPriority/class")
@pytest.mark.proves("/process/ioPriority/priority")
@pytest.mark.parametrize(
    ("name", "number", "level"), [("IOPRIO_CLASS_BE", 2, 6), ("IOPRIO_CLASS_IDLE", 3, 0), ("IOPRIO_CLASS_RT", 1, 3)]
)
@pytest.mark.parametrize("change", [{}, USER_NAMESPACE], ids=["plain", "user"])
def test_io_priority(runtime: Caller, name: str, number: int, level: int, change: Config) -> None:
    """Class and level are the config's, in a user namespace too."""
    bundle = runtime.sleeper({**change, "process": {"ioPriority": {"class": name, "priority": level}}})
    assert io_priority(runtime.pid(runtime.launch(bundle))) == (number, level)


@pytest.mark.proves("/linux/personality")
@pytest.mark.proves("/linux/personality/domain")
@pytest.mark.parametrize(("domain", "machine"), [("LINUX32", "i686"), ("LINUX", "x86_64")])
@pytest.mark.not_on("runc", reason="this version does not know it")
def test_personality(runtime: Caller, domain: str, machine: str) -> None:
    """LINUX32 makes the kernel tell of a 32-bit machine, to the first program and to those of exec; LINUX does not."""
    other = LINUX if domain == "LINUX32" else LINUX32
    options = {"preexec_fn": lambda: kernel(SYS_PERSONALITY, other)}
    id = runtime.launch(runtime.sleeper({"linux": {"personality": {"domain": domain}}}))
    assert runtime.exec(id, ["uname", "-m"], **options).ok().out == f"{machine}\n"
    bundle = runtime.shell("uname -m", {"linux": {"personality": {"domain": domain}}})
    assert runtime.run(bundle, **options).ok().out == f"{machine}\n"


@ours
@pytest.mark.proves("/linux/personality/flags")
def test_personality_flags(runtime: Caller) -> None:
    """The spec defines none: one warning says so, and the domain holds."""
    bundle = runtime.shell("uname -m", {"linux": {"personality": {"domain": "LINUX32", "flags": ["X"]}}})
    result = runtime.run(bundle).ok()
    assert result.out == "i686\n"
    assert result.err.count("/linux/personality/flags") == 1


@ours
@pytest.mark.proves("/linux/memoryPolicy")
@pytest.mark.proves("/linux/memoryPolicy/mode")
@pytest.mark.proves("/linux/memoryPolicy/nodes")
@pytest.mark.proves("/linux/memoryPolicy/flags")
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_BIND", "nodes": "0-0", "flags": ["MPOL_F_STATIC_NODES"]}, "bind=static:0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "interleave=relative:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, "prefer (many):0"),
        ({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}, "weighted interleave:0"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
    ],
    ids=lambda value: value if isinstance(value, str) else "policy",
)
def test_memory_policy(runtime: Caller, policy: dict[str, Any], shown: str) -> None:
    """The kernel shows the policy for the memory of the first program and of one of exec, whatever the caller's own."""
    options = {"preexec_fn": lambda: kernel(SYS_SET_MEMPOLICY, 3, ctypes.byref(ctypes.c_ulong(1)), 64)}
    id = runtime.launch(runtime.sleeper({"linux": {"memoryPolicy": policy}}), **options)
    for text in (
        Path(f"/proc/{runtime.pid(id)}/numa_maps").read_text(),
        runtime.exec(id, ["cat", "/proc/self/numa_maps"], **options).ok().out,
    ):
        assert all(re.match(rf"[0-9a-f]+ {re.escape(shown)}( |$)", line) for line in text.splitlines()), text


@ours
def test_memory_policy_of_a_missing_node(runtime: Caller) -> None:
    """The refusal says where to look."""
    bundle = runtime.bundle({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "700"}}})
    err = runtime.try_create(bundle).failed(1).err
    assert "/linux/memoryPolicy: take memory by MPOL_BIND on the nodes 700: set_mempolicy: invalid argument" in err


@ours
@pytest.mark.parametrize(("nodes", "problem"), [("0-999999999", "0-999999999"), ("2000", "2000")])
def test_memory_policy_of_too_many_nodes(runtime: Caller, nodes: str, problem: str) -> None:
    """A list is bounded before it is written out."""
    bundle = runtime.bundle({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": nodes}}})
    assert f"/linux/memoryPolicy/nodes: '{problem}' in " in runtime.try_create(bundle).failed(1).err


def affinity(runtime: Caller, wanted: dict[str, str], *, cpus: str = "0-1") -> str:
    """The CPUs of a program of exec that asks for these, in a cgroup of `cpus`."""
    id = runtime.launch(runtime.sleeper({"linux": {"resources": {"cpu": {"cpus": cpus}}}}))
    process = {
        "cwd": "/",
        "args": ["cat", "/proc/self/status"],
        "env": ["PATH=/bin"],
        "user": {"uid": 0, "gid": 0},
        "execCPUAffinity": wanted,
    }
    file = runtime.directory / "process.json"
    file.write_text(json.dumps(process))
    return said(runtime.call("exec", "--process", file, id).ok().out, "Cpus_allowed_list")


@ours
@pytest.mark.proves("/process/execCPUAffinity")
@pytest.mark.proves("/process/execCPUAffinity/final")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one CPU leaves no choice")
def test_final_affinity(runtime: Caller) -> None:
    """A program of exec runs on the CPUs of `final`; the first program takes no notice."""
    assert affinity(runtime, {"initial": "0", "final": "1"}) == "1"
    assert affinity(runtime, {"final": "0"}) == "0"
    bundle = runtime.shell("cat /proc/self/status", {"process": {"execCPUAffinity": {"initial": "0", "final": "0"}}})
    assert said(runtime.run(bundle).ok().out, "Cpus_allowed_list") == "0-1"


@ours
@pytest.mark.proves("/process/execCPUAffinity/initial")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one CPU leaves no choice")
def test_initial_affinity(runtime: Caller) -> None:
    """`initial` holds before the cgroup: since Linux 6.2 it stays where the cpuset allows it, and is not touched again."""
    assert affinity(runtime, {"initial": "1"}) in ("1", "0-1")
    assert affinity(runtime, {}) == "0-1"
    bundle = runtime.sleeper({"process": {"execCPUAffinity": {"initial": "0"}}})
    id = runtime.launch(bundle)
    trace = runtime.directory / "calls"
    command = ["strace", "-f", "-o", str(trace), "-e", "trace=sched_setaffinity,clone3,write", *runtime.command()]
    subprocess.run([*command, "exec", id, "true"], check=True, timeout=60)
    calls = [line.split(maxsplit=1)[1].split("(")[0] for line in trace.read_text().splitlines() if "(" in line]
    assert calls.count("sched_setaffinity") == 1
    assert "clone3" in calls[calls.index("sched_setaffinity") :]


@ours
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"process": {"apparmorProfile": "box"}}, "/process/apparmorProfile: 'box' cannot be applied: AppArmor is not"),
        ({"process": {"selinuxLabel": "a:b:c:s0"}}, "/process/selinuxLabel: 'a:b:c:s0' cannot be applied: SELinux is"),
        ({"linux": {"mountLabel": "a:b:c:s0"}}, "/linux/mountLabel: 'a:b:c:s0' cannot be applied: SELinux is not"),
        ({"linux": {"intelRdt": {"closID": "x"}}}, "/linux/intelRdt: cannot be applied: no resctrl file system is"),
    ],
)
def test_refused_where_the_host_has_it_not(runtime: Caller, change: Config, words: str) -> None:
    """create and validate refuse at the same place, and nothing is made."""
    from runtime.host import confinement

    there = {
        "AppArmor": confinement.has_apparmor(),
        "SELinux": confinement.has_selinux(),
        "resctrl": confinement.resctrl_mount() is not None,
    }
    if any(there[name] for name in there if name in words):
        pytest.skip("the host has it")
    bundle = runtime.bundle(change)
    assert words in runtime.try_create(bundle).failed(1).err
    assert runtime.known_ids() == []
    assert words in runtime.call("validate", bundle.directory).failed(1).out


@ours
@pytest.mark.parametrize("flag", ["--apparmor", "--process-label"])
def test_exec_refuses_labels_too(runtime: Caller, flag: str) -> None:
    """A label for a further program is refused where its module is absent."""
    from runtime.host import confinement

    if confinement.has_apparmor() or confinement.has_selinux():
        pytest.skip("the host has it")
    id = runtime.launch(runtime.sleeper())
    assert "is not enabled on this host" in runtime.exec(id, ["true"], flag, "box").failed(255).err


RESCTRL = {
    "closID": "one",
    "schemata": ["L3:0=f"],
    "l3CacheSchema": "L3:0=f",
    "memBwSchema": "MB:0=70",
    "enableMonitoring": True,
}


@ours
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.proves(f"/linux/intelRdt/{name}")) for name in RESCTRL]
)
def test_cache_and_bandwidth_are_refused_without_resctrl(runtime: Caller, name: str) -> None:
    """No machine of the tests has resctrl: what is asked for of it is refused; the plan's goldens hold what it would do."""
    from runtime.host import confinement

    if confinement.resctrl_mount() is not None:
        pytest.skip("the host has resctrl")
    result = runtime.try_create(runtime.bundle({"linux": {"intelRdt": {name: RESCTRL[name]}}})).failed(1)
    assert "/linux/intelRdt: cannot be applied: no resctrl file system is" in result.err
