"""The table of operations is the one source of them: what is made from it is as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.guards.sources import TREE

MADE = ("csrc/operations.h", "csrc/arguments.h", "csrc/dispatch.c", "runtime/plan/ops.py")


def test_what_is_made_is_up_to_date(tmp_path: Path) -> None:
    """`make generate` changes nothing."""
    subprocess.run([sys.executable, str(TREE / "csrc/tools/operations.py"), str(tmp_path)], check=True)
    stale = [name for name in MADE if (tmp_path / name).read_text() != (TREE / name).read_text()]
    assert stale == [], "run make generate"
