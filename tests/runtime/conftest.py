"""Real cgroups for tests: below a name of the test's own, gone afterwards."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import files
from runtime.cgroups import layout
from runtime.host import cgroups


def directories(name: str) -> list[Path]:
    """Every cgroup of this name directly below a mounted hierarchy."""
    facts = cgroups.read()
    paths = [Path(hierarchy["mountpoint"], name) for hierarchy in facts["hierarchies"]]
    return [path for path in paths if path.is_dir()]


@pytest.fixture
def name(needs_root: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """The first component of the test's cgroup paths. Nothing of it may be left."""
    if not cgroups.read()["hierarchies"]:
        pytest.skip("no cgroup hierarchy is mounted")
    own = f"ocirun-test-{os.getpid()}-{abs(hash(request.node.nodeid)) % 10**8}"
    yield own
    left = directories(own)
    for path in left:
        for below in [*sorted(path.rglob("*"), reverse=True), path]:
            if below.is_dir():
                below.rmdir()
    assert left == []


@pytest.fixture
def locations(name: str) -> Callable[[str], list[Any]]:
    """Where the cgroups of a container at /NAME/PATH are."""
    return lambda path: layout.locations(f"/{name}/{path}", "box", cgroups.read())


@pytest.fixture
def sleeper() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a process that enters the cgroups of an intent and sleeps."""
    started: list[subprocess.Popen[bytes]] = []

    def start(intent: list[dict[str, Any]], below: str = "") -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)
        started.append(process)
        for row in intent:
            if row["version"] == 2 or not below:
                files.write(f"{row['path']}{below}/cgroup.procs", str(process.pid).encode())
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
