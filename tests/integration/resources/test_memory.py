"""linux.resources.memory by what it does to the container's processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import (
    MEGABYTE,
    TAKE,
    Counters,
    limited,
    on_v1,
    said,
    stats,
    with_python,
    written,
)

pytestmark = [pytest.mark.vm, pytest.mark.cgroups]

SWAP = 64 * MEGABYTE
# Twenty megabytes of its own, then three times as much of a file as the limit lets stay.
READER = """
import time
pages = bytearray(20 << 20)
for place in range(0, len(pages), 4096):
    pages[place] = 1
for time_read in range(3):
    with open("/file", "rb", 0) as file:
        while file.read(1 << 16):
            pass
print("read", flush=True)
time.sleep(100)
"""

# As much as goes into a connection whose other end does not read.
SENDER = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
other, _ = server.accept()
client.setblocking(False)
sent = quiet = 0
while quiet < 20:
    try:
        sent += client.send(bytes(65536))
        quiet = 0
    except BlockingIOError:
        time.sleep(0.02)
        quiet += 1
print(sent)
"""


@pytest.fixture
def swap(workplace: Path) -> Iterator[None]:
    """The machine has swap space during the test."""
    if len(Path("/proc/swaps").read_text().splitlines()) > 1:
        yield
        return
    file = workplace / "swap"
    with open(file, "wb") as new:
        os.fchmod(new.fileno(), 0o600)
        os.posix_fallocate(new.fileno(), 0, SWAP)
    said(["mkswap", str(file)])
    said(["swapon", "--priority", "0", str(file)])
    yield
    said(["swapoff", str(file)])
    file.unlink()


@pytest.mark.proves("/linux/resources/memory/limit")
def test_the_limit_kills(runtime: Caller) -> None:
    """memory.limit: a process that takes more is killed, the kernel counts it, and the others live on."""
    script = f"{TAKE.format(4000000)}; {TAKE.format(40000000)}; echo survived; exec sleep 100"
    id = runtime.launch(limited(runtime, script, memory={"limit": 24 * MEGABYTE, "swap": 24 * MEGABYTE}))
    wait_for(lambda: "survived" in runtime.output(id), "end of the large process")
    assert runtime.output(id).split() == ["4000000", "survived"]
    assert Counters(runtime, id).number("memory", "memory.oom_control:oom_kill", "memory.events:oom_kill") >= 1


@pytest.mark.proves("/linux/resources/memory/swap")
def test_swap(runtime: Caller, swap: None) -> None:
    """memory.swap: pages beyond the memory limit are swapped up to the swap limit; without swap the process is killed."""
    size = 40 * MEGABYTE
    outputs = []
    for more in (0, 48 * MEGABYTE):
        memory = {"limit": 24 * MEGABYTE, "swap": 24 * MEGABYTE + more}
        outputs.append(runtime.run(limited(runtime, TAKE.format(size), memory=memory), timeout=120).out.strip())
    assert outputs[0] != str(size)
    assert outputs[1] == str(size)


@pytest.fixture
def parent(runtime: Caller) -> Iterator[str]:
    """A name for the cgroup that the test's containers share. A slice is systemd's, and stays until it is told."""
    yield runtime.token
    runtime.remove_all()
    if runtime.driver == "systemd":
        said(["systemctl", "stop", f"ocirun_{runtime.token}.slice"])


@pytest.mark.proves("/linux/resources/memory/reservation")
def test_the_reservation_protects(runtime: Caller, parent: str) -> None:
    """memory.reservation: of two siblings short of memory, the one with a reservation keeps its pages."""
    if on_v1("memory"):
        pytest.skip("v1's soft limit counts only when the whole machine is short of memory")
    scripts = {
        "kept": ("cat /file >/dev/null; echo read; exec sleep 100", {"reservation": 32 * MEGABYTE}, 16),
        "lost": ("cat /file >/dev/null; echo read; exec sleep 100", {}, 16),
        "taker": ("cat /file /file >/dev/null; echo read; exec sleep 100", {}, 96),
    }
    ids = {}
    for name, (script, memory, size) in scripts.items():
        bundle = limited(runtime, script, memory=memory)
        bundle.linux["cgroupsPath"] = runtime.cgroups_path(f"{name}-{runtime.token}", parent)
        written(bundle.rootfs / "file", size * MEGABYTE)
        ids[name] = runtime.create(bundle.save())
    (Counters(runtime, ids["kept"]).unified().parent / "memory.max").write_text(str(56 * MEGABYTE))
    for id in ids.values():
        runtime.start(id)
        wait_for(lambda one=id: "read" in runtime.output(one), "reading")
    kept, lost = (Counters(runtime, ids[name]).number("memory", "", "memory.stat:file") for name in ("kept", "lost"))
    assert kept > 14 * MEGABYTE
    assert lost < 10 * MEGABYTE


