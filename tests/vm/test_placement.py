"""How a container gets into its cgroup, and that systemd leaves it there."""

import subprocess
from pathlib import Path

import pytest

from tests.integration.caller import Caller
from tests.integration.resources.readings import limited, value

pytestmark = pytest.mark.vm


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
