"""Limits in real cgroups, read back from the kernel, and their effect on a process."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime import files
from runtime.cgroups import apply, device_program, layout, resources, tree
from runtime.cgroups.setting import Setting
from runtime.errors import OcirunError
from runtime.host import cgroups
from runtime.shim import has_device_filter
from tests.runtime.conftest import directories

pytestmark = pytest.mark.kernel

Locations = Callable[[str], list[Any]]
Intent = list[dict[str, Any]]
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.json"))


@pytest.fixture
def build(locations: Locations) -> Any:
    """Build the cgroups of a container with these resources; removed at the end."""
    intents = []

    def built(given: dict[str, Any] | None, path: str = "box", tolerate: bool = False) -> Intent:
        at = locations(path)
        writes, device_filter = resources.writes(given, at)
        intents.append(tree.survey(at))
        assert apply.build(at, intents[-1], writes, device_filter, tolerate) == []
        return intents[-1]

    yield built
    for intent in intents:
        tree.remove(intent)


def value(intent: Intent, *names: str) -> str:
    """The content of the first of the files that some hierarchy has; a skip where none has."""
    for row in intent:
        for name in names:
            if Path(row["path"], name).exists():
                return files.read(f"{row['path']}/{name}").decode().strip()
    pytest.skip(f"this host has none of {', '.join(names)}")


def controller(name: str, *other: str) -> None:
    controllers = {one for hierarchy in cgroups.read()["hierarchies"] for one in hierarchy["controllers"]}
    if not controllers & {name, *other}:
        pytest.skip(f"this host has no {name} controller")


@pytest.mark.proves("/linux/resources/memory/limit")
@pytest.mark.proves("/linux/resources/memory/reservation")
def test_memory(build: Any):
    """The limit and the reservation are the kernel's afterwards."""
    controller("memory")
    intent = build({"memory": {"limit": 67108864, "reservation": 33554432}})
    assert value(intent, "memory.limit_in_bytes", "memory.max") == "67108864"
    assert value(intent, "memory.soft_limit_in_bytes", "memory.low") == "33554432"


