"""linux.resources.pids, devices, hugepageLimits, rdma, network and unified by what they refuse."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.caller import Caller
from tests.integration.resources.readings import (
    FORKS,
    MEGABYTE,
    REFUSED,
    Counters,
    limited,
    on_v1,
    on_v2,
    with_python,
)

pytestmark = [pytest.mark.vm, pytest.mark.cgroups]

# A character device that no driver has: where it may be opened the answer is "No such device", otherwise EPERM.
DRIVERLESS = {"type": "c", "major": 1, "minor": 2}
PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
# How many pages of 2 MB can be reserved, without one being touched.
RESERVE = """
import mmap, sys
kept, flags = [], mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x40000
while len(kept) < 4:
    try:
        kept.append(mmap.mmap(-1, 2 << 20, flags=flags))
    except OSError as error:
        print(len(kept), error.strerror)
        sys.exit()
print(len(kept))
"""


@pytest.mark.proves("/linux/resources/pids/limit")
def test_pids(runtime: Caller) -> None:
    """pids.limit: a fork beyond the limit is refused, in the container's own program and in one started by exec; forks below it work."""
    result = runtime.run(limited(runtime, FORKS, pids={"limit": 4}))
    assert REFUSED in result.out + result.err
    id = runtime.launch(limited(runtime, "exec sleep 100", pids={"limit": 4}))
    for script, refused in (("sleep 0 & sleep 0; wait", False), (FORKS, True)):
        result = runtime.exec(id, script)
        assert (REFUSED in result.out + result.err) == refused


@pytest.mark.parametrize("allowed", [False, True], ids=["denied", "allowed"])
def test_devices(runtime: Caller, allowed: bool) -> None:
    """devices: a device without a rule may be created but not opened; with a rule it opens with that access only; default devices always open."""
    script = "mknod /tmp/node c 1 2; (exec 3</tmp/node) 2>&1; (exec 3>/tmp/node) 2>&1; echo x >/dev/null && echo null"
    caps = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"]
    bundle = runtime.shell(
        script, {"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), caps)}}
    )
    if allowed:
        bundle.linux["resources"]["devices"].append({"allow": True, **DRIVERLESS, "access": "r"})
    lines = runtime.run(bundle.save()).out.splitlines()
    assert ("No such device" if allowed else "not permitted") in lines[0]
    assert "not permitted" in lines[1]
    assert lines[2:] == ["null"]


@pytest.fixture
def pages() -> Iterator[None]:
    """The machine has four pages of 2 MB to give during the test."""
    if not PAGES.is_dir():
        pytest.skip("the machine has no pages of 2 MB")
    file = PAGES / "nr_hugepages"
    before = int(file.read_text())
    file.write_text(str(before + 4))
    if int((PAGES / "free_hugepages").read_text()) < 4:
        file.write_text(str(before))
        pytest.skip("the machine has no memory in one piece")
    yield
    file.write_text(str(before))


@pytest.mark.not_on("runc", "crun", reason="looks for the controller among those of v1 only")
@pytest.mark.proves("/linux/resources/hugepageLimits/*/pageSize")
@pytest.mark.proves("/linux/resources/hugepageLimits/*/limit")
def test_hugepages(runtime: Caller, pages: None) -> None:
    """hugepageLimits: of four huge pages the two within the limit are granted and the third is refused, on use and on reservation."""
    limits = [{"pageSize": "2MB", "limit": 4 * MEGABYTE}]
    script = "for i in 1 2 3 4; do fallocate -l 2M /huge/$i 2>/dev/null && echo $i; done"
    bundle = limited(runtime, script, hugepageLimits=limits)
    bundle.config["mounts"].append({"destination": "/huge", "type": "hugetlbfs", "source": "none"})
    assert runtime.run(bundle.save()).out.split() == ["1", "2"]
    reserving = with_python(limited(runtime, "true", hugepageLimits=limits), RESERVE)
    assert runtime.run(reserving).ok().out == "2 Cannot allocate memory\n"


@pytest.mark.not_on("crun", reason="leaves the limit out without a word")
@pytest.mark.proves("/linux/resources/rdma/*/hcaHandles")
@pytest.mark.proves("/linux/resources/rdma/*/hcaObjects")
def test_rdma(runtime: Caller) -> None:
    """rdma: a limit for a missing device, or without the controller, is refused by name."""
    devices = Path("/sys/class/infiniband")
    if devices.is_dir() and any(devices.iterdir()):
        pytest.skip("the machine has such devices")
    for limit in ("hcaHandles", "hcaObjects"):
        result = runtime.try_create(limited(runtime, "true", rdma={"mlx5_1": {limit: 3}})).failed(1)
        assert runtime.name != "ocirun" or "/linux/resources/rdma/mlx5_1" in result.err
        assert runtime.name != "ocirun" or on_v2("rdma") or on_v1("rdma") or "rdma controller" in result.err


@pytest.mark.not_on("crun", reason="leaves the cgroups of a container that it could not make")
@pytest.mark.proves("/linux/resources/network/classID")
@pytest.mark.proves("/linux/resources/network/priorities/*/name")
@pytest.mark.proves("/linux/resources/network/priorities/*/priority")
def test_network(runtime: Caller) -> None:
    """network: where v1's controllers are mounted the kernel has the class and the priority; elsewhere they are refused by name."""
    cases = {
        "net_cls": ("classID", {"classID": 0x100001}, "net_cls.classid", str(0x100001)),
        "net_prio": ("priorities", {"priorities": [{"name": "lo", "priority": 5}]}, "net_prio.ifpriomap", "lo 5"),
    }
    for controller, (pointer, section, file, expected) in cases.items():
        bundle = limited(runtime, "true", network=section)
        if on_v1(controller):
            id = runtime.create(bundle)
            assert expected in (Counters(runtime, id).directory(controller) / file).read_text().splitlines()
            continue
        result = runtime.try_create(bundle).failed(1)
        assert runtime.name != "ocirun" or f"/linux/resources/network/{pointer}" in result.err


@pytest.mark.not_on("runc", "crun", reason="takes such files only where no controller is v1's")
@pytest.mark.proves("/linux/resources/unified")
def test_unified(runtime: Caller) -> None:
    """unified: the named cgroup v2 file is written verbatim: no cgroup can be created below the container's."""
    id = runtime.create(limited(runtime, "true", unified={"cgroup.max.depth": "0"}))
    with pytest.raises(OSError, match="unavailable") as caught:
        (Counters(runtime, id).unified() / "below").mkdir()
    assert caught.value.errno == errno.EAGAIN


def test_unified_of_a_controller(runtime: Caller) -> None:
    """unified: a limit of a v2 controller takes effect; if the controller is not on v2, the error names it."""
    bundle = limited(runtime, FORKS, unified={"pids.max": "4"})
    if on_v2("pids"):
        result = runtime.run(bundle)
        assert REFUSED in result.out + result.err
    else:
        assert "/linux/resources/unified/pids.max" in runtime.try_create(bundle).failed(1).err
