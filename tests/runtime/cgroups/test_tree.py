"""The directories of cgroups on the real kernel."""

import errno
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime import files
from runtime.cgroups import members, tree
from runtime.cgroups.intent import KEPT, NOT_OURS, SHARED, placement_files, unified_directory
from runtime.errors import OcirunError
from tests.runtime.conftest import directories

pytestmark = pytest.mark.kernel

Locations = Callable[[str], list[Any]]
Intent = list[dict[str, Any]]


def made(at: list[Any]) -> Intent:
    intent = tree.survey(at)
    assert tree.make(intent) == {}
    tree.seed_cpusets(at, intent, set())
    return intent


def made_counts(intent: Intent) -> set[int]:
    return {row["made"] for row in intent}


def paths(intent: Intent) -> list[Path]:
    return [Path(row["path"]) for row in intent]


def test_make_and_remove_leave_nothing(locations: Locations, name: str):
    """Leaf and missing parents are made in every hierarchy, and go with the container."""
    intent = made(locations("parent/box"))
    assert made_counts(intent) == {3}
    assert all(path.is_dir() for path in paths(intent))
    tree.remove(intent)
    assert directories(name) == []
    tree.remove(intent)


def test_what_was_there_stays(locations: Locations, name: str):
    """Parents, and leaves that existed, are not removed; children that appeared below an empty leaf are."""
    first = made(locations("parent"))
    assert made_counts(tree.survey(locations("parent/box"))) == {1}
    kept = tree.survey(locations("parent"))
    assert made_counts(kept) == {KEPT}
    for path in paths(kept):
        os.makedirs(path / "a/b")
    assert made_counts(tree.survey(locations("parent"))) == {SHARED}
    shared = tree.survey(locations("parent"))
    tree.remove(shared)
    assert (paths(kept)[0] / "a/b").is_dir()
    tree.remove(kept)
    assert all(path.is_dir() and not (path / "a").exists() for path in paths(kept))
    tree.remove(first)
    assert directories(name) == []


def test_a_leaf_in_use_is_refused(locations: Locations, sleeper: Callable[..., Any]):
    """A cgroup with processes in it, or below it, is nobody's to take."""
    intent = made(locations("box"))
    process = sleeper(intent)
    with pytest.raises(OcirunError, match="in use") as caught:
        tree.survey(locations("box"))
    assert (caught.value.pointer, caught.value.errno) == ("/linux/cgroupsPath", errno.EBUSY)
    process.kill()
    process.wait()
    tree.remove(intent)


def test_a_frozen_leaf_is_refused(locations: Locations):
    """A container in a frozen cgroup would never start."""
    intent = made(locations("box"))
    for path in paths(intent):
        for name, frozen, thawed in (("freezer.state", b"FROZEN", b"THAWED"), ("cgroup.freeze", b"1", b"0")):
            if (path / name).exists():
                files.write(f"{path}/{name}", frozen)
                with pytest.raises(OcirunError, match="frozen"):
                    tree.survey(locations("box"))
                files.write(f"{path}/{name}", thawed)
    tree.remove(intent)


def test_a_leaf_that_appears_meanwhile_is_left_alone(locations: Locations):
    """Somebody's mkdir between survey and make: an error, and the clean-up does not touch their cgroup."""
    theirs = tree.survey(locations("box"))
    ours = tree.survey(locations("box"))
    tree.make(theirs)
    with pytest.raises(OcirunError, match="file exists"):
        tree.make(ours)
    assert ours[0]["made"] == NOT_OURS
    tree.remove(ours)
    assert paths(theirs)[0].is_dir()
    assert placement_files(ours[:1]) == []
    tree.remove(theirs)


