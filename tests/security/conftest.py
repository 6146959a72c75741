"""Fixtures of the attacks: a runtime to attack, ocirun or a peer; the rest is the integration tests' own."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import snapshot
from tests.integration.bundle import BUSYBOX
from tests.integration.caller import DEFAULT_RUNTIME, Caller
from tests.integration.conftest import busybox, chosen_runtime, netns, token, workplace
from tests.security.attack import Target

__all__ = ["busybox", "netns", "token", "workplace"]

HERE = Path(__file__).parent

# crun refuses a hybrid host whose v2 hierarchy has controllers: it gets a mount namespace without that one.
WITHOUT_HYBRID = """#!/bin/sh
exec unshare --mount --propagation private sh -c \\
  'umount -l /sys/fs/cgroup/unified 2>/dev/null; exec {program} "$@"' crun "$@"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = None
    if os.geteuid() != 0:
        reason = "needs root"
    elif not BUSYBOX.exists():
        reason = f"{BUSYBOX} is not installed"
    for item in items:
        if HERE in item.path.parents and reason and "no_runtime" not in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


def program_of(name: str, directory: Path) -> str:
    if name == "ocirun":
        chosen = chosen_runtime()
        return chosen if os.path.basename(chosen) == "ocirun" else str(DEFAULT_RUNTIME)
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    if name != "crun":
        return program
    script = directory / "crun"
    script.write_text(WITHOUT_HYBRID.format(program=program))
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def target(request: pytest.FixtureRequest, workplace: Path, busybox: Path, token: str) -> Iterator[Target]:
    """The runtime that the parameter names, with a state root of its own. ocirun must leave nothing behind."""
    directory = workplace / token
    directory.mkdir()
    caller = Caller(program_of(request.param, directory), directory, token, busybox)
    caller.root.mkdir()
    before = snapshot.take(token, caller.root)
    yield Target(caller, request.param)
    caller.remove_all()
    left = snapshot.leftovers(before, token, caller.root) if request.param == "ocirun" else {}
    if request.param != "ocirun":
        for path in sorted(snapshot.cgroups(token), key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(path)  # a peer's: they are not what is judged
    caller.discard()
    assert not left, f"left behind: {left}"