@pytest.mark.proves("/linux/resources/memory/swap")
def test_swap(build: Any):
    """v1 has memory and swap together, v2 swap alone."""
    controller("memory")
    intent = build({"memory": {"limit": 67108864, "swap": 134217728}})
    limit = value(intent, "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert limit == ("134217728" if "tasks" in os.listdir(intent[-1]["path"]) else "67108864")


@pytest.mark.proves("/linux/resources/cpu/quota")
@pytest.mark.proves("/linux/resources/cpu/period")
@pytest.mark.proves("/linux/resources/cpu/shares")
@pytest.mark.proves("/linux/resources/cpu/burst")
def test_cpu(build: Any):
    """Shares, quota, period and burst."""
    controller("cpu")
    intent = build({"cpu": {"shares": 512, "quota": 50000, "period": 200000, "burst": 3000}})
    assert value(intent, "cpu.shares", "cpu.weight") in ("512", "20")
    bandwidth = value(intent, "cpu.cfs_quota_us", "cpu.max"), value(intent, "cpu.cfs_period_us", "cpu.max")
    assert bandwidth in (("50000", "200000"), ("50000 200000", "50000 200000"))
    assert value(intent, "cpu.cfs_burst_us", "cpu.max.burst") == "3000"


@pytest.mark.proves("/linux/resources/cpu/idle")
def test_cpu_idle(build: Any):
    """SCHED_IDLE for the cgroup."""
    controller("cpu")
    assert value(build({"cpu": {"idle": 1}}), "cpu.idle") == "1"


@pytest.mark.proves("/linux/resources/cpu/cpus")
@pytest.mark.proves("/linux/resources/cpu/mems")
def test_cpuset_bounds_a_process(build: Any, sleeper: Callable[..., Any]):
    """A process in the cgroup runs on the named cpu only; made parents let it in."""
    controller("cpuset")
    intent = build({"cpu": {"cpus": "0", "mems": "0"}}, "parent/box")
    assert (value(intent, "cpuset.cpus"), value(intent, "cpuset.mems")) == ("0", "0")
    process = sleeper(intent)
    assert os.sched_getaffinity(process.pid) == {0}


@pytest.mark.proves("/linux/resources/pids/limit")
def test_pids(build: Any):
    """The limit, and unlimited."""
    controller("pids")
    assert value(build({"pids": {"limit": 50}}), "pids.max") == "50"
    assert value(build({"pids": {"limit": -1}}, "other"), "pids.max") == "max"


@pytest.mark.proves("/linux/resources/hugepageLimits")
def test_hugepages_where_hugetlb_is(build: Any):
    """v1's or v2's controller, in use and reserved; on a hybrid host the v2 one is enabled for it."""
    controller("hugetlb")
    facts = cgroups.read()["hierarchies"][0]
    control = Path(facts["mountpoint"], "cgroup.subtree_control")
    enabled = control.exists() and "hugetlb" in control.read_text().split()
    sizes = os.listdir("/sys/kernel/mm/hugepages")
    if "hugepages-2048kB" not in sizes:
        pytest.skip(f"no pages of 2 MB: {sizes}")
    intent = build({"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]})
    for kind in ("", "rsvd."):
        assert value(intent, f"hugetlb.2MB.{kind}limit_in_bytes", f"hugetlb.2MB.{kind}max") == "4194304"
    tree.remove(intent)
    if control.exists() and not enabled:
        control.write_text("-hugetlb")


@pytest.mark.proves("/linux/resources/blockIO/throttleReadBpsDevice")
@pytest.mark.proves("/linux/resources/blockIO/throttleWriteIOPSDevice")
def test_block_io(build: Any):
    """A rate for a disk of this machine."""
    controller("blkio", "io")
    disks = [path for path in Path("/sys/block").iterdir() if not path.name.startswith(("loop", "ram"))]
    if not disks:
        pytest.skip("no disk")
    major, minor = (disks[0] / "dev").read_text().strip().split(":")
    device = {"major": int(major), "minor": int(minor), "rate": 1048576}
    intent = build({"blockIO": {"throttleReadBpsDevice": [device], "throttleWriteIOPSDevice": [{**device, "rate": 7}]}})
    rate = value(intent, "blkio.throttle.read_bps_device", "io.max")
    assert rate in (f"{major}:{minor} 1048576", f"{major}:{minor} rbps=1048576 wbps=max riops=max wiops=7")


@pytest.mark.proves("/linux/resources/unified")
def test_unified(build: Any):
    """A file of the v2 hierarchy by its name."""
    if resources.unified(layout.locations("/x", "x", cgroups.read())) is None:
        pytest.skip("no v2 hierarchy")
    assert value(build({"unified": {"cgroup.max.depth": "3"}}), "cgroup.max.depth") == "3"


@pytest.mark.parametrize("config", [path for path in CONFIGS if "exec" not in path.name], ids=lambda path: path.stem)
def test_managers_configs(config: Path, build: Any):
    """What real managers ask for can be written on this machine."""
    given = json.loads(config.read_text())["linux"].get("resources") or {}
    for device in (given.get("blockIO") or {}).get("throttleReadBpsDevice", []):
        if not Path(f"/sys/dev/block/{device['major']}:{device['minor']}").exists():
            pytest.skip("the config throttles a disk that this machine does not have")
    build(given)


@pytest.mark.parametrize(
    ("given", "pointer", "words"),
    [
        ({"pids": {"limit": 1 << 62}}, "pids/limit", "invalid argument"),
        ({"cpu": {"cpus": "1000"}}, "cpu/cpus", "cpus or memory nodes that are online"),
        ({"blockIO": {"throttleReadBpsDevice": [{"major": 999, "minor": 1, "rate": 5}]}},
         "blockIO/throttleReadBpsDevice/0/rate", "no such block device"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 5}]}, "hugepageLimits/0/limit", "no pages of this size"),
    ],
)  # fmt: skip
def test_a_refused_limit_says_where_and_why(locations: Locations, given: dict[str, Any], pointer: str, words: str):
    """The place in the config, the file, the system's words and a remedy; the clean-up leaves nothing."""
    at = locations("box")
    try:
        writes, _ = resources.writes({"devices": [{"allow": True}], **given}, at)
    except OcirunError as error:
        pytest.skip(error.message)
    writes = [write for write in writes if write[1].file not in ("devices.allow", "hugetlb.3MB.rsvd.max")]
    control = Path(at[0]["path"]).parents[1] / "cgroup.subtree_control"
    before = files.read_or_empty(str(control))
    intent = tree.survey(at)
    try:
        with pytest.raises(OcirunError, match=words) as caught:
            apply.build(at, intent, writes, None)
        assert caught.value.pointer == f"/linux/resources/{pointer}"
        assert writes[0][1].file in caught.value.message
    finally:
        tree.remove(intent)
        if b"hugetlb" not in before and b"hugetlb" in files.read_or_empty(str(control)):
            files.write(str(control), b"-hugetlb")


def test_a_parent_with_processes_cannot_have_the_controller(locations: Locations, sleeper: Callable[..., Any]):
    """v2 enables no controller below a cgroup with processes: the error names it and says what to do."""
    at = locations("parent/box")
    unified = resources.unified(at)
    if unified is None or not unified["hierarchy"]["controllers"]:
        pytest.skip("no v2 controller")
    control = f"{unified['hierarchy']['mountpoint']}/cgroup.subtree_control"
    before = files.read(control).split()
    wanted = unified["hierarchy"]["controllers"][-1]
    intent = tree.survey(at)
    tree.make(intent)
    process = sleeper([{"path": str(Path(unified["path"]).parent), "made": 1, "version": 2}])
    try:
        with pytest.raises(OcirunError, match=f"cannot have the {wanted} controller.*busy; that cgroup has") as caught:
            apply.enable(at, intent, [(unified, Setting(f"{wanted}.max", "1", "/linux/resources/unified"))])
        assert caught.value.pointer == "/linux/resources/unified"
    finally:
        process.kill()
        process.wait()
        tree.remove(intent)
        for name in set(files.read(control).split()) - set(before):
            files.write(control, b"-" + name)


