"""delete: what it refuses, what it undoes, what a killed operation left."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import NotFound, OcirunError, WrongState
from runtime.lifecycle import state, store
from runtime.lifecycle.delete import delete
from runtime.lifecycle.start import start
from tests.runtime.lifecycle.stand_in import StandIn, record


def hook(script: str) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script]}


def test_a_stopped_container_goes(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """Its directory is gone, its id is free."""
    one = made()
    one.end()
    delete(one.root, "one", False, warnings.append)
    assert store.ids(one.root) == []
    assert warnings == []


@pytest.mark.parametrize("started", [False, True])
def test_a_live_container_is_refused(made: Callable[..., StandIn], warnings: list[str], started: bool) -> None:
    """Created or running: an error that names the status, and no effect."""
    one = made()
    if started:
        start(one.root, "one", warnings.append)
    status = "running" if started else "created"
    with pytest.raises(WrongState, match=f'cannot delete container "one" that is not stopped: {status}'):
        delete(one.root, "one", False, warnings.append)
    assert one.status() == status


def test_force_ends_it(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """SIGKILL, and gone when delete returns."""
    one = made()
    delete(one.root, "one", True, warnings.append)
    assert one.process.wait(10) == -9
    assert store.ids(one.root) == []


def test_a_missing_container(root: Path, warnings: list[str]) -> None:
    """An error, but not with force."""
    with pytest.raises(NotFound, match="does not exist"):
        delete(str(root), "one", False, warnings.append)
    delete(str(root), "one", True, warnings.append)


def test_what_a_killed_create_left(root: Path, warnings: list[str]) -> None:
    """A directory alone, and one with an intent, are both cleared by force."""
    os.close(store.reserve(str(root), "bare"))
    handle = store.reserve(str(root), "intent")
    store.write_state(handle, record("intent", status=state.CREATING))
    os.close(handle)
    for id in ("bare", "intent"):
        delete(str(root), id, True, warnings.append)
    assert store.ids(str(root)) == []


def test_a_bare_directory_is_no_container(root: Path, warnings: list[str]) -> None:
    """Without force it does not exist."""
    os.close(store.reserve(str(root), "bare"))
    with pytest.raises(NotFound):
        delete(str(root), "bare", False, warnings.append)


def test_an_intent_alone_is_a_stopped_container(root: Path, warnings: list[str]) -> None:
    """Nothing of it lives, so delete needs no force."""
    handle = store.reserve(str(root), "intent")
    store.write_state(handle, record("intent", status=state.CREATING))
    os.close(handle)
    delete(str(root), "intent", False, warnings.append)
    assert store.ids(str(root)) == []


def test_a_damaged_record(root: Path, warnings: list[str]) -> None:
    """force clears it with a warning."""
    handle = store.reserve(str(root), "one")
    store.write_file(handle, store.STATE, b"{")
    os.close(handle)
    with pytest.raises(OcirunError, match="damaged"):
        delete(str(root), "one", False, warnings.append)
    delete(str(root), "one", True, warnings.append)
    assert store.ids(str(root)) == []
    assert len(warnings) == 1


def test_poststop_hooks(made: Callable[..., StandIn], warnings: list[str], tmp_path: Path) -> None:
    """They see a stopped container; a failing one is a warning and the rest runs."""
    one = made(hooks={"poststop": [hook("exit 1"), hook(f"cat > {tmp_path}/seen")]})
    one.end()
    delete(one.root, "one", False, warnings.append)
    text = (tmp_path / "seen").read_text()
    assert '"status":"stopped"' in text
    assert '"pid":0' in text
    assert len(warnings) == 1
    assert store.ids(one.root) == []


def test_force_frees_a_start_that_hangs(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """A start whose init never answers holds the lock; killing init gives it back."""
    one = made(then="run")
    os.kill(one.process.pid, 19)  # SIGSTOP: it will not accept

    def hang() -> None:
        with pytest.raises(OcirunError, match="killed before its program ran"):
            start(one.root, "one", warnings.append)

    thread = threading.Thread(target=hang)
    thread.start()
    while thread.is_alive() and (one.path / "start.sock").exists():
        pass
    delete(one.root, "one", True, warnings.append)
    thread.join(10)
    assert not thread.is_alive()
    assert store.ids(one.root) == []


def test_two_deletes(made: Callable[..., StandIn]) -> None:
    """One of them does it; the other finds nothing, and with force no fault in that."""
    one = made()
    failed: list[Exception] = []

    def force() -> None:
        try:
            delete(one.root, "one", True, print)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=force) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failed == []
    assert store.ids(one.root) == []


def test_a_resctrl_group_goes_with_its_container(root: Path, tmp_path: Path, warnings: list[str]) -> None:
    """What the record says create meant to make is removed, as far as it was made."""
    group = tmp_path / "group"
    group.mkdir()
    handle = store.reserve(str(root), "one")
    intent = {"tasks": [], "made": [str(group / "mon_groups/one"), str(group)]}
    store.write_state(handle, {**record("one", status=state.CREATING), "resctrl": intent})
    os.close(handle)
    delete(str(root), "one", True, warnings.append)
    assert not group.exists()
    assert store.ids(str(root)) == []
