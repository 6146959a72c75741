"""The systemd cgroup manager of an ordinary user: units of the user's own systemd, from inside and from outside of it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import systemd
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for
from tests.integration.systemd import cgroup, show, unit_of

SLEEPER = "echo ready; trap 'exit 0' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def scopes(runtime: Caller, busybox: Path, in_machine: str) -> Iterator[Caller]:
    """The runtime with the systemd manager. No unit of the test's may be left at its end."""
    caller = Caller(runtime.program, runtime.directory, runtime.token, busybox, "systemd")
    yield caller
    caller.remove_all()
    assert systemd.units(runtime.token, user=True) == []


def rootless(caller: Caller, script: str, **resources: object) -> Bundle:
    """A bundle of `ocirun spec --rootless`, with a unit's name as its path."""
    command = [caller.program, "spec", "--rootless", "--file", "-"]
    config = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    config["process"] |= {"terminal": False, "args": ["sh", "-c", script]}
    config["linux"] |= {"resources": resources, "cgroupsPath": f"user.slice:ocirun-test:{caller.new_id()}"}
    return caller.bundle(config=config)


@pytest.mark.user_session
def test_the_whole_cycle(scopes: Caller) -> None:
    """A scope below the user's systemd, with its limits; exec enters it, delete takes it away."""
    bundle = rootless(scopes, SLEEPER, memory={"limit": 64 << 20}, pids={"limit": 20}, cpu={"shares": 512})
    id, unit = scopes.launch(bundle), unit_of(bundle)
    wait_for(lambda: "ready" in scopes.output(id), "output", 30)
    said = show(unit, "ControlGroup", "MemoryMax", "TasksMax", "CPUWeight", "Delegate", user=True)
    uid = os.getuid()
    assert said == {
        "ControlGroup": f"/user.slice/user-{uid}.slice/user@{uid}.service/user.slice/{unit}",
        "MemoryMax": str(64 << 20),
        "TasksMax": "20",
        "CPUWeight": "20",
        "Delegate": "yes",
    }
    where = cgroup(unit, user=True)
    assert str(scopes.pid(id)) in (where / "cgroup.procs").read_text().split()
    subprocess.run(["systemctl", "--user", "daemon-reload"], check=True, timeout=60)
    assert (where / "memory.max").read_text() == f"{64 << 20}\n"
    scopes.call("exec", "--detach", id, "sleep", "55").ok()
    assert "sleep 55" in systemd.programs(where)
    scopes.call("update", "--memory", "96m", id).ok()
    assert show(unit, "MemoryMax", user=True)["MemoryMax"] == str(96 << 20)
    assert (where / "memory.max").read_text() == f"{96 << 20}\n"
    scopes.call("delete", "--force", id, reaping=True).ok()
    assert systemd.units(scopes.token, user=True) == []
    assert not where.exists()


@pytest.mark.user_session
def test_a_limit_holds(scopes: Caller) -> None:
    """The user's systemd has the controllers delegated, so that a limit is the kernel's."""
    done = scopes.run(rootless(scopes, "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1; wait", pids={"limit": 4}))
    assert "can't fork" in done.out + done.err


@pytest.mark.user_session
def test_the_environment_may_be_gone(scopes: Caller) -> None:
    """delete finds the bus that create used, as a manager's clean-up that has no session in its environment."""
    id = scopes.launch(rootless(scopes, SLEEPER))
    scopes.kill(id)
    scopes.wait_status(id, patience=30)
    scopes.call("delete", id, env={"DBUS_SESSION_BUS_ADDRESS": "", "XDG_RUNTIME_DIR": "/nowhere"}).ok()
    assert systemd.units(scopes.token, user=True) == []


@pytest.mark.user_session
def test_no_bus(scopes: Caller) -> None:
    """Without the user's bus, each place that was tried, and what to do."""
    bundle = rootless(scopes, SLEEPER)
    environment = {"DBUS_SESSION_BUS_ADDRESS": "", "XDG_RUNTIME_DIR": str(scopes.directory)}
    failed = scopes.try_create(bundle, env=environment).failed()
    assert f"unix:path={scopes.directory}/bus: no such file or directory" in failed.err
    assert "enable-linger" in failed.err


@pytest.mark.vm
def test_from_outside(runtime: Caller, in_machine: str) -> None:
    """A user who stands in another cgroup, as in a login session, may not move processes: systemd does it."""
    os.chown(runtime.directory, 1000, 1000)
    bundle = rootless(runtime, SLEEPER)
    for kind in ("uid", "gid"):
        bundle.linux[f"{kind}Mappings"][0]["hostID"] = 1000
    bundle.save()
    subprocess.run(["chown", "-R", "-h", "1000:1000", str(runtime.directory)], check=True)
    environment = ["env", "XDG_RUNTIME_DIR=/run/user/1000", "HOME=/home/ada"]
    as_user = ["runuser", "-u", "ada", "--", *environment]
    base = [*as_user, runtime.program, "--root", str(runtime.directory / "users"), "--systemd-cgroup"]
    id, unit = runtime.new_id(), unit_of(bundle)
    log = runtime.directory / "log"

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        with open(log, "wb") as output:
            done = subprocess.run(
                [*base, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60, check=False
            )
        assert done.returncode == 0, (words, log.read_text())
        return done

    def units() -> str:
        listed = ["systemctl", "--user", "list-units", "--all", "--no-legend", f"*{runtime.token}*"]
        return subprocess.run([*as_user, *listed], capture_output=True, text=True, check=True, timeout=60).stdout

    try:
        call("run", "--detach", "--bundle", str(bundle.directory), id)
        where = Path(f"/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/{unit}")
        assert (where / "cgroup.procs").read_text().split()
        inside = subprocess.Popen([*base, "exec", id, "sleep", "55"], stdin=subprocess.DEVNULL)
        wait_for(lambda: "sleep 55" in systemd.programs(where), "program in the unit", 30)
    finally:
        call("delete", "--force", id)
    inside.wait(30)
    assert units() == ""
    assert not where.exists()
