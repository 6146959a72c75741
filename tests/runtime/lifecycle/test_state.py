"""The status of a container, from what is on disk and what lives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_spec import check
from runtime.errors import NotFound, OcirunError
from runtime.lifecycle import state, store
from runtime.lifecycle.document import dumps
from runtime.lifecycle.listing import listing
from tests.runtime.lifecycle.stand_in import StandIn, record


def test_start_time_tells_processes_apart() -> None:
    """It is what the kernel says, and None for what is no process."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert state.start_time(os.getpid()) == int(fields[19])
    assert state.start_time(2**22 + 1) is None


def test_a_name_with_parentheses_does_not_confuse() -> None:
    """The second field of /proc/PID/stat may hold anything."""
    code = "import sys, time; open('/proc/self/comm','w').write(') Z 1 ('); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert state.start_time(process.pid) is not None
        process.kill()


def test_a_zombie_is_gone() -> None:
    """An init that nobody has reaped is stopped."""
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert state.start_time(process.pid) is None
    process.wait()


@pytest.mark.parametrize(
    ("status", "start", "kill", "delete"),
    [
        (state.CREATING, False, False, False),
        (state.CREATED, True, True, False),
        (state.RUNNING, False, True, False),
        (state.PAUSED, False, True, False),
        (state.STOPPED, False, False, True),
    ],
)
def test_what_a_status_allows(status: str, start: bool, kill: bool, delete: bool) -> None:
    """The table of runtime.md "Operations"."""
    assert (state.can_start(status), state.can_kill(status), state.can_delete(status)) == (start, kill, delete)


def test_created_until_the_socket_goes(made: Callable[..., StandIn]) -> None:
    """start.sock is the difference between created and running; the pid's end that to stopped."""
    one = made()
    assert one.status() == "created"
    (one.path / "start.sock").unlink()
    assert one.status() == "running"
    one.end()
    assert one.status() == "stopped"


def test_another_process_of_the_same_pid(made: Callable[..., StandIn]) -> None:
    """A pid with another start time is not the container."""
    one = made()
    handle = store.open_locked(str(one.root), "one")
    written = store.read_state(handle, "one")
    store.write_state(handle, written | {"start_time": written["start_time"] - 1})
    assert not state.is_alive(written | {"start_time": 1})
    assert state.open_process(written | {"start_time": 1}) is None
    os.close(handle)
    assert one.status() == "stopped"


def test_creating_while_the_lock_is_held(root: Path) -> None:
    """A record that says creating is believed as long as somebody works on it."""
    handle = store.reserve(str(root), "one")
    store.write_state(handle, record("one", status=state.CREATING))
    assert state.query(str(root), "one")["status"] == "creating"
    os.close(handle)
    assert state.query(str(root), "one")["status"] == "stopped"


def test_create_that_finishes_meanwhile_is_never_stopped(root: Path) -> None:
    """A reader that races with the end of create sees creating or created."""
    seen: set[str] = set()
    for number in range(30):
        id = f"c{number}"
        handle = store.reserve(str(root), id)
        begun = record(id, status=state.CREATING, pid=os.getpid(), start_time=state.start_time(os.getpid()))
        store.write_state(handle, begun)

        def finish(handle: int = handle, begun: dict[str, object] = begun) -> None:
            time.sleep(0.001)
            store.write_state(handle, begun | {"status": state.CREATED})
            os.close(handle)

        thread = threading.Thread(target=finish)
        thread.start()
        while thread.is_alive():
            seen.add(state.query(str(root), id)["status"])
        thread.join()
    assert seen <= {"creating", "running"}


def test_no_record_yet(root: Path) -> None:
    """Between mkdir and the intent there is no container."""
    handle = store.reserve(str(root), "one")
    with pytest.raises(NotFound, match="does not exist"):
        state.query(str(root), "one")
    os.close(handle)


def test_a_record_of_another_shape(root: Path) -> None:
    """A record that lacks a member is an error with its name, not a traceback."""
    handle = store.reserve(str(root), "one")
    store.write_state(handle, {"id": "one", "status": "created"})
    os.close(handle)
    with pytest.raises(OcirunError, match='damaged: its "bundle" is missing'):
        state.query(str(root), "one")


def test_the_document_is_the_specs(made: Callable[..., StandIn]) -> None:
    """The state document satisfies the spec's schema in every status, and carries the annotations."""
    one = made(annotations={"org.example": "1"})
    document = state.query(str(one.root), "one")
    assert [problem for problem in check(dumps(document).encode(), "state") if problem.severity == "error"] == []
    assert document["annotations"] == {"org.example": "1"}
    assert document["pid"] == one.process.pid
    assert document["owner"] == "root" or os.geteuid() != 0
    one.end()
    document = state.query(str(one.root), "one")
    assert [problem for problem in check(dumps(document).encode(), "state") if problem.severity == "error"] == []
    assert document["pid"] == 0


def test_listing(made: Callable[..., StandIn]) -> None:
    """Every container by id; a directory without a record is none."""
    one, two = made("b"), made("a")
    os.close(store.reserve(one.root, "c"))
    two.end()
    assert [(item["id"], item["status"]) for item in listing(one.root)] == [("a", "stopped"), ("b", "created")]


def test_listing_beside_what_is_no_container(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """A file or a link in the root is none; a damaged container is told, and does not hide the others."""
    one = made("b")
    (Path(one.root) / "file").touch()
    (Path(one.root) / "link").symlink_to("b")
    handle = store.reserve(one.root, "a")
    store.write_file(handle, store.STATE, b"[]")
    os.close(handle)
    assert [item["id"] for item in listing(one.root, warnings.append)] == ["b"]
    assert len(warnings) == 1
    assert warnings[0].startswith(
        'state of container "a" is damaged: not an object; "ocirun delete --force" removes it'
    )
    with pytest.raises(OcirunError, match="damaged"):
        listing(one.root)
