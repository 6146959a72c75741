"""events: the stream. What the statistics count is in tests/integration/resources."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.integration.caller import Caller, ended
from tests.integration.resources.readings import TAKE


def stats(runtime: Caller, id: str) -> dict:
    event = json.loads(runtime.call("events", "--stats", id).ok().out)
    assert (event["type"], event["id"]) == ("stats", id)
    return event["data"]


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
def test_a_stream(runtime: Caller) -> None:
    """events: statistics at each interval, a line for an out-of-memory kill, and an end when the container ends."""
    limits = {"memory": {"limit": 24 << 20, "swap": 24 << 20}}
    id = runtime.launch(runtime.shell("exec sleep 100", {"linux": {"resources": limits}}))
    command = runtime.command("events", "--interval", "200ms", id)
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as stream:
        assert stream.stdout is not None
        first = json.loads(stream.stdout.readline())
        assert first["type"] == "stats"
        runtime.exec(id, TAKE.format(60000000))
        end = time.monotonic() + 30
        while json.loads(stream.stdout.readline()) != {"type": "oom", "id": id}:
            assert time.monotonic() < end, "no event of the kill"
        runtime.kill(id)
        assert stream.wait(10) == 0


def test_wrong_words(runtime: Caller) -> None:
    """A wrong interval, a container that is stopped or that there is not."""
    id = runtime.launch(runtime.sleeper())
    for interval in ("0s", "five", "5parsecs"):
        runtime.call("events", "--interval", interval, id).failed(1)
    runtime.kill(id)
    runtime.wait_status(id)
    runtime.call("events", "--stats", id).failed(1)
    assert "does not exist" in runtime.call("events", "--stats", "nobody").failed(1).err
