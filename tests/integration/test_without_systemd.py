"""--systemd-cgroup where no systemd answers. What it does where one does: tests/vm/test_systemd.py."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import systemd
from tests.integration.caller import Caller

ADDRESS = "DBUS_SYSTEM_BUS_ADDRESS"


@pytest.fixture
def listener(runtime: Caller) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A socket that listens, and the environment that names it as the bus."""
    with socket.socket(socket.AF_UNIX) as made:
        path = runtime.directory / "bus"
        made.bind(str(path))
        made.listen()
        yield made, {ADDRESS: f"unix:path={path}"}


def bundle(runtime: Caller) -> Path:
    return runtime.bundle({"linux": {"cgroupsPath": f"system.slice:test:{runtime.token}"}}).directory


def ours(runtime: Caller) -> None:
    if runtime.name != "ocirun":
        pytest.skip("about the words of ocirun")


@pytest.mark.slow
def test_a_hung_bus(runtime: Caller, listener: tuple[socket.socket, dict[str, str]]) -> None:
    """One that accepts and never answers is an error within half a minute, and nothing is left."""
    ours(runtime)
    begin = time.monotonic()
    failed = runtime.call(
        "--systemd-cgroup", "create", "--bundle", bundle(runtime), runtime.new_id(), env=listener[1], timeout=40
    ).failed()
    assert time.monotonic() - begin < 30
    assert "reach systemd through unix:path=" in failed.err
    assert "no answer within 10 seconds" in failed.err
    assert runtime.known_ids() == []


def test_a_bus_that_is_gone(runtime: Caller, listener: tuple[socket.socket, dict[str, str]]) -> None:
    """A socket that nobody listens at any more is named, with what to do."""
    ours(runtime)
    listener[0].close()
    failed = runtime.call(
        "--cgroup-manager=systemd", "create", "--bundle", bundle(runtime), runtime.new_id(), env=listener[1]
    ).failed()
    assert f"{listener[1][ADDRESS]}: connection refused" in failed.err
    assert "cgroupfs" in failed.err
    assert runtime.known_ids() == []


def test_a_host_without_systemd(runtime: Caller) -> None:
    """Without systemd the error names both ways to it that were tried."""
    ours(runtime)
    if systemd.running() or os.environ.get(ADDRESS):
        pytest.skip("systemd runs here")
    failed = runtime.call("--systemd-cgroup", "run", "--bundle", bundle(runtime), runtime.new_id()).failed()
    assert "/run/dbus/system_bus_socket" in failed.err
    assert "/run/systemd/private" in failed.err
    assert "the host does not run systemd: use --cgroup-manager cgroupfs" in failed.err


def test_a_path_of_the_other_manager(runtime: Caller) -> None:
    """cgroupfs's form is an error with its place and an example, before anybody is asked."""
    ours(runtime)
    where = runtime.bundle({"linux": {"cgroupsPath": "/a/b"}}).directory
    failed = runtime.call("--systemd-cgroup", "create", "--bundle", where, runtime.new_id()).failed()
    assert "/linux/cgroupsPath: the systemd cgroup manager needs the form" in failed.err
    assert "system.slice:ocirun:" in failed.err
