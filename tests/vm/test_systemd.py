"""The systemd cgroup manager, on a host that systemd runs: units, their properties, and what those do."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration import systemd
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import TAKE
from tests.integration.systemd import cgroup, show, unit_of

pytestmark = pytest.mark.vm

SLEEPER = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def scopes(runtime: Caller, busybox: Path) -> Iterator[Caller]:
    """The runtime with the systemd manager. No unit of the test's may be left at its end."""
    if not systemd.running():
        pytest.skip("needs a host that systemd runs")
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("about cgroup v2; tests/vm/test_systemd_hybrid.py is about v1")
    caller = Caller(runtime.program, runtime.directory, runtime.token, busybox, "systemd")
    yield caller
    caller.remove_all()
    assert systemd.units(runtime.token) == []


def limited(scopes: Caller, script: str = SLEEPER, **resources: Any) -> Bundle:
    return scopes.shell(script, {"linux": {"resources": resources}})


def reload() -> None:
    subprocess.run(["systemctl", "daemon-reload"], check=True, stdin=subprocess.DEVNULL, timeout=60)


def around_a_reload() -> Iterator[None]:
    """Twice: systemd reads its units again in between, and writes what it knows to their files."""
    yield
    reload()
    yield


def read(unit: str, file: str) -> str:
    return (cgroup(unit) / file).read_text().strip()


def test_init_is_in_its_scope(scopes: Caller) -> None:
    """The unit is a delegated scope with the container's process and no other; the cgroup is the unit's."""
    bundle = limited(scopes)
    id, unit = scopes.launch(bundle), unit_of(bundle)
    said = show(unit, "ActiveState", "Slice", "Delegate", "ControlGroup", "Transient", "DefaultDependencies")
    assert said["ActiveState"] == "active"
    assert (said["Slice"], said["Delegate"], said["Transient"]) == ("system.slice", "yes", "yes")
    assert said["DefaultDependencies"] == "no"
    assert said["ControlGroup"] == f"/system.slice/{unit}"
    pid = scopes.pid(id)
    assert Path(f"/proc/{pid}/cgroup").read_text() == f"0::/system.slice/{unit}\n"
    assert str(pid) in (cgroup(unit) / "cgroup.procs").read_text().split()


def test_the_default_name(scopes: Caller) -> None:
    """Without a path the unit is ocirun-ID.scope in system.slice; what no unit's name can have is escaped."""
    bundle = limited(scopes)
    del bundle.linux["cgroupsPath"]
    id = scopes.create(bundle.save(), id=f"{scopes.token}+x")
    assert show(f"ocirun-{scopes.token}\\x2bx.scope", "ActiveState", "Slice") == {
        "ActiveState": "active",
        "Slice": "system.slice",
    }
    scopes.remove(id)


def test_exec_lands_in_the_scope(scopes: Caller) -> None:
    """Another process of the container is in the same unit, also without the option: the record knows."""
    bundle = limited(scopes)
    id, unit = scopes.launch(bundle), unit_of(bundle)
    for caller in (scopes, Caller(scopes.program, scopes.directory, scopes.token, scopes.template)):
        assert caller.exec(id, "cat /proc/self/cgroup").ok().out == f"0::/system.slice/{unit}\n"
    scopes.call("exec", "--detach", id, "sleep", "77").ok()
    assert "sleep 77" in systemd.programs(cgroup(unit))


@pytest.mark.proves("/linux/resources/memory/limit")
@pytest.mark.proves("/linux/resources/memory/swap")
def test_memory_kills_at_the_limit(scopes: Caller) -> None:
    """systemd knows the limit, a reload keeps it, and what takes more is killed."""
    script = f"while [ ! -e /go ]; do sleep 0.1; done; {TAKE.format(60000000)}; echo over; {SLEEPER}"
    bundle = limited(scopes, script, memory={"limit": 24 << 20, "swap": 24 << 20, "reservation": 8 << 20})
    id, unit = scopes.launch(bundle), unit_of(bundle)
    want = {"MemoryMax": str(24 << 20), "MemorySwapMax": "0", "MemoryLow": str(8 << 20)}
    assert show(unit, *want) == want
    reload()
    assert [read(unit, f"memory.{name}") for name in ("max", "swap.max", "low")] == list(want.values())
    (bundle.rootfs / "go").touch()
    wait_for(lambda: "over" in scopes.output(id), "end of the large process")
    assert "oom_kill 0" not in read(unit, "memory.events").splitlines()


