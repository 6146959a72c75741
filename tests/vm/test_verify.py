"""verify where systemd has the cgroups and a security module labels processes: a container as it was made, and drifts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtime.host import confinement
from tests.integration import systemd
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller
from tests.integration.systemd import cgroup, unit_of

pytestmark = pytest.mark.vm

LIMITS = {
    "memory": {"limit": 64 << 20, "swap": 64 << 20},
    "pids": {"limit": 32},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000},
}


@pytest.fixture
def scopes(runtime: Caller, busybox: Path) -> Caller:
    if not systemd.running():
        pytest.skip("needs a host that systemd runs")
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("about cgroup v2; tests/vm/test_systemd_hybrid.py is about v1")
    return Caller(runtime.program, runtime.directory, runtime.token, busybox, "systemd")


def wrong(runtime: Caller, *words: str) -> dict[str, str]:
    """The verdicts that are not "ok", by pointer."""
    checks: list[dict[str, Any]] = json.loads(runtime.call("verify", "--format", "json", *words).out)["checks"]
    assert len(checks) > 20
    return {check["pointer"]: check["verdict"] for check in checks if check["verdict"] != "ok"}


def drifted(scopes: Caller, bundle: Bundle, command: str) -> dict[str, str]:
    """The same of a new container, once the command has been run. $P: its process, $U: the unit, $C: its cgroup."""
    id, unit = scopes.launch(bundle), unit_of(bundle)
    try:
        assert wrong(scopes, id) == {}
        environment = {**os.environ, "P": str(scopes.pid(id)), "U": unit, "C": str(cgroup(unit))}
        subprocess.run(["sh", "-ec", command], env=environment, check=True, stdin=subprocess.DEVNULL, timeout=60)
        return wrong(scopes, id)
    finally:
        scopes.remove(id)


@pytest.mark.parametrize(
    ("command", "pointer"),
    [
        ("systemctl set-property --runtime $U MemoryMax=32M", "/linux/resources/memory/limit"),
        ("systemctl set-property --runtime $U CPUQuota=20%", "/linux/resources/cpu/quota"),
        ("echo 7 > $C/pids.max", "/linux/resources/pids/limit"),
    ],
)
def test_a_limit_of_a_unit(scopes: Caller, command: str, pointer: str) -> None:
    """One that somebody sets through systemd, or behind its back."""
    assert drifted(scopes, scopes.sleeper({"linux": {"resources": LIMITS}}), command) == {pointer: "differs"}


def test_another_unit(scopes: Caller) -> None:
    """The program is moved out of its scope."""
    command = "echo $P > /sys/fs/cgroup/init.scope/cgroup.procs"
    assert "/linux/cgroupsPath" in drifted(scopes, scopes.sleeper(), command)


def test_a_label(runtime: Caller, token: str) -> None:
    """The profile that the program runs under is told from the one of another config."""
    if not confinement.has_apparmor() or not shutil.which("apparmor_parser"):
        pytest.skip("AppArmor is not enabled")
    text = f"profile ocirun-{token} flags=(attach_disconnected,mediate_deleted) {{ file, capability, signal, }}\n"
    load = ["apparmor_parser", "--skip-cache"]
    subprocess.run([*load, "--replace"], input=text, text=True, check=True, timeout=120)
    try:
        bundle = runtime.sleeper({"process": {"apparmorProfile": f"ocirun-{token}"}})
        id = runtime.launch(bundle)
        assert wrong(runtime, id) == {}
        bundle.process["apparmorProfile"] = "ocirun-another"
        bundle.save()
        changed = wrong(runtime, "--bundle", str(bundle.directory), "--pid", str(runtime.pid(id)))
        assert changed == {"/process/apparmorProfile": "differs"}
        runtime.remove(id)
    finally:
        subprocess.run([*load, "--remove"], input=text, text=True, check=True, timeout=120)
