"""Checkpoint and restore as Podman and containerd call them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import systemd
from tests.integration.caller import wait_for
from tests.integration.checkpointing import working_criu
from tests.integration.managers import Manager, Starter, starter

pytestmark = pytest.mark.vm
COUNTER = "sh -c 'i=0; while :; do i=$((i+1)); echo $i > /count; echo count $i; sleep 0.2; done'"


@pytest.fixture(scope="module")
def manager(runtime_program: str, workplace: Path, busybox: Path) -> Iterator[Starter]:
    if not working_criu():
        pytest.skip("CRIU is not installed or does not work on this kernel")
    with starter(runtime_program, workplace, busybox, "systemd" if systemd.running() else "cgroupfs") as get:
        yield get


def done(one: Manager, command: str, id: str) -> str:
    outcome = one.call(command, {"id": id})
    assert outcome.code == 0, f"{command}\n{outcome.out}\n{outcome.err}"
    return outcome.out


def count(one: Manager, enter: str, id: str) -> int:
    """How far the container has counted."""
    return int(wait_for(lambda: one.call(f"{enter} cat /count", {"id": id}).out, "a count"))


def test_podman(manager: Starter) -> None:
    """podman container checkpoint and restore: the program goes on; also from an archive, and with --leave-running."""
    one = manager("podman")
    id = f"{one.words['token']}-c"
    try:
        done(one, f"run -d --name {{id}} {{run}} {{image}} {COUNTER}", id)
        before = count(one, "exec {id}", id)
        done(one, "container checkpoint --leave-running --export {dir}/running.tar {id}", id)
        assert count(one, "exec {id}", id) >= before
        done(one, "container checkpoint {id}", id)
        assert done(one, "inspect --format '{{.State.Checkpointed}}' {id}", id) == "true\n"
        done(one, "container restore {id}", id)
        assert count(one, "exec {id}", id) >= before
        done(one, "container checkpoint --export {dir}/saved.tar {id}", id)
        done(one, "rm -f -t 0 {id}", id)
        done(one, "container restore --import {dir}/saved.tar", id)
        assert count(one, "exec {id}", id) >= before
        assert "count" in done(one, "logs {id}", id)
    finally:
        one.call("rm -f -t 0 {id}", {"id": id})


def test_podman_with_a_server_a_tmpfs_and_a_terminal(manager: Starter) -> None:
    """All of it is there again: what the tmpfs has, who listens, the terminal; and the server answers."""
    one = manager("podman")
    id = f"{one.words['token']}-s"
    serve = "nc -ll -p 7777 -e cat"
    program = f"sh -c 'echo kept > /scratch/file; tty > /scratch/tty; exec {serve}'"
    ask = "exec {id} sh -c 'echo ping | nc -w 2 127.0.0.1 7777'"
    try:
        done(one, f"run -d -t --name {{id}} {{run}} --tmpfs /scratch {{image}} {program}", id)
        wait_for(lambda: one.call(ask, {"id": id}).out == "ping\n", "an answer")
        tty = done(one, "exec {id} cat /scratch/tty", id)
        assert tty.startswith("/dev/")
        done(one, "container checkpoint --tcp-established {id}", id)
        done(one, "container restore --tcp-established {id}", id)
        assert done(one, "exec {id} cat /scratch/file /scratch/tty", id) == "kept\n" + tty
        assert done(one, "exec {id} readlink /proc/1/fd/0", id) == tty
        wait_for(lambda: one.call(ask, {"id": id}).out == "ping\n", "an answer after the restore")
    finally:
        one.call("rm -f -t 0 {id}", {"id": id})


def test_containerd(manager: Starter) -> None:
    """ctr container checkpoint with its task, and restore --live: the program goes on."""
    one = manager("containerd")
    id, image = f"{one.words['token']}-c", f"localhost/{one.words['token']}:saved"
    try:
        done(one, f"run -d {{run}} {{image}} {{id}} {COUNTER}", id)
        before = count(one, "task exec --exec-id first {id}", id)
        done(one, f"container checkpoint --image --task --rw {{id}} {image}", id)
        one.call("task delete -f {id}", {"id": id})
        done(one, "container delete {id}", id)
        done(one, f"container restore --rw --live {{id}} {image}", id)
        assert count(one, "task exec --exec-id second {id}", id) >= before
    finally:
        for command in one.table["remove"]:
            one.call(command, {"id": id})
