"""`make demo`, the first thing that anyone sees."""

import subprocess
import sys
from pathlib import Path


def test_the_demo_shows_only_what_holds(tree: Path):
    """The demo runs, and each thing that its container tries is refused."""
    command = [sys.executable, tree / "conformance/demo/demo.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "✘" not in done.stdout
    assert done.stdout.count("✔") == 10
    assert done.stderr == ""
