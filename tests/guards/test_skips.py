"""`.ci/skips.py`, which keeps a test from being skipped unseen."""

import subprocess
import sys
from pathlib import Path

REPORT = """<testsuites><testsuite>
<testcase classname="tests.a.test_one" name="test_kept[x-1]"><skipped type="pytest.skip" message="no qemu"/></testcase>
<testcase classname="tests.a.test_one" name="test_known"><skipped type="pytest.xfail" message=""/></testcase>
<testcase classname="tests.a.test_one" name="test_ran"/>
</testsuite></testsuites>"""


def run(tree: Path, tmp_path: Path, listed: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "report.xml").write_text(REPORT)
    (tmp_path / "skips.txt").write_text(listed)
    command = [sys.executable, tree / ".ci" / "skips.py", tmp_path / "skips.txt", tmp_path / "report.xml"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_unlisted_skip_fails(tree: Path, tmp_path: Path):
    """A skipped test that no line names fails the run and is named with its reason."""
    done = run(tree, tmp_path, "# nothing\n")
    assert done.returncode == 1
    assert "tests/a/test_one.py::test_kept[x-1]: no qemu" in done.stdout
    assert "test_known" not in done.stdout


def test_a_listed_skip_passes(tree: Path, tmp_path: Path):
    """A line with a pattern and a reason lets the test skip."""
    assert run(tree, tmp_path, "tests/a/test_one.py::test_kept[x-1]  # needs qemu\n").returncode == 0


def test_a_line_needs_its_reason(tree: Path, tmp_path: Path):
    """A line without a reason is refused."""
    done = run(tree, tmp_path, "tests/a/test_one.py::*\n")
    assert done.returncode == 1
    assert "skips.txt:1: no reason" in done.stderr
