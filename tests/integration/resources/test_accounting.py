"""What `events --stats` counts against what the container has used."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import (
    BUSY,
    MEGABYTE,
    Counters,
    disk,
    limited,
    on_v1,
    processor,
    said,
    stats,
    unified_mounts,
    with_python,
    written,
)

pytestmark = [pytest.mark.vm, pytest.mark.cgroups]

# Uses a processor for a known time of its own, in its mind and in the kernel.
WORKER = """
import os, time
print("up", flush=True)
open("/go").read()
zero = open("/dev/zero", "rb", 0)
began = time.process_time()
while time.process_time() < began + 2:
    zero.read(1 << 20)
print("used", time.process_time() - began, flush=True)
time.sleep(100)
"""
TAKER = """
import os, time
pages = bytearray(32 << 20)
for place in range(0, len(pages), 4096):
    pages[place] = 1
print("taken", flush=True)
for child in range(3):
    if not os.fork():
        break
time.sleep(100)
"""
SENDER = """
import socket
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("left", 0x88b5))
for number in range(100):
    raw.send(b"\\xff" * 6 + b"\\2" * 6 + b"\\x88\\xb5" + bytes(986))
"""


def test_processor_time(runtime: Caller) -> None:
    """Processor time: two seconds of work are counted as by the process itself, within 10 %, user and system together."""
    bundle = with_python(runtime.shell("true"), WORKER)
    os.mkfifo(bundle.rootfs / "go")
    id = runtime.launch(bundle)
    wait_for(lambda: "up" in runtime.output(id), "the interpreter", 90)
    before = stats(runtime, id)["cpu"]["usage"]
    (bundle.rootfs / "go").write_text("go\n")
    wait_for(lambda: "used" in runtime.output(id), "the process's own count", 90)
    seconds = float(runtime.output(id).split()[-1])
    usage = stats(runtime, id)["cpu"]["usage"]
    grown = {name: (usage[name] - before[name]) / 1e9 for name in ("total", "user", "kernel")}
    assert grown["total"] == pytest.approx(seconds, rel=0.1)
    assert grown["user"] + grown["kernel"] == pytest.approx(grown["total"], rel=0.1)
    assert grown["kernel"] > grown["total"] / 4


def test_memory_and_processes(runtime: Caller) -> None:
    """Memory and pids: 32 MiB of a process's own pages are counted within 10 %, and its three children to the one."""
    limits = {"memory": {"limit": 128 * MEGABYTE}, "pids": {"limit": 10}}
    id = runtime.launch(with_python(limited(runtime, "true", **limits), TAKER))
    wait_for(lambda: "taken" in runtime.output(id), "the pages")
    wait_for(lambda: stats(runtime, id)["pids"]["current"] == 4, "children")
    data = stats(runtime, id)
    own = data["memory"]["raw"]["rss" if on_v1("memory") else "anon"]
    # The interpreter has a few of its own.
    assert 32 * MEGABYTE <= own < 40 * MEGABYTE
    assert own <= data["memory"]["usage"]["usage"] <= data["memory"]["usage"]["max"] < 80 * MEGABYTE
    assert data["memory"]["usage"]["limit"] == 128 * MEGABYTE
    assert data["pids"] == {"current": 4, "limit": 10}


def test_pages_of_files(runtime: Caller) -> None:
    """Memory: 16 MiB read from a file are counted as cache, within 10 %."""
    disk(runtime.directory)  # pages of a tmpfs are those of who wrote them
    bundle = runtime.shell("read x < /go; cat /file > /dev/null; echo read; exec sleep 100")
    os.mkfifo(bundle.rootfs / "go")
    written(bundle.rootfs / "file", 16 * MEGABYTE)
    id = runtime.launch(bundle)
    before = stats(runtime, id)["memory"]["cache"]
    (bundle.rootfs / "go").write_text("go\n")
    wait_for(lambda: "read" in runtime.output(id), "reading")
    assert stats(runtime, id)["memory"]["cache"] - before == pytest.approx(16 * MEGABYTE, rel=0.1)


@pytest.mark.parametrize(
    ("op", "words"), [("Read", "if=/data of=/dev/null iflag"), ("Write", "if=/dev/zero of=/new oflag")]
)
def test_disk_traffic(runtime: Caller, op: str, words: str) -> None:
    """Disk traffic: 4 MiB past the cache are counted for their disk, to the byte when reading and within 10 % when writing."""
    major, minor = disk(runtime.directory)
    # On v1 newer kernels count only what goes to a disk that has been throttled.
    rate = {"major": major, "minor": minor, "rate": 1 << 40}
    throttles = {"throttleReadBpsDevice": [rate], "throttleWriteBpsDevice": [rate]}
    script = f"dd {words}=direct bs=128k count=32 status=none; echo done; exec sleep 100"
    bundle = limited(runtime, script, blockIO=throttles)
    written(bundle.rootfs / "data", 4 * MEGABYTE)
    id = runtime.launch(bundle)
    wait_for(lambda: "done" in runtime.output(id), "traffic")
    blkio = stats(runtime, id)["blkio"]
    assert bytes_of(blkio, (major, minor), op) == pytest.approx(4 * MEGABYTE, rel=0.1)


def bytes_of(blkio: dict[str, Any], device: tuple[int, int], op: str) -> int:
    rows = blkio.get("ioServiceBytesRecursive", [])
    return sum(row["value"] for row in rows if (row["major"], row["minor"], row["op"]) == (*device, op))


