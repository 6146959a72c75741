"""Every row of managers.toml: Podman, Buildah, containerd, Docker and BuildKit run containers with the runtime under test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.managers import ROWS, Starter, missing_need, starter

TESTED = [row for row in ROWS if not row.get("table")]


@pytest.fixture(scope="module")
def manager(runtime_program: str, workplace: Path, busybox: Path) -> Iterator[Starter]:
    with starter(runtime_program, workplace, busybox) as get:
        yield get


@pytest.mark.parametrize("row", TESTED, ids=[f"{row['manager']}: {row['name']}" for row in TESTED])
def test_row(manager: Starter, row: dict[str, Any], runtime_program: str) -> None:
    """The manager's command prints and exits as the row says."""
    if os.path.basename(runtime_program) in row.get("not_on", []):
        pytest.skip("this peer fails here")
    if missing := missing_need(row):
        pytest.skip(f"{missing} is not installed")
    manager(row["manager"]).check_row(row)
