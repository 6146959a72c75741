"""SIGKILL at 40 system calls of `bundle unpack`; conformance/sweeps/unpack.py takes them all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conformance.sweeps.crash import sample
from conformance.sweeps.unpack import Sweep, sweep

SEED = 7
EACH = 20


@pytest.mark.not_on("runc", "crun", reason="has no images")
@pytest.mark.parametrize("flags", [(), ("--copy",)])
def test_what_a_killed_unpack_leaves(runtime_program: str, workplace: Path, token: str, flags: tuple[str, ...]) -> None:
    """The bundle is whole or not there; the next call succeeds, and prune leaves nothing that nobody uses."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    one = Sweep(runtime_program, workplace / token, flags)
    struck, wrong = sweep(one, sample(one.points(), EACH, SEED))
    assert wrong == {}
    assert struck >= EACH - 1
