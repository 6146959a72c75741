"""Limits by what they do and namespaces by what they show, on cgroup v1 (the host's, maybe) and on pure v2."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import value

pytestmark = pytest.mark.kernel

# A character device that no driver has: where it may be opened the answer is "No such device", otherwise EPERM.
DRIVERLESS = {"type": "c", "major": 1, "minor": 2}


@pytest.mark.vm
def test_the_quota_throttles(runtime: Caller) -> None:
    """A busy process with a tenth of a processor is throttled, by the kernel's own count."""
    quota = {"linux": {"resources": {"cpu": {"quota": 10000, "period": 100000}}}}
    id = runtime.launch(runtime.shell("while :; do :; done", quota))

    def throttled() -> int:
        lines = value(runtime, id, "cpu", "cpu.stat", "cpu.stat").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("throttled_"))

    first = wait_for(throttled, "throttling")
    wait_for(lambda: throttled() > first, "more throttling")


@pytest.mark.vm
@pytest.mark.parametrize("allowed", [False, True], ids=["denied", "allowed"])
def test_the_device_filter(runtime: Caller, real: Callable[[str, str], Bundle], allowed: bool) -> None:
    """A device that no rule names cannot be opened; the defaults can; a rule of the config opens one, for reading."""
    script = "mknod /node c 1 2; (exec 3</node) 2>&1; (exec 3>/node) 2>&1; echo x >/dev/null && echo null"
    bundle = real("podman", script)
    if allowed:
        bundle.linux["resources"]["devices"].append({"allow": True, **DRIVERLESS, "access": "r"})
    lines = runtime.run(bundle.save()).out.splitlines()
    assert ("No such device" if allowed else "not permitted") in lines[0]
    assert "not permitted" in lines[1]
    assert lines[2:] == ["null"]


def test_the_least_memory(runtime: Caller) -> None:
    """/bin/true runs in 512 KiB: neither the runtime nor its interpreter is charged to the container."""
    limit = {"process": {"args": ["/bin/true"]}, "linux": {"resources": {"memory": {"limit": 512 << 10}}}}
    runtime.run(runtime.bundle(limit)).ok()


def test_joined_namespaces(runtime: Caller) -> None:
    """A second container that names the first one's namespaces is in them, and has a mount namespace of its own."""
    files = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}
    first = runtime.pid(runtime.launch(runtime.sleeper()))
    bundle = runtime.bundle()
    joined = [{"type": kind, "path": f"/proc/{first}/ns/{file}"} for kind, file in files.items()]
    bundle.linux["namespaces"] = [{"type": "mount"}, *joined]
    del bundle.config["hostname"]
    id = runtime.create(bundle.save())
    second = runtime.pid(id)
    for file in files.values():
        assert os.readlink(f"/proc/{second}/ns/{file}") == os.readlink(f"/proc/{first}/ns/{file}")
    assert os.readlink(f"/proc/{second}/ns/mnt") != os.readlink(f"/proc/{first}/ns/mnt")
    runtime.remove(id)


@pytest.mark.vm
def test_clocks_and_cgroup_root(runtime: Caller) -> None:
    """6.1 enters a time namespace at a fork alone; the cgroup namespace begins at the container's cgroup."""
    bundle = runtime.shell("cut -d. -f1 /proc/uptime; cut -d: -f3 /proc/self/cgroup | sort -u")
    bundle.linux["namespaces"] += [{"type": "time"}, {"type": "cgroup"}]
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 200000}}
    uptime, *paths = runtime.run(bundle.save()).ok().out.split()
    host = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(int(uptime) - 200000 - host) < 60
    assert paths == ["/"]
