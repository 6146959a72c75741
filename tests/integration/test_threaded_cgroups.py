"""A cgroup of v2 in a place where not every cgroup can be: below a threaded one, below one that has processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import snapshot
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import FORKS, REFUSED, Counters, on_v2, unified_mounts

pytestmark = pytest.mark.vm


@pytest.fixture
def parent(token: str) -> Iterator[Path]:
    """A new cgroup of v2, for containers to be put below."""
    if not unified_mounts():
        pytest.skip("the machine has no cgroup v2")
    path = unified_mounts()[0] / f"{token}-parent"
    path.mkdir()
    yield path
    for directory, _, _ in os.walk(path, topdown=False):
        Path(directory).rmdir()


def below(runtime: Caller, parent: Path, name: str, script: str, **resources: object) -> Bundle:
    bundle = runtime.shell(script, {"linux": {"resources": resources}})
    bundle.linux["cgroupsPath"] = f"/{parent.name}/{name}"
    return bundle.save()


def make_threaded(parent: Path) -> None:
    """The parent becomes "domain threaded", a child of it "threaded": what is made in either is "domain invalid"."""
    (parent / "threads").mkdir()
    (parent / "threads/cgroup.type").write_text("threaded")
    assert (parent / "cgroup.type").read_text() == "domain threaded\n"


@pytest.mark.not_on("runc", "crun", reason="they look at the first hierarchy only on a host with v1")
@pytest.mark.parametrize("name", ["box", "new/box", "threads/box"])
def test_below_a_threaded_cgroup(runtime: Caller, parent: Path, name: str) -> None:
    """The container's cgroup becomes threaded too; it is listed, paused, entered, killed and removed like another."""
    make_threaded(parent)
    id = runtime.launch(below(runtime, parent, name, "sleep 100 & echo up; exec sleep 100"))
    wait_for(lambda: "up" in runtime.output(id), "processes")
    assert Counters(runtime, id).unified() == parent / name
    assert (parent / name / "cgroup.type").read_text() == "threaded\n"
    init = runtime.pid(id)
    pids = sorted([init, *snapshot.descendants(init)])
    assert json.loads(runtime.call("ps", "--format", "json", id).ok().out) == pids
    assert f"/{parent.name}/{name}" in runtime.exec(id, "cat /proc/self/cgroup").ok().out
    runtime.call("pause", id).ok()
    assert runtime.status(id) == "paused"
    runtime.call("kill", "--all", id, "KILL").ok()
    runtime.wait_status(id)
    runtime.call("delete", id).ok()
    assert not (parent / name).exists()


@pytest.mark.not_on("runc", "crun", reason="words of our own")
def test_limits_below_a_threaded_cgroup(runtime: Caller, parent: Path) -> None:
    """A limit whose controller can tell threads apart holds there; another is refused, by its name and with what to do."""
    make_threaded(parent)
    if on_v2("pids"):
        result = runtime.run(below(runtime, parent, "box", FORKS, pids={"limit": 4}))
        assert REFUSED in result.out + result.err
    for controller, resources in {
        "memory": {"memory": {"limit": 1 << 25}},
        "hugetlb": {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
    }.items():
        if on_v2(controller):
            error = runtime.try_create(below(runtime, parent, "box", "true", **resources)).failed(1).err
            assert f"below a threaded one, where the {controller} controller cannot be" in error
            assert "/linux/resources/" in error
            assert not (parent / "box").exists()


@pytest.mark.not_on("runc", "crun", reason="words of our own")
def test_below_a_cgroup_with_processes(runtime: Caller, parent: Path) -> None:
    """Below a cgroup with processes a container can be, but not with a limit, whose controller the parent cannot give on: the error says so."""
    with subprocess.Popen(["sleep", "100"]) as sleeper:
        try:
            (parent / "cgroup.procs").write_text(str(sleeper.pid))
            runtime.run(below(runtime, parent, "box", "true")).ok()
            controller, resources = next(
                (name, given)
                for name, given in {
                    "memory": {"memory": {"limit": 1 << 25}},
                    "hugetlb": {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
                }.items()
                if on_v2(name)
            )
            error = runtime.try_create(below(runtime, parent, "box", "true", **resources)).failed(1).err
            assert f"cannot have the {controller} controller" in error
            assert "has processes of its own: choose a cgroupsPath" in error
        finally:
            sleeper.kill()
    assert (parent / "cgroup.type").read_text() == "domain\n"
