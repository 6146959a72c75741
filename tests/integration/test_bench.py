"""The benches run, and leave nothing behind: neither at their end nor when a signal ends them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.bench.places import MEMORY
from tests.integration import snapshot

pytestmark = pytest.mark.slow


def start(tree: Path, script: str, directory: Path, *options: str) -> subprocess.Popen[str]:
    """The script, with its temporary files below `directory`."""
    (directory / "tmp").mkdir()
    command = [sys.executable, tree / "conformance/bench" / script, "--output", directory / "pages", *options]
    pipe = subprocess.PIPE
    environment = {**os.environ, "TMPDIR": str(directory / "tmp")}
    return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment)


def nothing_left(bench: subprocess.Popen[str], directory: Path) -> None:
    token = f"ocirun-bench-{bench.pid}"
    assert snapshot.cgroups(token) == set()
    assert list((directory / "tmp").iterdir()) == []
    assert states(bench) == []
    running = [snapshot.command_of(int(name)) for name in os.listdir("/proc") if name.isdigit()]
    assert [command for command in running if token in command] == []


def states(bench: subprocess.Popen[str]) -> list[Path]:
    """The state directories of ocirun's containers."""
    return list(Path(MEMORY).glob(f"ocirun-bench-*/state-ocirun/ocirun-bench-{bench.pid}-*"))


def test_density(tree: Path, tmp_path: Path):
    """A small run of density.py writes its three files, and its containers leave nothing."""
    counts = "--created 3 --compared 2 --runs 1 --at-once 4 --rounds 1 --in-a-row 12 --peers-every 5"
    bench = start(tree, "density.py", tmp_path, *counts.split())
    said, _ = bench.communicate(timeout=120)
    assert bench.returncode == 0, said
    nothing_left(bench, tmp_path)
    result = json.loads((tmp_path / "pages/density.json").read_text())
    assert result["in_a_row"]["left"] == {}
    assert result["in_a_row"]["runtimes"]["ocirun"]["n"] == 12
    page = (tmp_path / "pages/density.md").read_text()
    for heading in (
        "3 created containers",
        "2 created containers, 1 runs",
        "4 lifecycles at once",
        "12 lifecycles in a row",
    ):
        assert f"## {heading}\n" in page
    assert (tmp_path / "pages/density.svg").read_text().startswith("<svg ")


def test_the_commands(tree: Path, tmp_path: Path):
    """A small run of bench.py writes its three files; with a second file of ours it has a column for each."""
    launcher = ["--launcher", str(tree / "build/ocirun")]
    bench = start(tree, "bench.py", tmp_path, "--n", "1", "--no-extras", *launcher)
    said, _ = bench.communicate(timeout=120)
    assert bench.returncode == 0, said
    nothing_left(bench, tmp_path)
    page = (tmp_path / "pages/bench.md").read_text()
    assert "|  | ocirun | ocirun (launcher) |" in page
    assert "faults, ocirun (launcher)" in page


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param("--compared 300 --runs 1", id="created"),
        pytest.param("--runs 0 --created 1 --at-once 8 --rounds 300", id="at_once"),
    ],
)
def test_a_signal(tree: Path, tmp_path: Path, counts: str):
    """SIGTERM in the middle ends the bench with 143, its containers with it."""
    bench = start(tree, "density.py", tmp_path, "--runtimes", "ocirun", *counts.split())
    try:
        deadline = time.monotonic() + 60
        while len(states(bench)) < 5:
            assert bench.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        bench.send_signal(signal.SIGTERM)
        said, _ = bench.communicate(timeout=60)
    assert bench.returncode == 128 + signal.SIGTERM, said
    nothing_left(bench, tmp_path)
