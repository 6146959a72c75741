"""Stand-ins of containers, ended after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.lifecycle.stand_in import StandIn


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A state directory that does not exist yet."""
    return tmp_path / "run" / "ocirun"


@pytest.fixture
def made(root: Path) -> Iterator[Callable[..., StandIn]]:
    """made(id="one", then="run", *messages, **record): a created container."""
    all = []

    def make(id: str = "one", then: str = "run", *messages: bytes, **changes: Any) -> StandIn:
        all.append(StandIn(root, id, then, *messages, **changes))
        return all[-1]

    yield make
    for one in all:
        one.end()


@pytest.fixture
def warnings() -> list[str]:
    """What a test gives as ``warn``: warnings.append."""
    return []
