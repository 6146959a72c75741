"""The systemd cgroup manager where systemd has v1 hierarchies: `conformance/machines/vm.py --cgroups=hybrid`."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import systemd
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import value
from tests.integration.systemd import show, unit_of
from tests.vm.test_systemd import SLEEPER, limited, reload

pytestmark = pytest.mark.vm


def directories(unit: str) -> list[str]:
    """The hierarchies that have a cgroup of this unit."""
    return sorted(path.name for path in Path("/sys/fs/cgroup").iterdir() if list(path.glob(f"system.slice/{unit}")))


@pytest.fixture
def scopes(runtime: Caller, busybox: Path) -> Iterator[Caller]:
    """The runtime with the systemd manager. No unit of the test's may be left at its end."""
    if not systemd.running() or Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("needs a host whose systemd has v1 hierarchies")
    caller = Caller(runtime.program, runtime.directory, runtime.token, busybox, "systemd")
    yield caller
    caller.remove_all()
    assert systemd.units(runtime.token) == []


def test_one_unit_in_every_hierarchy(scopes: Caller) -> None:
    """systemd makes its cgroups, the runtime those that it leaves out; delete takes all of them."""
    bundle = limited(scopes)
    id, unit = scopes.launch(bundle), unit_of(bundle)
    lines = [line.split(":", 2) for line in Path(f"/proc/{scopes.pid(id)}/cgroup").read_text().splitlines()]
    outside = [names for _, names, path in lines if path != f"/system.slice/{unit}"]
    assert outside == []
    assert {"cpuset", "freezer", "memory", "systemd", "unified"} <= set(directories(unit))
    scopes.remove(id)
    assert directories(unit) == []


def test_memory_kills_at_the_limit(scopes: Caller) -> None:
    """systemd knows the limit, a reload keeps it, and what takes more is killed."""
    script = f"head -c 200000000 /dev/zero | tail -c 200000000 >/dev/null; echo over; {SLEEPER}"
    bundle = limited(scopes, script, memory={"limit": 24 << 20}, pids={"limit": 30}, cpu={"shares": 512})
    id, unit = scopes.create(bundle), unit_of(bundle)
    want = {"MemoryLimit": str(24 << 20), "TasksMax": "30", "CPUShares": "512"}
    assert show(unit, *want) == want
    reload()
    assert value(scopes, id, "memory", "memory.limit_in_bytes", "") == str(24 << 20)
    assert value(scopes, id, "cpu", "cpu.shares", "") == "512"
    scopes.start(id)
    wait_for(lambda: "over" in scopes.output(id), "end of the large process")
    assert "oom_kill 0" not in value(scopes, id, "memory", "memory.oom_control", "").splitlines()


def test_devices_hold_after_a_reload(scopes: Caller) -> None:
    """A device that no rule allows stays closed, one that a rule allows stays open."""
    fuse = {"type": "c", "major": 10, "minor": 229}
    for allow, script in ((True, "exec 3<>/dev/fuse && echo open"), (False, "exec 3<>/dev/fuse || echo closed")):
        bundle = limited(scopes, devices=[{"allow": False, "access": "rwm"}, {"allow": allow, **fuse, "access": "rw"}])
        bundle.linux["devices"] = [{"path": "/dev/fuse", **fuse}]
        id = scopes.launch(bundle.save())
        for _ in range(2):
            done = scopes.exec(id, script)
            assert (done.out == "open\n") if allow else ("not permitted" in done.err), (done.out, done.err)
            reload()


def test_update_changes_both(scopes: Caller) -> None:
    """The files and the properties; a program that opens devices all the time sees none refused."""
    script = "while :; do : </dev/null || echo refused; done"
    bundle = limited(scopes, script, memory={"limit": 64 << 20})
    id, unit = scopes.launch(bundle), unit_of(bundle)
    for megabytes in range(90, 97):
        scopes.call("update", "--memory", f"{megabytes}m", "--cpuset-cpus", "0", id).ok()
    assert show(unit, "MemoryLimit") == {"MemoryLimit": str(96 << 20)}
    assert value(scopes, id, "memory", "memory.limit_in_bytes", "") == str(96 << 20)
    assert value(scopes, id, "cpuset", "cpuset.cpus", "") == "0"
    assert scopes.status(id) == "running"
    assert scopes.output(id) + scopes.errors(id) == ""
    subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=60)
    assert value(scopes, id, "memory", "memory.limit_in_bytes", "") == str(96 << 20)
