"""What the tests of the init program share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.plan import ops
from tests.csrc.init_runner import Started, run


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root with the directories that every image has."""
    root = tmp_path / "rootfs"
    for name in ("proc", "sys", "dev", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    return root


@pytest.fixture
def go(rootfs: Path) -> Iterator[Callable[..., Started]]:
    """Runs operations in ``rootfs``, stopped before the end so that one can look; everything is gone after the test."""
    started: list[Started] = []

    def start(operations: "list[ops.Operation]", **more: object) -> Started:
        started.append(run(rootfs, operations, **more))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.stop()
