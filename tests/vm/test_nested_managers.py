"""Containers that manage cgroups themselves: a systemd, as root and in a user namespace, and a Docker."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.plan.capabilities import BITS
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, Result, wait_for
from tests.integration.test_delegation import FIRST, IDS

pytestmark = pytest.mark.vm

PATIENCE = 120  # seconds: the machine is emulated
SYSTEMD = "/lib/systemd/systemd"
SMALL = "[Unit]\nDefaultDependencies=no\n"
MARKER = f"{SMALL}[Service]\nType=exec\nExecStart=/bin/sh -c 'cat /proc/self/cgroup > /run/marker; exec sleep 1000'\n"
# As its own image does it: no process in the cgroup that is divided.
# An exec that has come before may still be in the container's own cgroup, which then takes no controllers.
DOCKER = """cd /sys/fs/cgroup && mkdir init && echo 0 > init/cgroup.procs
until sed 's/^/+/; s/ / +/g' cgroup.controllers > cgroup.subtree_control; do sleep 0.1; done
exec dockerd --host unix:///run/docker.sock --bridge none --iptables=false --ip6tables=false --storage-driver vfs --data-root /run/data
"""
CLIENT = "docker -H unix:///run/docker.sock"


@pytest.fixture
def machine(runtime: Caller, in_machine: str) -> Iterator[Bundle]:
    """A container with all rights over the machine's own root file system, which it sees through an overlay."""
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("about a host with cgroup v2 alone")
    bundle = runtime.bundle()
    upper, work, merged = (bundle.directory / name for name in ("upper", "work", "merged"))
    for directory in (upper, work, merged):
        directory.mkdir()
    options = f"lowerdir=/,upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)], check=True)
    bundle.config["root"]["path"] = "merged"
    every = list(BITS)
    bundle.process["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), every)
    bundle.process.update(noNewPrivileges=False)
    bundle.process["env"].append("container=oci")
    bundle.process["rlimits"] = []
    bundle.linux["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}
    bundle.linux["namespaces"].append({"type": "cgroup"})
    for name in ("maskedPaths", "readonlyPaths"):
        del bundle.linux[name]
    for mount in bundle.config["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = ["nosuid", "noexec", "nodev", "rw"]
    for place in ("/run", "/tmp"):
        bundle.config["mounts"].append(
            {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}
        )
    yield bundle
    runtime.remove_all()
    subprocess.run(["umount", str(merged)], check=True)


def told(runtime: Caller, id: str, script: str) -> Result:
    return runtime.exec(id, script, timeout=PATIENCE)


def answers(runtime: Caller, id: str, script: str, what: str) -> None:
    said: list[Any] = []

    def tried() -> bool:
        said.append(told(runtime, id, script))
        return bool(said[-1].code == 0)

    try:
        wait_for(tried, what, PATIENCE)
    except AssertionError:
        raise AssertionError(f"no {what}: {said[-1]}\n{runtime.output(id)}\n{runtime.errors(id)}") from None


@pytest.mark.parametrize("ids", [False, True], ids=["root", "user namespace"])
def test_systemd(runtime: Caller, machine: Bundle, ids: bool) -> None:
    """It moves to init.scope and makes units with cgroups of their own; exec goes to init.scope, and starts a service."""
    units = machine.directory / "merged/etc/systemd/system"
    (units / "small.target").write_text(SMALL)
    (units / "marker.service").write_text(MARKER)
    if ids:
        machine.linux["namespaces"].append({"type": "user"})
        machine.linux.update(uidMappings=IDS, gidMappings=IDS)
    machine.process["args"] = [SYSTEMD, "--unit=small.target", "--log-target=console"]
    id = runtime.launch(machine.save())
    answers(runtime, id, "systemctl is-active small.target", "systemd")
    assert told(runtime, id, "cat /proc/self/cgroup").ok().out == "0::/init.scope\n"
    told(runtime, id, "systemctl start marker.service").ok()
    answers(runtime, id, "grep system.slice/marker.service /run/marker", "marker")
    assert told(runtime, id, "cat /run/marker").ok().out == "0::/system.slice/marker.service\n"
    top = Path(f"/sys/fs/cgroup{Path(f'/proc/{runtime.first_pid(id)}/cgroup').read_text().strip()[3:]}").parent
    assert top.stat().st_uid == (FIRST if ids else 0)
    runtime.call("kill", "--all", id, "KILL").ok()
    runtime.wait_status(id)
    runtime.call("delete", id).ok()
    assert not top.exists()


def test_docker(runtime: Caller, machine: Bundle, busybox: Path) -> None:
    """Docker in a container divides its cgroup and runs a container of its own; exec reaches it by its client."""
    if shutil.which("dockerd") is None:
        pytest.skip("dockerd is not installed")
    box = {"destination": "/mnt", "type": "bind", "source": str(busybox), "options": ["rbind", "ro"]}
    machine.config["mounts"].append(box)
    machine.process["args"] = ["sh", "-c", DOCKER]
    id = runtime.launch(machine.save())
    answers(runtime, id, f"{CLIENT} version", "dockerd")
    assert told(runtime, id, "cat /proc/self/cgroup").ok().out == "0::/init\n"
    told(runtime, id, f"tar -C /mnt -c . | {CLIENT} import - box").ok()
    limits = "--network none --memory 64m --pids-limit 50"
    said = (
        told(runtime, id, f"{CLIENT} run --rm {limits} box sh -c 'echo inside; cat /sys/fs/cgroup/pids.max'").ok().out
    )
    assert said.split() == ["inside", "50"]
    runtime.call("delete", "--force", id).ok()
