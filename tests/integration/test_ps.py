"""ps: the container's processes as the host has them."""

from __future__ import annotations

import json

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller, wait_for


@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.cgroups
def test_pids(runtime: Caller) -> None:
    """ps: the host pids of the first process and its descendants, and no others."""
    id = runtime.launch(runtime.shell("sleep 50 & sleep 51 & wait"))
    init = runtime.pid(id)
    wait_for(lambda: len(snapshot.descendants(init)) == 2, "both children")
    pids = json.loads(runtime.call("ps", "--format", "json", id).ok().out)
    assert pids == sorted([init, *snapshot.descendants(init)])


def test_table(runtime: Caller) -> None:
    """The heading and lines of the host's ps -ef."""
    id = runtime.launch(runtime.shell("exec sleep 100"))
    lines = runtime.call("ps", id).ok().out.splitlines()
    assert lines[0].split()[:2] == ["UID", "PID"]
    assert [line.split()[1] for line in lines[1:]] == [str(runtime.pid(id))]


def test_arguments_of_ps(runtime: Caller) -> None:
    """What follows the id goes to ps; a format without pids cannot be filtered."""
    id = runtime.launch(runtime.shell("exec sleep 100"))
    lines = runtime.call("ps", id, "-e", "-o", "comm,pid").ok().out.splitlines()
    assert lines[0].split() == ["COMMAND", "PID"]
    assert [line.split() for line in lines[1:]] == [["sleep", str(runtime.pid(id))]]
    runtime.call("ps", id, "-e", "-o", "comm").failed(1)


def test_wrong_words(runtime: Caller) -> None:
    """A format that there is not, arguments that ps refuses, a container that there is not."""
    id = runtime.launch(runtime.sleeper())
    runtime.call("ps", "--format", "xml", id).failed(1)
    assert runtime.call("ps", id, "--no-such-option").failed(1).err
    assert "does not exist" in runtime.call("ps", "nobody").failed(1).err