def test_a_limit_without_a_cgroup_is_not_tolerated(locations: Locations):
    """Rootless: an unwritable hierarchy is left out with a warning, but a limit in it is an error at its place."""
    location = locations("box")[0]
    failed = {location["path"]: OcirunError("make cgroup /x: permission denied", errno=errno.EACCES)}
    with pytest.raises(OcirunError, match="cannot be set: make cgroup /x: permission denied") as caught:
        apply.write([(location, Setting("pids.max", "5", "/linux/resources/pids/limit"))], failed)
    assert (caught.value.pointer, caught.value.errno) == ("/linux/resources/pids/limit", errno.EACCES)


def test_an_absent_file(locations: Locations):
    """No error where the value is the default, the fallback where there is one, else an error."""
    at = locations("box")
    intent = tree.survey(at)
    tree.make(intent)
    try:
        apply.write([(at[0], Setting("absent", "1", "/a", is_default=True))], {})
        apply.write([(at[0], Setting("absent", "1", "/a", fallback=("cgroup.procs", "")))], {})
        with pytest.raises(OcirunError, match="no such file or directory; this kernel"):
            apply.write([(at[0], Setting("absent", "1", "/a"))], {})
    finally:
        tree.remove(intent)


ASK = """
import os, sys
answers = []
for path, flags in (("null", os.O_RDWR), ("zero", os.O_RDONLY), ("node", os.O_RDONLY), ("node", os.O_WRONLY)):
    try:
        os.close(os.open(os.path.join(sys.argv[1], path), flags))
        answers.append("yes")
    except OSError as error:
        answers.append(os.strerror(error.errno))
print(",".join(answers))
"""


def answers(intent: Intent, nodes: Path) -> list[str]:
    """What a process in the cgroups is told about /dev/null rw, zero r, and loop-control's number r and w."""
    for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("node", 10, 237)):
        if not (nodes / name).exists():
            os.mknod(nodes / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))

    def enter() -> None:
        for row in intent:
            files.write(f"{row['path']}/cgroup.procs", b"0")

    command = [sys.executable, "-I", "-S", "-c", ASK, str(nodes)]
    done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True, timeout=20)
    assert done.stderr == ""
    return done.stdout.strip().split(",")


DENY = {"allow": False, "access": "rwm"}
NODE = {"allow": True, "type": "c", "major": 10, "minor": 237, "access": "r"}


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """Where nodes may be made and opened."""
    try:
        os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.close(os.open(tmp_path / "null", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"device nodes do not work in {tmp_path}: {error}")
    return tmp_path


@pytest.mark.proves("/linux/resources/devices")
def test_device_rules_hold(build: Any, nodes: Path):
    """The default devices open, another only as its rule says; without a rule it does not."""
    assert answers(build({"devices": [DENY]}), nodes) == ["yes", "yes", *["Operation not permitted"] * 2]
    allowed = build({"devices": [DENY, NODE]}, "other")
    assert answers(allowed, nodes)[:2] == ["yes", "yes"]
    assert answers(allowed, nodes)[3] == "Operation not permitted"
    assert answers(allowed, nodes)[2] != "Operation not permitted"


def test_the_device_filter_holds_in_a_v2_cgroup(locations: Locations, nodes: Path):
    """The eBPF program, attached for real: on a hybrid host beside v1, whose controller allows everything here."""
    unified = resources.unified(locations("box"))
    if unified is None:
        pytest.skip("no v2 hierarchy")
    intent = tree.survey([unified])
    tree.make(intent)
    program = device_program.program([DENY, NODE])
    try:
        apply.attach(unified["path"], program)
        told = answers(intent, nodes)
        assert told[:2] == ["yes", "yes"]
        assert told[2] != "Operation not permitted"
        assert told[3] == "Operation not permitted"
    finally:
        tree.remove(intent)


def test_a_device_filter_is_found(locations: Locations):
    """`verify` asks whether a v2 cgroup has one: no, yes, and no again once it is detached."""
    unified = resources.unified(locations("box"))
    if unified is None:
        pytest.skip("no v2 hierarchy")
    intent = tree.survey([unified])
    tree.make(intent)
    directory = os.open(unified["path"], os.O_RDONLY | os.O_DIRECTORY)
    try:
        told = [has_device_filter(directory)]
        for program in (device_program.program([DENY]), b""):
            apply.attach(unified["path"], program, replace=True)
            told.append(has_device_filter(directory))
        assert told == [False, True, False]
    finally:
        os.close(directory)
        tree.remove(intent)


def test_the_device_filter_reports_the_kernels_answer(name: str):
    """A program that the verifier refuses, and a directory that is no v2 cgroup, are errors at the rules."""
    with pytest.raises(OcirunError, match=r"attach the device filter to /tmp: \w+") as caught:
        apply.attach("/tmp", device_program.program([DENY]))
    assert caught.value.pointer == "/linux/resources/devices"
    with pytest.raises(OcirunError, match="attach the device filter"):
        apply.attach("/tmp", device_program.program([DENY])[:-8])
    assert directories(name) == []
