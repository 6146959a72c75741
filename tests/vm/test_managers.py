"""Podman, containerd and Docker with systemd's cgroup manager, which is their default where systemd runs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import systemd
from tests.integration.managers import ROWS, Manager, Starter, starter

SYSTEMD = [row for row in ROWS if row.get("systemd")]


@pytest.fixture(scope="module")
def manager(runtime_program: str, workplace: Path, busybox: Path) -> Iterator[Starter]:
    if not systemd.running():
        pytest.skip("needs a host that systemd runs")
    with starter(runtime_program, workplace, busybox, "systemd") as get:
        yield get


def name(row: dict[str, Any]) -> str:
    return f"{row['manager']}: {row['name']}"


@pytest.mark.vm
@pytest.mark.parametrize("row", SYSTEMD, ids=name)
def test_row(manager: Starter, row: dict[str, Any]) -> None:
    """The manager's command prints and exits with systemd's cgroups as the row says."""
    manager(row["manager"]).check_row(row)


@pytest.mark.user_session
@pytest.mark.parametrize("row", [row for row in SYSTEMD if row["manager"] == "podman"], ids=name)
def test_rootless_row(manager: Starter, row: dict[str, Any]) -> None:
    """The manager's command prints and exits in units of an ordinary user's systemd as the row says."""
    manager("podman").check_row(row)


@pytest.mark.vm
@pytest.mark.parametrize("name", ["podman", "docker", "containerd"])
def test_the_unit(manager: Starter, name: str) -> None:
    """The container is in a delegated scope of its own, in the slice that the manager was told."""
    check_unit(manager(name))


@pytest.mark.user_session
def test_the_unit_of_a_user(manager: Starter) -> None:
    """An ordinary user's container is in a delegated scope of its own, below the user's systemd."""
    check_unit(manager("podman"))


def check_unit(one: Manager) -> None:
    id, user = f"{one.words['token']}-unit", os.geteuid() != 0
    words = {"id": id}
    try:
        assert one.call(one.table["background"], words).code == 0
        slice = systemd.cgroup(f"{one.words['token']}.slice", user)
        [scope] = [path for path in slice.glob("*.scope") if "sleep 60" in systemd.programs(path)]
        said = systemd.show(scope.name, "Delegate", "Slice", user=user)
        assert said == {"Delegate": "yes", "Slice": slice.name}
    finally:
        for command in one.table["remove"]:
            one.call(command, words)
    assert not scope.exists()
