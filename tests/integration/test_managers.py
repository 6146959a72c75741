"""Every row of managers.toml: Podman, containerd and Docker run containers with the runtime under test."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import managers, snapshot

ROWS: list[dict[str, Any]] = managers.TABLE["row"]


@pytest.fixture(scope="module")
def manager(runtime_program: str, workplace: Path, busybox: Path) -> Iterator[Callable[[str], managers.Manager]]:
    """Starts a manager at its first use; all end with the module, and leave no cgroup, mount or process."""
    token = f"m{secrets.token_hex(4)}"
    before = snapshot.take(token)
    started: dict[str, managers.Manager] = {}

    def get(name: str) -> managers.Manager:
        missing = managers.missing_program(name)
        if missing:
            pytest.skip(f"{missing} is not installed")
        if name not in started:
            started[name] = managers.Manager(name, workplace / token / name, runtime_program, token, busybox)
        return started[name]

    yield get
    for one in started.values():
        one.close()
    # The parent was asked for by name and is shared by the containers: no runtime may remove it. Podman puts
    # its monitor beside them.
    for mount in snapshot.cgroup_mounts():
        for directory in (mount / token / "conmon", mount / token):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
    left = snapshot.leftovers(before, token, patience=5)
    assert not left, f"left behind: {left}"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['manager']}: {row['name']}" for row in ROWS])
def test_row(manager: Callable[[str], managers.Manager], row: dict[str, Any], runtime_program: str) -> None:
    """The manager's command prints and exits as the row says."""
    if os.path.basename(runtime_program) in row.get("not_on", []):
        pytest.skip("this peer fails here")
    one = manager(row["manager"])
    for attempt in range(row.get("attempts", 1)):
        words = {"id": f"{one.words['token']}-{ROWS.index(row)}-{attempt}"}
        outcome = run_row(one, row, words)
        if outcome.out:
            break
    said = f"stdout: {outcome.out}\nstderr: {outcome.err}"
    assert outcome.code == row["exit"], said
    if "pattern" in row:
        assert re.fullmatch(one.fill(row["pattern"], words), outcome.out), said
    else:
        assert outcome.out == one.fill(row["stdout"], words), said
    assert row.get("stderr", "") in outcome.err, said
    assert outcome.seconds <= row.get("within", 60), f"took {outcome.seconds:.2f} s"


def run_row(one: managers.Manager, row: dict[str, Any], words: dict[str, str]) -> managers.Outcome:
    try:
        for command in row.get("before", []):
            prepared = one.call(command, words)
            assert prepared.code == 0, f"{command}: {prepared.err}"
        return one.call(row["command"], words, on_terminal=row.get("terminal", False))
    finally:
        for command in row.get("after", []):
            one.call(command, words)
