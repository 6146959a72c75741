"""`make managers`: what its page says of a row, and when it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.managers import defects, known_lines, lacking, reason_of

ROWS = [{"manager": "own-id", "name": name} for name in ("one", "two")]


@pytest.mark.no_runtime
def test_a_defect_is_what_a_peer_does() -> None:
    """A row that fails with every runtime is the machine's; without peers each failure counts."""
    cells = {"ocirun": ["failed: a", "failed: b"], "crun": ["failed: c", "ok"], "runc": ["n/a: d", "failed: e"]}
    assert defects(ROWS, cells) == ["own-id: two: failed: b"]
    assert len(defects(ROWS, {"ocirun": cells["ocirun"]})) == 2
    assert defects(ROWS, {"ocirun": ["ok", "ok"], "runc": ["failed: f", "ok"]}) == []


@pytest.mark.no_runtime
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("exit 1\nstdout: \nstderr: first\nsecond\n", "exit 1; first"),
        ("exit 1\nstdout: \nstderr: #1 a step\nError: it | failed\n", "exit 1; Error: it \\| failed"),
        ("printed 'x'\nstdout: x\nstderr: ", "printed 'x'"),
        ("exit 1\nstdout: \nstderr: level=warning msg=old\n", "exit 1"),
    ],
)
def test_the_reason(wrong: str, reason: str) -> None:
    """The first line on standard error that says something, on one line of the table."""
    assert reason_of(wrong) == reason


@pytest.mark.no_runtime
def test_the_rows_of_an_older_page_are_known() -> None:
    """Those that were not run again keep their line, whatever the manager's version was."""
    text = "## Podman, rootless 4.3.1\n\n| | ocirun |\n|---|---|\n| run echo | ok |\n## containerd (ctr) 1.6.20~ds1\n| task ps | failed: a |\n"
    assert known_lines(text) == {
        ("Podman, rootless", "run echo"): "| run echo | ok |",
        ("containerd (ctr)", "task ps"): "| task ps | failed: a |",
    }


@pytest.mark.no_runtime
def test_what_the_machine_lacks() -> None:
    """A program that the row needs is named."""
    assert lacking({"manager": "buildah", "needs": ["no-such-program"]}) in (
        "no-such-program is not installed",
        "buildah is not installed",
    )
    row = {"manager": "buildah", "check": "sh -c 'echo no device >&2; exit 1'"}
    assert lacking(row) in ("sh -c 'echo no device >&2; exit 1': no device", "buildah is not installed")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed")
def test_a_small_run(tree: Path, workplace: Path, tmp_path: Path) -> None:
    """One row with one runtime: the page has it, and the private directories are gone."""
    command = [
        sys.executable,
        tree / "conformance/managers.py",
        "--runtimes=ocirun",
        "--managers=buildah",
        "--rows=exit 7",
    ]
    temporary = workplace / "table"
    temporary.mkdir(mode=0o755)
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [*command, "--output", tmp_path / "page.md"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "| run exit 7 | ok |" in (tmp_path / "page.md").read_text()
    assert list(temporary.iterdir()) == []