def test_every_resource_is_told_to_systemd(scopes: Caller) -> None:
    """What has a property is set there as well, so that a reload writes the same files again."""
    resources = {
        "cpu": {"shares": 2048, "quota": 12345, "period": 50000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 77},
        "blockIO": {"weight": 500},
    }
    bundle = limited(scopes, **resources)
    unit = unit_of(bundle)
    scopes.launch(bundle)
    want = {
        "CPUWeight": "79",
        "CPUQuotaPerSecUSec": "250ms",
        "CPUQuotaPeriodUSec": "50ms",
        "AllowedCPUs": "0",
        "AllowedMemoryNodes": "0",
        "TasksMax": "77",
        "IOWeight": "4950",
    }
    assert show(unit, *want) == want
    # A quota is kept as whole percents of a cpu, but written as it was given.
    assert read(unit, "cpu.max") == "12345 50000"
    reload()
    assert read(unit, "cpu.weight") == "79"
    assert read(unit, "cpu.max") in ("12345 50000", "12500 50000")
    assert (read(unit, "cpuset.cpus"), read(unit, "pids.max")) == ("0", "77")


@pytest.mark.proves("/linux/resources/pids/limit")
def test_pids_hold_after_a_reload(scopes: Caller) -> None:
    """A fork beyond the limit is refused, also when systemd has read its units again."""
    bundle = limited(scopes, pids={"limit": 6})
    id = scopes.launch(bundle)
    reload()
    fork = scopes.exec(id, "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1; wait")
    assert "can't fork" in fork.out + fork.err


@pytest.mark.parametrize("limit", [0, 1])
def test_pids_of_one_process(scopes: Caller, limit: int) -> None:
    """Init, which is in the unit when it forks, is not held up; the program is, also after a reload."""
    bundle = limited(scopes, "exec sleep 100", pids={"limit": limit})
    id, unit = scopes.launch(bundle), unit_of(bundle)
    assert read(unit, "pids.max") == "1"
    for _ in around_a_reload():
        assert show(unit, "TasksMax") == {"TasksMax": "1"}
        assert "can't fork" in scopes.exec(id, "true & wait").err
    assert scopes.exec(id, ["echo", "in"]).out == "in\n"


@pytest.mark.proves("/linux/resources/devices/*/allow")
def test_devices_hold_after_a_reload(scopes: Caller) -> None:
    """A device that no rule allows stays closed, one that a rule allows stays open."""
    fuse, kmsg = {"type": "c", "major": 10, "minor": 229}, {"type": "c", "major": 1, "minor": 11}
    rules = [
        {"allow": False, "access": "rwm"},
        *({"allow": one is fuse, **one, "access": "rw"} for one in (fuse, kmsg)),
    ]
    bundle = limited(scopes, devices=rules)
    bundle.linux["devices"] = [{"path": "/dev/fuse", **fuse}, {"path": "/dev/kmsg", **kmsg}]
    id, unit = scopes.launch(bundle.save()), unit_of(bundle)
    said = show(unit, "DevicePolicy", "DeviceAllow")
    assert said["DevicePolicy"] == "strict"
    assert "/dev/char/10:229 rw" in said["DeviceAllow"]
    assert "/dev/char/1:11 " not in said["DeviceAllow"]
    for _ in around_a_reload():
        done = scopes.exec(id, "exec 3<>/dev/fuse && echo open; echo > /dev/null && echo null; exec 3<>/dev/kmsg")
        assert done.out == "open\nnull\n"
        assert "not permitted" in done.err


def test_update_changes_both(scopes: Caller) -> None:
    """The files and the properties, so that a reload does not bring the old limit back."""
    bundle = limited(scopes, memory={"limit": 64 << 20}, pids={"limit": 50})
    id, unit = scopes.launch(bundle), unit_of(bundle)
    scopes.call("update", "--memory", "96m", "--pids-limit", "60", "--cpu-share", "512", id).ok()
    want = {"MemoryMax": str(96 << 20), "TasksMax": "60", "CPUWeight": "20"}
    for _ in around_a_reload():
        assert show(unit, *want) == want
        assert [read(unit, file) for file in ("memory.max", "pids.max", "cpu.weight")] == list(want.values())


def test_update_of_devices(scopes: Caller) -> None:
    """systemd's filter and ours take the new rules, and the old ones again."""
    fuse = {"type": "c", "major": 10, "minor": 229, "access": "rw"}
    bundle = limited(scopes, devices=[{"allow": False, "access": "rwm"}])
    bundle.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
    id = scopes.launch(bundle.save())
    for allow in (True, False):
        rules = json.dumps({"devices": [{"allow": False, "access": "rwm"}, {"allow": allow, **fuse}]})
        scopes.call("update", "--resources", "-", id, stdin=rules).ok()
        for _ in around_a_reload():
            done = scopes.exec(id, "echo > /dev/null && echo null; exec 3<>/dev/fuse && echo open")
            assert done.out.startswith("null\n")
            assert ("open" in done.out) if allow else ("not permitted" in done.err), (done.out, done.err)


