"""linux.resources.network where v1's net_cls and net_prio can be mounted beside v2: what the class and the priority do."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller

CLASS = 0x100001  # 10:1
PRIORITY = 6  # the prio qdisc's first band; what nobody gave a priority goes to the second


def has_controllers() -> bool:
    rows = [line.split() for line in Path("/proc/cgroups").read_text().splitlines() if not line.startswith("#")]
    return {"net_cls", "net_prio"} <= {name for name, *_, enabled in rows if enabled == "1"}


pytestmark = [
    pytest.mark.vm,
    pytest.mark.usefixtures("in_machine"),  # queueing on the host's lo is nobody's to change
    pytest.mark.skipif(not has_controllers(), reason="the kernel has no net_cls and net_prio"),
    pytest.mark.skipif(not shutil.which("tc"), reason="tc (iproute2) is not installed"),
]


def tc(*words: str) -> str:
    return subprocess.run(["tc", *words], capture_output=True, text=True, check=True).stdout


# A host of both versions, for one command: v1 elsewhere than below /sys/fs/cgroup does not make one.
HYBRID = """#!/bin/sh
exec unshare --mount --propagation private sh -c '
  umount -l /sys/fs/cgroup; mount -t tmpfs hybrid /sys/fs/cgroup && cd /sys/fs/cgroup && mkdir unified net_cls,net_prio &&
  mount -t cgroup2 unified unified && mount -t cgroup -o net_cls,net_prio v1 net_cls,net_prio && cd / &&
  exec {program} "$@"' ocirun "$@"
"""


@pytest.fixture
def hybrid(runtime: Caller) -> Iterator[Caller]:
    """The runtime, on such a host."""
    script = runtime.directory / "hybrid"
    script.write_text(HYBRID.format(program=runtime.program))
    script.chmod(0o755)
    runtime.program = str(script)
    yield runtime
    # A hierarchy whose last cgroup was going when it was unmounted stays for ever: everybody would be in it.
    mount = ["mount", "-t", "cgroup", "-o", "net_cls,net_prio", "v1", str(runtime.directory)]
    end = time.monotonic() + 60
    while "net_cls" in Path("/proc/self/cgroup").read_text() and time.monotonic() < end:
        subprocess.run(mount, check=True)
        time.sleep(1)
        subprocess.run(["umount", str(runtime.directory)], check=True)
        time.sleep(1)
    assert "net_cls" not in Path("/proc/self/cgroup").read_text()


@pytest.fixture
def qdisc(request: pytest.FixtureRequest, in_machine: str) -> Iterator[None]:
    """Classes on lo that count: of the kind that the test names."""
    for module in ("sch_htb", "sch_prio", "cls_cgroup"):
        subprocess.run(["modprobe", "-q", module], check=False)
    try:
        if request.param == "htb":
            tc("qdisc", "add", "dev", "lo", "root", "handle", "10:", "htb")
            tc("class", "add", "dev", "lo", "parent", "10:", "classid", "10:1", "htb", "rate", "10mbit")
            tc("filter", "add", "dev", "lo", "parent", "10:", "protocol", "ip", "prio", "1", "handle", "1:", "cgroup")
        else:
            tc("qdisc", "add", "dev", "lo", "root", "handle", "1:", "prio")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the kernel has no such queueing here: {error.stderr}")
    yield
    tc("qdisc", "del", "dev", "lo", "root")


def sent(handle: str) -> int:
    """Packets that have left through a class of lo."""
    lines = tc("-s", "class", "show", "dev", "lo").splitlines()
    [at] = [number for number, line in enumerate(lines) if f" {handle} " in f"{line} "]
    return int(lines[at + 1].split()[3])


def pinging(runtime: Caller, network: dict[str, Any]) -> Bundle:
    """A container in the host's network namespace that sends three packets."""
    bundle = runtime.shell("ping -c 3 127.0.0.1", {"linux": {"resources": {"network": network}}})
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind].append("CAP_NET_RAW")
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "network"]
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["type"] != "sysfs"]
    return bundle.save()


@pytest.mark.proves("/linux/resources/network/classID")
@pytest.mark.parametrize("qdisc", ["htb"], indirect=True)
def test_class(hybrid: Caller, qdisc: None) -> None:
    """What the container sends goes through the class of traffic control; what another one sends does not."""
    before = sent("10:1")
    hybrid.run(pinging(hybrid, {})).ok()
    assert sent("10:1") == before
    hybrid.run(pinging(hybrid, {"classID": CLASS})).ok()
    assert sent("10:1") >= before + 3


@pytest.mark.proves("/linux/resources/network/priorities/*/name")
@pytest.mark.proves("/linux/resources/network/priorities/*/priority")
@pytest.mark.parametrize("qdisc", ["prio"], indirect=True)
def test_priority(hybrid: Caller, qdisc: None) -> None:
    """What the container sends by that device has the priority, which the prio qdisc puts into its first band."""
    before = sent("1:1")
    hybrid.run(pinging(hybrid, {})).ok()
    assert sent("1:1") == before
    hybrid.run(pinging(hybrid, {"priorities": [{"name": "lo", "priority": PRIORITY}]})).ok()
    assert sent("1:1") >= before + 3


def test_a_controller_that_is_not_mounted(runtime: Caller) -> None:
    """The error names it, and where it would be."""
    for key, value, controller in (
        ("classID", CLASS, "net_cls"),
        ("priorities", [{"name": "lo", "priority": PRIORITY}], "net_prio"),
    ):
        err = runtime.try_create(pinging(runtime, {key: value})).failed(1).err
        assert f"/linux/resources/network/{key}" in err
        assert f"the {controller} controller" in err
        assert "v1's mounted below /sys/fs/cgroup" in err
