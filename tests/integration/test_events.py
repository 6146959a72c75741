"""events: what the statistics say against what the container has done."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from tests.integration.caller import Caller, wait_for


def stats(runtime: Caller, id: str) -> dict:
    event = json.loads(runtime.call("events", "--stats", id).ok().out)
    assert (event["type"], event["id"]) == ("stats", id)
    return event["data"]


@pytest.mark.kernel
@pytest.mark.vm
def test_cpu(runtime: Caller) -> None:
    """A second of a busy process is counted as one, within what its start and end take."""
    bundle = runtime.shell("read x < /go; timeout 1 sh -c 'while :; do :; done'; times; sleep 100")
    os.mkfifo(bundle.rootfs / "go")
    id = runtime.launch(bundle)
    before = stats(runtime, id)["cpu"]["usage"]
    (bundle.rootfs / "go").write_text("go\n")
    wait_for(lambda: runtime.output(id).count("\n") >= 2, "the process's own times", 20)
    children = runtime.output(id).split()[2:4]  # user and system, as 0m0.98s
    seconds = sum(float(word.split("m")[1].rstrip("s")) for word in children)
    usage = stats(runtime, id)["cpu"]["usage"]
    assert (usage["total"] - before["total"]) / 1e9 == pytest.approx(seconds, abs=0.25)
    parts = usage["user"] + usage["kernel"] - before["user"] - before["kernel"]
    assert parts / 1e9 == pytest.approx(seconds, abs=0.25)


@pytest.mark.kernel
@pytest.mark.vm
def test_memory_and_pids(runtime: Caller) -> None:
    """Sixteen megabytes of a file in memory and three processes, under their limits."""
    script = "dd if=/dev/zero of=/dev/shm/f bs=1M count=16 2>/dev/null; sleep 100 & sleep 100 & echo up; wait"
    limits = {"memory": {"limit": 64 << 20}, "pids": {"limit": 10}}
    id = runtime.launch(runtime.shell(script, {"linux": {"resources": limits}}))
    wait_for(lambda: "up" in runtime.output(id), "the file in memory")
    data = stats(runtime, id)
    assert 16 << 20 <= data["memory"]["usage"]["usage"] < 24 << 20
    assert 16 << 20 <= data["memory"]["cache"] < 24 << 20
    assert data["memory"]["usage"]["limit"] == 64 << 20
    assert data["pids"] == {"current": 3, "limit": 10}


@pytest.mark.kernel
@pytest.mark.vm
def test_throttling(runtime: Caller) -> None:
    """A busy process under a tenth of a cpu is throttled in nearly every period."""
    limits = {"cpu": {"quota": 10000, "period": 100000}}
    script = "timeout 1 sh -c 'while :; do :; done'; echo done; sleep 100"
    id = runtime.launch(runtime.shell(script, {"linux": {"resources": limits}}))
    wait_for(lambda: "done" in runtime.output(id), "a second of work", 20)
    found = stats(runtime, id)["cpu"]["throttling"]
    assert found["periods"] >= found["throttledPeriods"] >= 4
    assert found["throttledTime"] > 100_000_000


@pytest.mark.kernel
@pytest.mark.vm
def test_a_stream(runtime: Caller) -> None:
    """Statistics at each interval, a line for a kill by the memory limit, and an end with the container."""
    limits = {"memory": {"limit": 24 << 20, "swap": 24 << 20}}
    id = runtime.launch(runtime.shell("exec sleep 100", {"linux": {"resources": limits}}))
    command = runtime.command("events", "--interval", "200ms", id)
    stream = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert stream.stdout is not None
    first = json.loads(stream.stdout.readline())
    assert first["type"] == "stats"
    runtime.exec(id, ["sh", "-c", "head -c 200000000 /dev/zero | tail -c 200000000 | wc -c"])
    end = time.monotonic() + 10
    while json.loads(stream.stdout.readline()) != {"type": "oom", "id": id}:
        assert time.monotonic() < end, "no event of the kill"
    runtime.kill(id)
    assert stream.wait(10) == 0
    stream.stdout.close()


def test_wrong_words(runtime: Caller) -> None:
    """A wrong interval, a container that is stopped or that there is not."""
    id = runtime.launch(runtime.sleeper())
    for interval in ("0s", "five", "5parsecs"):
        runtime.call("events", "--interval", interval, id).failed(1)
    runtime.kill(id)
    runtime.wait_status(id)
    runtime.call("events", "--stats", id).failed(1)
    assert "does not exist" in runtime.call("events", "--stats", "nobody").failed(1).err
