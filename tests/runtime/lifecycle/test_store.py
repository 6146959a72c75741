"""The store: reserving an id, the lock, the record."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from runtime.errors import NotFound, OcirunError, WrongState
from runtime.lifecycle import store
from tests.runtime.lifecycle.stand_in import record


@pytest.mark.parametrize("id", ["a", "A.b-c_d+1", "...", "x" * 255, "-", "0"])
def test_good_ids(id: str) -> None:
    """Letters, digits and _+.- in any order, up to 255 of them."""
    store.check_id(id)


@pytest.mark.parametrize("id", ["", ".", "..", "a/b", "a b", "a\n", "é", "x" * 256, "a\0b", ".seccomp", ".init"])
def test_bad_ids(id: str) -> None:
    """Everything that is not a plain file name of the alphabet is refused."""
    with pytest.raises(OcirunError, match="invalid container id"):
        store.check_id(id)


def test_reserve_makes_private_directories(root: Path) -> None:
    """The root and the container's directory are the owner's alone."""
    os.close(store.reserve(str(root), "one"))
    assert root.stat().st_mode & 0o777 == 0o700
    assert (root / "one").stat().st_mode & 0o777 == 0o700


def test_reserve_refuses_an_id_that_is_being_made(root: Path) -> None:
    """While the lock is held the id is in use, record or not."""
    handle = store.reserve(str(root), "one")
    with pytest.raises(WrongState, match='container with id "one" already exists'):
        store.reserve(str(root), "one")
    os.close(handle)


def test_reserve_refuses_an_id_with_a_record(root: Path) -> None:
    """A container's id is in use until it is deleted."""
    handle = store.reserve(str(root), "one")
    store.write_state(handle, {"id": "one"})
    os.close(handle)
    with pytest.raises(WrongState, match="already exists"):
        store.reserve(str(root), "one")


def test_reserve_adopts_what_a_killed_create_left(root: Path) -> None:
    """A directory without a record and without a lock is taken over, emptied."""
    handle = store.reserve(str(root), "one")
    store.write_file(handle, store.CONFIG, b"{}")
    (root / "one" / "state.json.new").write_text("{")
    os.close(handle)
    handle = store.reserve(str(root), "one")
    assert os.listdir(root / "one") == []
    os.close(handle)


def test_reserve_by_many_threads_gives_the_id_to_one(root: Path) -> None:
    """Of callers that race for an id one gets it, while others come and go."""
    won: list[int] = []
    go = threading.Barrier(8)

    def race() -> None:
        go.wait(10)
        try:
            handle = store.reserve(str(root), "one")
        except WrongState:
            return
        store.write_state(handle, {"id": "one"})
        won.append(handle)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(won) == 1
    os.close(won[0])


def test_reserve_names_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    """The error has the path and the system's words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OcirunError, match=r"make .*file/root.*: not a directory"):
        store.reserve(f"{tmp_path}/file/root", "one")


def test_open_of_a_missing_container(root: Path) -> None:
    """The words that managers match."""
    with pytest.raises(NotFound, match="does not exist"):
        store.open_unlocked(str(root), "one")


def test_open_follows_no_symbolic_link(root: Path, tmp_path: Path) -> None:
    """A link in the root is no container."""
    root.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (root / "one").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OcirunError):
        store.open_unlocked(str(root), "one")


def test_open_locked_gives_up(root: Path) -> None:
    """A lock that another keeps is waited for only so long."""
    handle = store.reserve(str(root), "one")
    with pytest.raises(WrongState, match="busy"):
        store.open_locked(str(root), "one", wait=0.05)
    os.close(handle)
    os.close(store.open_locked(str(root), "one", wait=0))


def test_open_locked_sees_a_deletion_while_it_waited(root: Path) -> None:
    """The lock of a directory that is gone is no lock of the container."""
    handle = store.reserve(str(root), "one")

    def delete() -> None:
        store.remove(str(root), "one", handle)
        os.close(handle)

    timer = threading.Timer(0.1, delete)
    timer.start()
    with pytest.raises(NotFound):
        store.open_locked(str(root), "one", wait=5)
    timer.join()


def test_is_locked(root: Path) -> None:
    """The look does not take the lock away from anybody."""
    handle = store.reserve(str(root), "one")
    other = store.open_unlocked(str(root), "one")
    assert store.is_locked(other)
    assert store.is_locked(other)
    fcntl.flock(handle, fcntl.LOCK_UN)
    assert not store.is_locked(other)
    os.close(handle)
    os.close(other)


def test_record_survives(root: Path) -> None:
    """What is written is read, also in other alphabets, and its file is private."""
    handle = store.reserve(str(root), "one")
    written = record(
        "one", annotations={"ä\n": "\U0001f40b"}, cgroups=[{"path": "/x", "made": 1, "version": 2}], pid=2**31
    )
    store.write_state(handle, {"id": "old"})
    store.write_state(handle, written)
    assert store.read_state(handle, "one") == written
    assert (root / "one" / "state.json").stat().st_mode & 0o777 == 0o600
    assert os.listdir(root / "one") == ["state.json"]
    os.close(handle)


def test_record_is_written_through_no_link(root: Path, tmp_path: Path) -> None:
    """A link that somebody put in the place of the temporary file is refused."""
    handle = store.reserve(str(root), "one")
    (root / "one" / "state.json.new").symlink_to(tmp_path / "victim")
    with pytest.raises(OcirunError, match="write state"):
        store.write_state(handle, {"id": "one"})
    assert not (tmp_path / "victim").exists()
    os.close(handle)


@pytest.mark.parametrize("text", [b'{"id": "on', b"", b"[]", b"{}", b'{"id":"one","status":"created"}'])
def test_damaged_record(root: Path, text: bytes) -> None:
    """Half a record is an error that says what to do."""
    handle = store.reserve(str(root), "one")
    store.write_file(handle, store.STATE, text)
    with pytest.raises(OcirunError, match=r"damaged.*delete --force"):
        store.read_state(handle, "one")
    os.close(handle)


def test_remove_leaves_nothing(root: Path) -> None:
    """All files and the directory go; once more is no error."""
    handle = store.reserve(str(root), "one")
    for name in store.FILES:
        store.write_file(handle, name, b"x")
    store.remove(str(root), "one", handle)
    store.remove(str(root), "one", handle)
    assert os.listdir(root) == []
    os.close(handle)


def test_ids(root: Path) -> None:
    """Sorted, without the seccomp cache; a root that is not there has none."""
    assert store.ids(str(root)) == []
    for id in ("b", "a", ".c"):
        os.close(store.reserve(str(root), id))
    (root / ".seccomp").mkdir()
    assert store.ids(str(root)) == [".c", "a", "b"]


def test_no_descriptor_is_left(root: Path) -> None:
    """Successes and failures alike close what they opened."""
    before = sorted(os.listdir("/proc/self/fd"))
    handle = store.reserve(str(root), "one")
    store.write_state(handle, record("one"))
    store.read_state(handle, "one")
    for attempt in (lambda: store.reserve(str(root), "one"), lambda: store.open_locked(str(root), "one", wait=0)):
        with pytest.raises(WrongState):
            attempt()
    os.close(handle)
    assert sorted(os.listdir("/proc/self/fd")) == before