def test_throttling(runtime: Caller) -> None:
    """Throttling: a busy process with a tenth of a processor is throttled in nearly every period, most of the time (3 to 11 tenths)."""
    id = runtime.launch(limited(runtime, BUSY, cpu={"quota": 10000, "period": 100000}))
    before, began = stats(runtime, id)["cpu"]["throttling"], time.monotonic()
    time.sleep(2)
    after, seconds = stats(runtime, id)["cpu"]["throttling"], time.monotonic() - began
    found = {name: after[name] - before[name] for name in after}
    assert found["periods"] == pytest.approx(10 * seconds, rel=0.4)
    assert found["throttledPeriods"] >= 0.7 * found["periods"]
    # Nine tenths, less what it waits for a busy machine's processor before it has used its tenth.
    assert 0.3 < found["throttledTime"] / 1e9 / seconds < 1.1


def test_pressure(runtime: Caller) -> None:
    """PSI (v2): two processes that want one processor wait for it; the time is counted within half, the averages are there."""
    mounts = unified_mounts()
    if not mounts or on_v1("cpu"):
        pytest.skip("v1 counts no pressure")
    id = runtime.launch(limited(runtime, f"({BUSY}) & {BUSY}", cpu={"cpus": processor()}))
    if not Counters(runtime, id).unified().joinpath("cpu.pressure").exists():
        pytest.skip("the kernel counts no pressure")
    before, began = stats(runtime, id)["cpu"]["psi"]["some"], time.monotonic()
    time.sleep(2)
    data, seconds = stats(runtime, id), time.monotonic() - began
    after = data["cpu"]["psi"]["some"]
    assert (after["total"] - before["total"]) / 1e6 == pytest.approx(seconds, rel=0.5)
    assert after.keys() == {"avg10", "avg60", "avg300", "total"}
    for part in ("memory", "blkio"):
        assert {"some", "full"} == data[part]["psi"].keys()


def test_network(runtime: Caller, netns: Callable[[], str]) -> None:
    """Network: a hundred frames of 1000 bytes, received at one end and sent at the other, are counted within 10 %; lo is excluded."""
    path = netns()
    inside = ["ip", "netns", "exec", Path(path).name]
    said([*inside, "ip", "link", "add", "left", "type", "veth", "peer", "name", "right"])
    for name in ("left", "right"):
        said([*inside, "ip", "link", "set", name, "up"])
    bundle = runtime.sleeper()
    next(one for one in bundle.linux["namespaces"] if one["type"] == "network")["path"] = path
    id = runtime.launch(bundle.save())
    before = {row["name"]: row for row in stats(runtime, id)["network_interfaces"]}
    said([*inside, sys.executable, "-c", SENDER])
    after = {row["name"]: row for row in stats(runtime, id)["network_interfaces"]}
    assert after.keys() == {"left", "right"}
    for name, way in (("left", "tx"), ("right", "rx")):
        grown = {key: after[name][f"{way}_{key}"] - before[name][f"{way}_{key}"] for key in ("bytes", "packets")}
        assert grown["bytes"] == pytest.approx(100_000, rel=0.1)
        assert grown["packets"] == pytest.approx(100, rel=0.1)


def test_processor_of_each(runtime: Caller) -> None:
    """Per-processor time (v1): grows only for the processor that was used; v2 has no such count."""
    if not on_v1("cpuacct"):
        pytest.skip("v2 counts all processors together")
    last = int(processor())
    id = runtime.launch(limited(runtime, BUSY, cpu={"cpus": str(last)}))
    before = stats(runtime, id)["cpu"]["usage"]["percpu"]

    def grown() -> list[int]:
        return [now - was for now, was in zip(stats(runtime, id)["cpu"]["usage"]["percpu"], before, strict=True)]

    wait_for(lambda: grown()[last] > 100_000_000, "work")
    after = grown()
    assert sum(after) - after[last] < after[last] / 10


def test_what_is_below_counts(runtime: Caller) -> None:
    """A cgroup the container creates below its own counts with it: two processes there are two more pids."""
    id = runtime.launch(runtime.shell("sleep 100 & sleep 100 & exec sleep 100"))
    counters = Counters(runtime, id)
    wait_for(lambda: stats(runtime, id)["pids"]["current"] == 3, "three processes")
    directory = counters.directory("pids")
    below = directory / "below"
    below.mkdir()
    first, *others = (directory / "cgroup.procs").read_text().split()
    for pid in others:
        (below / "cgroup.procs").write_text(pid)
    assert (directory / "cgroup.procs").read_text().split() == [first]
    assert stats(runtime, id)["pids"]["current"] == 3


def test_no_limit(runtime: Caller) -> None:
    """No limit: the largest number of 64 bits on v2 (the kernel's own on v1) for memory, 0 for pids, or what systemd gives every unit."""
    id = runtime.create(runtime.sleeper())
    data = stats(runtime, id)
    assert data["memory"]["usage"]["limit"] > 1 << 60
    of_the_unit = Counters(runtime, id).text("pids", "pids.max", "pids.max")
    assert of_the_unit == "max" or runtime.driver == "systemd"
    assert data["pids"]["limit"] == (0 if of_the_unit == "max" else int(of_the_unit))