def test_a_refused_update_changes_nothing(scopes: Caller) -> None:
    """Neither a file nor a property has another value when one of them is refused."""
    bundle = limited(scopes, memory={"limit": 64 << 20}, pids={"limit": 50})
    id, unit = scopes.launch(bundle), unit_of(bundle)
    before = show(unit, "MemoryMax", "TasksMax", "AllowedCPUs")
    failed = scopes.call("update", "--memory", "96m", "--pids-limit", "60", "--cpuset-cpus", "4000", id).failed()
    assert "cpuset" in failed.err
    assert show(unit, "MemoryMax", "TasksMax", "AllowedCPUs") == before
    assert [read(unit, file) for file in ("memory.max", "pids.max")] == [str(64 << 20), "50"]


def test_delete_leaves_no_unit(scopes: Caller) -> None:
    """Neither unit nor cgroup is there when delete returns; the name is free at once."""
    bundle = limited(scopes)
    for _ in range(2):
        id, unit = scopes.launch(bundle), unit_of(bundle)
        where = cgroup(unit)
        scopes.kill(id)
        scopes.wait_status(id, patience=30)
        scopes.call("delete", id).ok()
        assert systemd.units(scopes.token) == []
        assert not where.exists()


def test_run_leaves_no_unit(scopes: Caller) -> None:
    """A container in the foreground takes its unit with it; its status is the program's."""
    bundle = limited(scopes, "cat /proc/self/cgroup; exit 7")
    done = scopes.run(bundle)
    assert (done.code, done.out, done.err) == (7, f"0::/system.slice/{unit_of(bundle)}\n", "")
    assert systemd.units(scopes.token) == []


def test_pause_ps_and_kill(scopes: Caller) -> None:
    """The other verbs work on the unit's cgroup."""
    id = scopes.launch(limited(scopes, "sleep 100 & sleep 100"))
    assert len(scopes.call("ps", "--format", "json", id).ok().out.split(",")) >= 2
    scopes.call("pause", id).ok()
    assert scopes.status(id) == "paused"
    scopes.call("resume", id).ok()
    assert '"type":"stats"' in scopes.call("events", "--stats", id).ok().out.replace(" ", "")
    scopes.call("kill", "--all", id, "KILL").ok()
    scopes.wait_status(id, patience=30)


def test_delete_of_a_paused_container(scopes: Caller) -> None:
    """Suspended processes do not keep systemd from ending the unit."""
    bundle = limited(scopes)
    id, unit = scopes.launch(bundle), unit_of(bundle)
    scopes.call("pause", id).ok()
    scopes.remove(id)
    assert systemd.units(unit) == []


@pytest.mark.parametrize(
    ("slice", "prefix", "name", "place"),
    [
        ("machine.slice", "libpod", "{}", "/machine.slice/libpod-{}.scope"),
        (
            "kubepods-burstable-pod{}.slice",
            "cri-containerd",
            "{}",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{}.scope",
        ),
        ("", "", "{}", "/system.slice/{}.scope"),
        ("-.slice", "a", "{}", "/a-{}.scope"),
        ("machine.slice", "", "machine-{}.slice", "/machine.slice/machine-{}.slice"),
    ],
)
def test_where_the_unit_is(scopes: Caller, slice: str, prefix: str, name: str, place: str) -> None:
    """As podman and containerd name it, with the defaults, and as a slice."""
    slice, name, place = (one.replace("{}", scopes.token) for one in (slice, name, place))
    bundle = limited(scopes, pids={"limit": 33})
    bundle.linux["cgroupsPath"] = f"{slice}:{prefix}:{name}"
    id = scopes.launch(bundle.save())
    try:
        assert Path(f"/proc/{scopes.pid(id)}/cgroup").read_text() == f"0::{place}\n"
        assert Path(f"/sys/fs/cgroup{place}/pids.max").read_text() == "33\n"
    finally:
        scopes.remove(id)
        if scopes.token in slice:
            subprocess.run(["systemctl", "stop", slice], check=True, timeout=60)
    assert not Path(f"/sys/fs/cgroup{place}").exists()


def test_a_unit_that_is_there_is_anothers(scopes: Caller) -> None:
    """Its name is an error with the config's place, and it lives on."""
    name = f"ours-{scopes.token}"
    other = ["systemd-run", "--quiet", "--scope", f"--unit={name}", "sleep", "100"]
    process = subprocess.Popen(other, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: systemd.units(name), "unit", 30)
        bundle = limited(scopes)
        bundle.linux["cgroupsPath"] = f"system.slice:ours:{scopes.token}"
        failed = scopes.try_create(bundle.save()).failed()
        assert "/linux/cgroupsPath" in failed.err
        assert f"{name}.scope is in use" in failed.err
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        wait_for(lambda: not systemd.units(name), "end of the unit", 30)


