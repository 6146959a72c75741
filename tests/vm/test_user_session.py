"""Containers of an ordinary user, below the user's own systemd, which has a delegated cgroup for them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for

pytestmark = pytest.mark.user_session

SLEEPER = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"


def rootless(runtime: Caller, script: str, delegated: Path) -> Bundle:
    """A bundle of `ocirun spec --rootless`, in a cgroup below the user's."""
    written = subprocess.run(
        [runtime.program, "spec", "--rootless", "--file", "-"], capture_output=True, check=True, timeout=60
    )
    config = json.loads(written.stdout)
    config["process"] |= {"terminal": False, "args": ["sh", "-c", script]}
    config["linux"]["cgroupsPath"] = f"/{delegated.relative_to('/sys/fs/cgroup')}/{runtime.token}"
    return runtime.bundle(config=config)


def test_root_inside_is_the_user_outside(runtime: Caller, delegated: Path) -> None:
    """The written config runs as it is; the caller's id is mapped to 0."""
    done = runtime.run(rootless(runtime, "id -u; cat /proc/self/uid_map; cat /proc/self/cgroup", delegated)).ok()
    assert done.out.split()[:4] == ["0", "0", str(os.getuid()), "1"]
    # An ordinary user may attach no device filter, and can make no device node.
    assert [line for line in done.err.splitlines() if "/linux/resources/devices" not in line] == []


def test_the_whole_cycle(runtime: Caller, delegated: Path) -> None:
    """create, start, exec, kill and delete; the process is in its cgroup, which goes with it."""
    id = runtime.launch(rootless(runtime, SLEEPER, delegated))
    wait_for(lambda: "ready" in runtime.output(id), "output", 30)
    path = delegated / runtime.token
    assert str(runtime.pid(id)) in (path / "cgroup.procs").read_text().split()
    assert runtime.exec(id, "id -u").ok().out == "0\n"
    runtime.kill(id, "TERM")
    runtime.wait_status(id, patience=30)
    runtime.call("delete", id).ok()
    assert not path.exists()


def test_a_limit_holds(runtime: Caller, delegated: Path) -> None:
    """systemd delegated the controllers, so that a user's limit is the kernel's."""
    bundle = rootless(runtime, "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1; wait", delegated)
    bundle.linux["resources"] = {"pids": {"limit": 4}}
    done = runtime.run(bundle.save())
    assert "can't fork" in done.out + done.err


def test_a_limit_without_a_path(runtime: Caller, delegated: Path) -> None:
    """Without cgroupsPath the container is beside the caller, whose own cgroup has processes and can give no controller on."""
    bundle = rootless(
        runtime, "cat /proc/self/cgroup; for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1; wait", delegated
    )
    del bundle.linux["cgroupsPath"]
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "cgroup"]
    bundle.linux["resources"] = {"pids": {"limit": 4}, "memory": {"limit": 64 << 20}}
    done = runtime.run(bundle.save())
    assert f"0::/{delegated.relative_to('/sys/fs/cgroup')}/{runtime.token}" in done.out
    assert "can't fork" in done.out + done.err


def test_state_is_in_the_users_directory(runtime: Caller, delegated: Path) -> None:
    """Without --root it is below XDG_RUNTIME_DIR."""
    bundle = rootless(runtime, "sleep 100", delegated)
    id = runtime.new_id()
    command = [runtime.program, "create", "--bundle", str(bundle.directory), id]
    with open(runtime.directory / "said", "wb") as said:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=60)
    try:
        assert Path(os.environ["XDG_RUNTIME_DIR"], "ocirun", id).is_dir()
    finally:
        subprocess.run([runtime.program, "delete", "--force", id], check=True, timeout=60)
