"""`make lint`, as tests: a formatter's or checker's complaint is a failure like any other."""

import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("target", ["lint-python", "lint-c", "lint-shell"])
def test_lint_is_clean(target: str, tree: Path):
    """The linters find nothing."""
    done = subprocess.run(
        ["make", "--no-print-directory", target], cwd=tree, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