def test_shared_parents_go_with_the_last(locations: Locations, name: str):
    """Whoever made the parent, in whatever order the containers end, none stays behind."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        intents = [made(locations(f"parent/box{number}")) for number in range(3)]
        for number in order:
            tree.remove(intents[number])
        assert directories(name) == []


def test_a_parent_that_goes_between_survey_and_make_is_made_again(locations: Locations, name: str):
    """It was there when the intent was written, so only its mark says that it is to be removed."""
    first = made(locations("parent/one"))
    second = tree.survey(locations("parent/two"))
    assert made_counts(second) == {1}
    tree.remove(first)
    assert directories(name) == []
    tree.make(second)
    assert os.getxattr(paths(second)[0].parent, tree.MARK) == b"1"
    tree.remove(second)
    assert directories(name) == []


def cycle(at: list[Any], rounds: int) -> None:
    for _ in range(rounds):
        intent = tree.survey(at)
        tree.make(intent)
        tree.remove(intent)


def test_many_at_once_leave_nothing(locations: Locations, name: str):
    """Eight processes that make and remove under one parent: no failure, and nothing left."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=cycle, args=(locations(f"parent/deep/box{n}"), 15)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert directories(name) == []


def test_cpusets_have_their_parents_values(locations: Locations):
    """A new v1 cpuset is filled from above, its new parents too; what a setting gives is left to it."""
    at = locations("parent/box")
    intent = tree.survey(at)
    tree.make(intent)
    tree.seed_cpusets(at, intent, {"cpuset.cpus"})
    for location in at:
        if "cpuset" in location["hierarchy"]["controllers"] and location["hierarchy"]["version"] == 1:
            path, base = location["path"], location["base"]
            assert files.read(f"{path}/../cpuset.cpus") == files.read(f"{base}/cpuset.cpus")
            assert files.read(f"{path}/cpuset.cpus").strip() == b""
            assert files.read(f"{path}/cpuset.mems") == files.read(f"{base}/cpuset.mems")
    tree.remove(intent)


def test_processes_are_found_below_and_killed(locations: Locations, sleeper: Callable[..., Any]):
    """A tree of cgroups that the container made itself: its processes are listed and killed, each once."""
    intent = made(locations("box"))
    for row in intent:
        if row["version"] == 2:
            os.makedirs(f"{row['path']}/in/ner")
    first = sleeper(intent)
    pids = [first.pid]
    if any(row["version"] == 2 for row in intent):
        pids.append(sleeper(intent, "/in/ner").pid)
    assert members.processes(intent) == sorted(pids)
    members.kill_all(intent)
    assert first.wait(5) == -9
    tree.remove(intent)


def test_remove_kills_what_is_left(locations: Locations, name: str, sleeper: Callable[..., Any]):
    """A process that outlived the container's init does not keep the cgroups."""
    intent = made(locations("box"))
    process = sleeper(intent)
    begun = time.monotonic()
    tree.remove(intent)
    assert process.wait(5) == -9
    assert time.monotonic() - begun < 5
    assert directories(name) == []


def test_what_stays_busy_is_named(locations: Locations, monkeypatch: pytest.MonkeyPatch):
    """A directory that cannot be removed is an error that says which and why."""
    monkeypatch.setattr(tree, "BUSY_LIMIT", 0.01)
    intent = made(locations("box"))
    broken = [{"path": f"{intent[0]['path']}/cgroup.procs", "made": 1, "version": 1}]
    with pytest.raises(OcirunError, match=r"remove cgroup .*/cgroup.procs: not a directory"):
        tree.remove(broken)
    tree.remove(intent)


def test_a_caller_without_rights_can_go_on(locations: Locations):
    """Rootless: what may not be made is left out when that is tolerated, and named with a remedy otherwise."""
    at = locations("box")

    def forbidden() -> None:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        intent = tree.survey(at)
        with pytest.raises(OcirunError, match="delegated"):
            tree.make(intent)
        assert set(tree.make(intent, tolerate=True)) == {location["path"] for location in at}
        assert placement_files(intent) == members.processes(intent) == []
        assert unified_directory(intent) is None
        members.kill_all(intent)
        tree.remove(intent)

    worker = multiprocessing.get_context("fork").Process(target=forbidden)
    worker.start()
    worker.join(10)
    assert worker.exitcode == 0


def test_placement_is_by_thread_on_v1():
    """v1: tasks; v2: cgroup.procs, and its directory for CLONE_INTO_CGROUP."""
    rows = (("/u/box", 1, 2), ("/m/box", 1, 1), ("/n/box", NOT_OURS, 1))
    intent = [{"path": path, "made": made, "version": version} for path, made, version in rows]
    assert placement_files(intent) == ["/u/box/cgroup.procs", "/m/box/tasks"]
    assert unified_directory(intent) == "/u/box"
