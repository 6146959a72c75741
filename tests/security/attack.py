"""What an attack is: the hole that it goes for, what closes it here, and which installed peer it still gets through.

A test marked with `attack` builds the attack for the kernel at hand and tells its `target` whether it came through. On
ocirun it must not. The same test runs on each peer of ``bites``, where it must: so the attack is known to be one.
docs/security.md is made from the marks (tests/security/page.py).
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.integration.caller import Caller

RENAME_EXCHANGE = 2
AT_FDCWD = -100
RACE = 3.0  # seconds that a race is tried on ocirun
PATIENCE = 20.0  # seconds after which a peer must have lost it

Test = TypeVar("Test", bound=Callable[..., None])


def attack(hole: str, what: str, *, stops: str, bites: tuple[str, ...] = ()) -> Callable[[Test], Test]:
    """Marks a test. ``hole``: CVE numbers or "own find"; ``what`` and ``stops``: the row of docs/security.md.

    ``bites``: the Debian packages that the attack gets through. With none, the docstring says how the attack is known
    to be one.
    """

    def mark(test: Test) -> Test:
        test = pytest.mark.attack(hole=hole, what=what, stops=stops, bites=bites)(test)
        return pytest.mark.parametrize("target", ["ocirun", *bites], indirect=True)(test)

    return mark


class Target:
    """A runtime under attack."""

    def __init__(self, caller: Caller, name: str) -> None:
        self.caller = caller
        self.name = name
        self.racing = False

    @property
    def ours(self) -> bool:
        return self.name == "ocirun"

    @property
    def patience(self) -> float:
        """How long a race is tried."""
        return RACE if self.ours else PATIENCE

    def judge(self, came_through: Any, evidence: Any = "") -> None:
        """Fails the test when ocirun let the attack through, or a peer did not; skips it where a peer's race was lost."""
        if self.ours:
            assert not came_through, f"the attack came through: {evidence or came_through}"
        elif self.racing and not came_through:
            pytest.skip(f"the race against {self.name} was not won within {self.patience:g} s")
        else:
            assert came_through, f"{self.name} withstands this attack now: take it out of bites ({evidence})"

    def rounds(self) -> Iterator[int]:
        """Counts rounds of a race until its time is over; 3 at least."""
        self.racing = True
        end = time.monotonic() + self.patience
        count = 0
        while count < 3 or time.monotonic() < end:
            yield count
            count += 1


def _swap(one: bytes, other: bytes) -> None:
    libc = ctypes.CDLL(None)
    while True:
        libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """A process that exchanges two names as fast as it can, so that each look may see another one."""
    racer = multiprocessing.get_context("fork").Process(target=_swap, args=(os.fsencode(one), os.fsencode(other)))
    racer.start()
    try:
        yield
    finally:
        if racer.pid:
            os.kill(racer.pid, signal.SIGKILL)
        racer.join()


def names(directory: Path) -> set[str]:
    """Everything below a directory."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}