@pytest.mark.proves("/linux/resources/memory/swappiness")
def test_swappiness(runtime: Caller, swap: None) -> None:
    """memory.swappiness (v1): at 0 file pages are reclaimed and the process's own stay, at 100 those are swapped; v2 refuses it by name."""
    if not on_v1("memory"):
        result = runtime.try_create(limited(runtime, "true", memory={"swappiness": 0})).failed(1)
        assert "/linux/resources/memory/swappiness" in result.err
        return
    swapped = []
    for value in (0, 100):
        memory = {"limit": 32 * MEGABYTE, "swap": 80 * MEGABYTE, "swappiness": value}
        bundle = with_python(limited(runtime, "true", memory=memory), READER)
        written(bundle.rootfs / "file", 64 * MEGABYTE)
        id = runtime.launch(bundle)
        wait_for(lambda one=id: "read" in runtime.output(one), "reading")
        swapped.append(Counters(runtime, id).number("memory", "memory.stat:swap", ""))
        runtime.remove(id)
    assert swapped[0] < MEGABYTE
    assert swapped[1] > 4 * MEGABYTE


@pytest.mark.not_on("runc", reason="leaves kernelTCP out without a word")
@pytest.mark.proves("/linux/resources/memory/kernelTCP")
def test_tcp_buffers(runtime: Caller) -> None:
    """memory.kernelTCP (v1): with 256 KiB for TCP an unread connection takes less than 512 KiB; v2 refuses it by name."""
    bundle = with_python(limited(runtime, "true", memory={"kernelTCP": 256 << 10}), SENDER)
    if not on_v1("memory"):
        assert "/linux/resources/memory/kernelTCP" in runtime.try_create(bundle).failed(1).err
        return
    assert int(runtime.run(bundle).ok().out) < 512 << 10
    assert int(runtime.run(with_python(limited(runtime, "true"), SENDER)).ok().out) > MEGABYTE


@pytest.mark.proves("/linux/resources/memory/disableOOMKiller")
def test_oom_killer_disabled(runtime: Caller) -> None:
    """memory.disableOOMKiller (v1): a process that takes more than the limit waits instead of being killed; v2 refuses it by name."""
    memory: dict[str, Any] = {"limit": 24 * MEGABYTE, "swap": 24 * MEGABYTE, "disableOOMKiller": True}
    # The string is touched by the program itself: a system call that lacks memory would fail instead of waiting.
    grow = """awk 'BEGIN { s = "x"; while (length(s) < 268435456) s = s s }'; echo $?"""
    bundle = limited(runtime, grow, memory=memory)
    if not on_v1("memory"):
        assert "/linux/resources/memory/disableOOMKiller" in runtime.try_create(bundle).failed(1).err
        return
    id = runtime.launch(bundle)
    counters = Counters(runtime, id)
    wait_for(lambda: counters.number("memory", "memory.oom_control:under_oom", ""), "process that waits")
    time.sleep(0.3)
    assert runtime.status(id) == "running"
    assert runtime.output(id) == ""


@pytest.mark.not_on("runc", "crun", reason="runc needs 4 MiB, crun a little more than 512 KiB at times")
def test_the_smallest_limit(runtime: Caller) -> None:
    """memory.limit of 512 KiB: /bin/true runs five times out of five."""
    limit = {"process": {"args": ["/bin/true"]}, "linux": {"resources": {"memory": {"limit": 512 << 10}}}}
    bundle = runtime.bundle(limit)
    for _ in range(5):
        runtime.run(bundle).ok()


@pytest.mark.not_on("runc", "crun", reason="theirs is charged")
def test_the_runtime_is_not_charged(runtime: Caller) -> None:
    """The memory of create, start, exec and events is never charged to the container: its peak stays below 1 MiB."""
    id = runtime.launch(runtime.bundle({"process": {"args": ["sleep", "100"]}}))
    for _ in range(3):
        runtime.exec(id, ["true"]).ok()
    usage = stats(runtime, id)["memory"]["usage"]
    assert 0 < usage["usage"] <= usage["max"] < MEGABYTE


@pytest.mark.not_on("runc", "crun", reason="they set the limit, and the kernel kills")
@pytest.mark.proves("/linux/resources/memory/checkBeforeUpdate")
def test_check_before_update(runtime: Caller) -> None:
    """memory.checkBeforeUpdate: an update below current use is refused and nothing is killed; without it the kernel kills."""
    script = "dd if=/dev/zero of=/dev/shm/f bs=1M count=16 2>/dev/null; echo up; exec sleep 100"
    both = {"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE, "checkBeforeUpdate": True}
    id = runtime.launch(limited(runtime, script, memory=both))
    wait_for(lambda: "up" in runtime.output(id), "the file in memory")
    document = '{"memory": {"limit": 4194304, "swap": 4194304, "checkBeforeUpdate": %s}}'
    assert "more than 4194304" in runtime.call("update", "-r", "-", id, stdin=document % "true").failed(1).err
    assert runtime.status(id) == "running"
    assert runtime.exec(id, "wc -c < /dev/shm/f").ok().out.strip() == str(16 * MEGABYTE)