def test_annotations_are_properties(scopes: Caller) -> None:
    """Any property of the unit, seconds as systemd's microseconds."""
    bundle = limited(scopes)
    prefix = "org.systemd.property."
    bundle.config["annotations"] = {
        f"{prefix}Description": "'a test'",
        f"{prefix}TimeoutStopSec": "7",
        f"{prefix}After": "['basic.target']",
        f"{prefix}MemoryHigh": "uint64 33554432",
    }
    unit = unit_of(bundle.save())
    scopes.launch(bundle)
    said = show(unit, "Description", "TimeoutStopUSec", "After", "MemoryHigh")
    assert said["Description"] == "a test"
    assert said["TimeoutStopUSec"] == "7s"
    assert "basic.target" in said["After"].split()
    assert said["MemoryHigh"] == "33554432"


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [("Bogus", "true", "Bogus"), ("MemoryHigh", "'much'", "MemoryHigh"), ("Delegate", "[", "GVariant")],
)
def test_a_bad_annotation_is_an_error(scopes: Caller, name: str, value: str, word: str) -> None:
    """With its place, and nothing is left."""
    bundle = limited(scopes)
    bundle.config["annotations"] = {f"org.systemd.property.{name}": value}
    failed = scopes.try_create(bundle.save()).failed()
    assert f"/annotations/org.systemd.property.{name}" in failed.err
    assert word in failed.err


@pytest.mark.parametrize("word", range(4, 12))
def test_force_clears_what_a_killed_create_left(scopes: Caller, word: int) -> None:
    """A create that is killed when it says something to systemd, whichever of its words that is: the look for the name,
    the subscription in two words, the unit, and the questions after it. The login comes before, nothing after."""
    bundle, id = limited(scopes, pids={"limit": 9}), scopes.new_id()
    inject = ["strace", "-qq", "-o", "/dev/null", "-e", f"inject=sendto:signal=KILL:when={word}"]
    command = [*inject, *scopes.command("create", "--bundle", bundle.directory, id)]
    with open(scopes.directory / "said", "wb") as said:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=60, check=False)
    assert (done.returncode == 0) == (word == 11)
    scopes.call("delete", "--force", id).ok()
    assert systemd.units(scopes.token) == []
    assert not Path(f"/sys/fs/cgroup/system.slice/{unit_of(bundle)}").exists()


def test_a_stopped_bus(scopes: Caller) -> None:
    """create fails within half a minute; delete does what it can, and systemd forgets the unit when it goes on."""
    running, other = limited(scopes), limited(scopes)
    id, unit = scopes.launch(running), unit_of(running)
    where = cgroup(unit)
    bus = int(show("dbus.service", "MainPID")["MainPID"])
    os.kill(bus, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        with ThreadPoolExecutor() as pool:  # both wait for the bus
            deleted = pool.submit(scopes.call, "delete", "--force", id, timeout=60)
            failed = scopes.try_create(other, timeout=60).failed()
            assert time.monotonic() - begin < 30
            warned = deleted.result().ok()
        assert "no answer within 10 seconds: it is stopped or overloaded" in failed.err
        assert f"systemd could not be asked to stop the unit {unit}" in warned.err
        assert not where.exists()
    finally:
        os.kill(bus, signal.SIGCONT)
    wait_for(lambda: systemd.units(scopes.token) == [], "end of the unit", 30)


def test_without_a_bus(scopes: Caller) -> None:
    """systemd's own socket serves root too."""
    bundle, direct = limited(scopes, pids={"limit": 9}), {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/systemd/private"}
    id, unit = scopes.create(bundle, env=direct), unit_of(bundle)
    assert show(unit, "TasksMax") == {"TasksMax": "9"}
    scopes.call("delete", "--force", id, env=direct).ok()
    assert systemd.units(scopes.token) == []


@pytest.mark.proves("/linux/resources/cpu/idle")
def test_an_idle_scope(scopes: Caller) -> None:
    """An idle scope stays idle when systemd reads its units again. The weight, which an idle cgroup does not have, is left out."""
    bundle = limited(scopes, cpu={"idle": 1, "shares": 2048})
    id, unit = scopes.launch(bundle), unit_of(bundle)
    for _ in around_a_reload():
        assert read(unit, "cpu.idle") == "1"
    scopes.call("update", "--cpu-idle", "0", id).ok()
    for _ in around_a_reload():
        assert read(unit, "cpu.idle") == "0"


def test_the_runtime_is_not_charged(scopes: Caller) -> None:
    """/bin/true fits in half a MiB."""
    assert scopes.run(limited(scopes, "true", memory={"limit": 512 << 10})).code == 0
