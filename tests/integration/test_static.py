"""The image is all that a machine needs: here it is alone in an otherwise empty root file system, with no environment."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TREE
from tests.integration.bundle import merge
from tests.integration.caller import wait_for
from tests.integration.foreign import Machine

LAUNCHER = TREE / "build/launcher/ocirun"
SLEEP = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
IDS = [{"containerID": 0, "hostID": 100000, "size": 1000}]


@pytest.fixture(params=[False, True], ids=["root", "chroot"], scope="module")
def machine(request: pytest.FixtureRequest, ocirun: Path, workplace: Path, busybox: Path) -> Iterator[Machine]:
    """A root file system of its own with the host's devices, and a chroot without any."""
    if "(image)" not in subprocess.run([ocirun, "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("build/ocirun is not an image: make says why")
    chroot = request.param
    token = f"t{secrets.token_hex(4)}"
    made = Machine(ocirun, workplace / token, token, busybox, chroot=chroot, dev=not chroot)
    yield made
    made.close()


def test_life(machine: Machine) -> None:
    """Every verb that acts on a container, with the limits of a cgroup and a seccomp filter."""
    call, id = machine.call, machine.id
    rules = [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]
    filters = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules}
    machine.bundle(SLEEP, {"linux": {"seccomp": filters, "resources": {"pids": {"limit": 50}}}})
    call("create", "--bundle", "/bundle", "--pid-file", "/pid", id).ok()
    assert json.loads(call("state", id).ok().out)["status"] == "created"
    call("start", id).ok()
    (listed,) = json.loads(call("list", "--format", "json").ok().out)
    assert (listed["id"], listed["status"], listed["owner"]) == (id, "running", "root")
    assert call("exec", id, "cat", "/proc/1/comm").ok().out == "sh\n"
    assert "bundle" not in call("exec", id, "ls", "/").ok().out
    assert "ermission denied" in call("exec", id, "sh", "-c", "cd /tmp; /bin/pwd").failed().err
    pid = int((machine.root / "pid").read_text())
    assert json.loads(call("ps", "--format", "json", id).ok().out)[0] == pid
    assert json.loads(call("events", "--stats", id).ok().out)["data"]["pids"]["limit"] == 50
    call("update", "-r", "-", id, text='{"pids": {"limit": 40}}').ok()
    assert json.loads(call("events", "--stats", id).ok().out)["data"]["pids"]["limit"] == 40
    call("pause", id).ok()
    assert json.loads(call("state", id).ok().out)["status"] == "paused"
    call("resume", id).ok()
    call("exec", id, "true", closed=True).ok()
    call("kill", id, "TERM").ok()
    wait_for(lambda: json.loads(call("state", id).ok().out)["status"] == "stopped", "the end")
    call("delete", id).ok()
    assert call("list", "--quiet").ok().out == ""
    call("state", id).failed()
    assert machine.files() <= {"bundle", "dev", "ocirun", "pid", "proc", "run", "sys"}


def test_run(machine: Machine) -> None:
    """`run` passes the streams, the limits of masks and read-only paths, and the exit status."""
    machine.bundle("cat; test -s /proc/kcore || echo masked; ls -l /dev/null; exit 7", {"root": {"readonly": True}})
    result = machine.call("run", "--bundle", "/bundle", machine.id, text="hello\n").failed(7)
    assert result.out.startswith("hello\nmasked\ncrw-rw-rw-"), result.err


def test_hooks(machine: Machine) -> None:
    """A hook of the bundle's runs, in the host's place and in the container's."""
    busybox, bundle = "/bundle/rootfs/bin/busybox", machine.bundle("true")
    touch = {"path": busybox, "args": ["touch", "/touched"]}
    bundle.config["hooks"] = {
        "createRuntime": [touch],
        "startContainer": [{"path": "/bin/touch", "args": ["touch", "/in"]}],
    }
    bundle.save()
    machine.call("run", "--bundle", "/bundle", machine.id).ok()
    (machine.root / "touched").unlink()
    (machine.root / "bundle/rootfs/in").unlink()


def test_user_namespace(machine: Machine) -> None:
    """With a user namespace, which the kernel refuses to a process in a chroot."""
    bundle = machine.bundle("id -u; cat /proc/self/uid_map")
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    bundle.save()
    result = machine.call("run", "--bundle", "/bundle", machine.id)
    if machine.chroot:
        assert "unshare: operation not permitted" in result.failed(1).err
    else:
        assert result.ok().out.split() == ["0", "0", "100000", "1000"]


def test_what_needs_no_container(machine: Machine) -> None:
    """Help, versions, features, a new config and its plan."""
    call = machine.call
    assert "(image)" in call("--version").ok().out
    assert "validate" in call("--help").ok().out
    for verb in ("create", "validate", "update"):
        assert call(verb, "--help").ok().out.startswith("usage: ocirun")
    assert json.loads(call("features").ok().out)["ociVersionMax"]
    (machine.root / "bundle/config.json").unlink(missing_ok=True)
    call("spec", "--bundle", "/bundle").ok()
    assert "pivot_root" in call("plan", "/bundle").ok().out
    call("validate", "/bundle").ok()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_broken_config(machine: Machine, form: str) -> None:
    """`validate` reports word for word what the launcher does, whose jsonschema is the interpreter's."""
    config = merge(machine.bundle("true").config, {"process": {"cwd": 3, "rlimits": [{"type": "X"}]}, "hostnam": "ü"})
    config["linux"]["namespaces"].append({"type": "pdi"})
    config["mounts"].append(
        {"destination": "/x", "type": "bind", "source": "/nowhere", "options": ["bind", "readonly"]}
    )
    (machine.root / "bundle/config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False))
    there = machine.call("validate", "--format", form, "/bundle/config.json")
    place = machine.root / "bundle/config.json"
    command = [LAUNCHER, "validate", "--format", form, place]
    here = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (there.code, there.out) == (here.returncode, here.stdout.replace(str(place), "/bundle/config.json"))
    assert there.code != 0
    assert "pdi" in there.out


def test_tracebacks(machine: Machine) -> None:
    """`--debug` shows the lines of the source, which is in the file."""
    err = machine.call("--debug", "kill", "nobody").failed(1).err
    assert "Traceback (most recent call last)" in err
    assert 'File "ocirun:runtime/lifecycle/store.py"' in err
    assert "raise missing(id)" in err


def test_without_systemd(machine: Machine) -> None:
    """The library that talks to systemd is in the file."""
    machine.bundle("true", {"linux": {"cgroupsPath": "system.slice:ocirun:one"}})
    bus = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}
    result = machine.call("--systemd-cgroup", "run", "--bundle", "/bundle", machine.id, env=bus).failed(1)
    assert "reach systemd through unix:path=/nowhere: no such file or directory" in result.err
