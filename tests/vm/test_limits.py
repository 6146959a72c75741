"""What limits do to a container's processes: on pure v2 under systemd, and with whatever cgroups the host has."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.caller import Caller, wait_for
from tests.integration.test_limits import limited, value

pytestmark = pytest.mark.vm

BUSY = "while :; do :; done"


def counted(text: str, name: str) -> int:
    """A number of a file with lines "name number"."""
    return next(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == name)


@pytest.mark.proves("/linux/resources/memory/limit")
def test_the_oom_killer_counts(runtime: Caller) -> None:
    """What takes more memory than the limit is killed, and the container's own counter says so; the rest lives on."""
    script = "head -c 200000000 /dev/zero | tail -c 200000000 >/dev/null; echo survived; sleep 100"
    id = runtime.launch(limited(runtime, script, memory={"limit": 24 << 20, "swap": 24 << 20}))
    wait_for(lambda: "survived" in runtime.output(id), "end of the large process", 60)
    assert counted(value(runtime, id, "memory", "memory.oom_control", "memory.events"), "oom_kill") >= 1
    assert runtime.status(id) == "running"


@pytest.mark.proves("/linux/resources/cpu/cpus")
def test_a_container_stays_on_its_cpu(runtime: Caller) -> None:
    """The kernel lets its processes run on the named cpu alone."""
    last = max(os.sched_getaffinity(0))
    id = runtime.launch(limited(runtime, "sleep 100", cpu={"cpus": str(last)}))
    assert os.sched_getaffinity(runtime.pid(id)) == {last}
    assert f"Cpus_allowed_list:\t{last}\n" in runtime.exec(id, "cat /proc/self/status").ok().out


def processor_time(runtime: Caller, id: str) -> int:
    """In units of the cgroup version's own."""
    text = value(runtime, id, "cpuacct", "cpuacct.usage", "cpu.stat")
    return int(text) if text.isdigit() else counted(text, "usage_usec")


@pytest.mark.proves("/linux/resources/cpu/shares")
def test_shares_are_a_proportion(runtime: Caller) -> None:
    """Of two busy containers on one cpu, the one with eight times the shares gets several times the time."""
    cpu = str(max(os.sched_getaffinity(0)))
    ids = [runtime.launch(limited(runtime, BUSY, cpu={"shares": n, "cpus": cpu})) for n in (2048, 256)]
    before = [processor_time(runtime, id) for id in ids]
    time.sleep(4)
    more, less = (processor_time(runtime, id) - was for id, was in zip(ids, before, strict=True))
    assert more > 3 * less > 0


@pytest.mark.proves("/linux/resources/blockIO/throttleReadBpsDevice")
def test_a_disk_is_read_no_faster_than_allowed(runtime: Caller) -> None:
    """4 MiB at 1 MiB a second take four seconds, where without the limit they take a moment."""
    disk = os.environ.get("OCIRUN_DISK")
    if not disk:
        pytest.skip("needs a disk that is free to be read: OCIRUN_DISK")
    number = os.stat(disk).st_rdev
    device = {"major": os.major(number), "minor": os.minor(number)}
    seconds = []
    for rate in (1 << 20, 1 << 30):
        script = "cd /proc; cat uptime; dd if=/disk of=/dev/null bs=64k count=64 2>/dev/null || echo bad; cat uptime"
        bundle = limited(runtime, script, blockIO={"throttleReadBpsDevice": [{**device, "rate": rate}]})
        bundle.linux["devices"] = [{"path": "/disk", "type": "b", **device}]
        bundle.linux["resources"]["devices"] = [{"allow": True, "type": "b", **device, "access": "r"}]
        begin, _, end, _ = runtime.run(bundle.save()).ok().out.split()
        seconds.append(float(end) - float(begin))
    assert 3 < seconds[0] < 8
    assert seconds[1] < seconds[0] / 2


def test_the_process_is_born_in_its_cgroup(runtime: Caller) -> None:
    """On v2 by CLONE_INTO_CGROUP: no moment in which it is charged to another, and no wait for the kernel's lock."""
    if not any(line.startswith("0::") for line in Path("/proc/self/cgroup").read_text().splitlines()):
        pytest.skip("the machine has no cgroup v2")
    calls = runtime.directory / "calls"
    run = runtime.command("run", "--bundle", runtime.shell("cat /proc/self/cgroup").directory, runtime.new_id())
    trace = ["strace", "-f", "-qq", "-e", "trace=clone3", "-o", str(calls)]
    done = subprocess.run([*trace, *run], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert runtime.token in done.stdout
    assert "CLONE_INTO_CGROUP" in calls.read_text()


def test_systemd_leaves_a_delegated_cgroup_alone(runtime: Caller, delegated: Path) -> None:
    """A container below a delegated service keeps its limits when systemd reloads and other units come and go."""
    path = f"/{delegated.relative_to('/sys/fs/cgroup')}/{runtime.token}"
    bundle = limited(runtime, "sleep 100", pids={"limit": 6}, memory={"limit": 64 << 20})
    bundle.linux["cgroupsPath"] = path
    id = runtime.launch(bundle.save())
    for command in (["systemctl", "daemon-reload"], ["systemd-run", "--quiet", "--wait", "-p", "CPUWeight=50", "true"]):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)
    assert value(runtime, id, "memory", "", "memory.max") == str(64 << 20)
    fork = runtime.exec(id, "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1; wait")
    assert "can't fork" in fork.out + fork.err
    runtime.remove(id)
    assert not Path(f"/sys/fs/cgroup{path}").exists()
