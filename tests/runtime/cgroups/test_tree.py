"""The directories of cgroups on the real kernel."""

import errno
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups import members, tree
from runtime.errors import OcirunError
from tests.runtime.conftest import directories

pytestmark = pytest.mark.kernel

Places = Callable[[str], list[Any]]


def made(places: list[Any]) -> list[list[Any]]:
    intent = tree.survey(places)
    assert tree.make(intent) == {}
    tree.seed_cpusets(places, intent, set())
    return intent


def test_make_and_remove_leave_nothing(places: Places, name: str):
    """Leaf and missing parents are made in every hierarchy, and go with the container."""
    intent = made(places("parent/box"))
    assert {entry[1] for entry in intent} == {3}
    assert all(Path(str(path)).is_dir() for path, _, _ in intent)
    tree.remove(intent)
    assert directories(name) == []
    tree.remove(intent)


def test_what_was_there_stays(places: Places, name: str):
    """Parents, and leaves that existed, are not removed; children that appeared below an empty leaf are."""
    first = made(places("parent"))
    assert {entry[1] for entry in tree.survey(places("parent/box"))} == {1}
    kept = tree.survey(places("parent"))
    assert {entry[1] for entry in kept} == {tree.KEPT}
    for path, _, _ in kept:
        os.makedirs(f"{path}/a/b")
    assert {entry[1] for entry in tree.survey(places("parent"))} == {tree.SHARED}
    shared = tree.survey(places("parent"))
    tree.remove(shared)
    assert Path(str(kept[0][0]), "a/b").is_dir()
    tree.remove(kept)
    assert all(Path(str(path)).is_dir() and not Path(str(path), "a").exists() for path, _, _ in kept)
    tree.remove(first)
    assert directories(name) == []


def test_a_leaf_in_use_is_refused(places: Places, sleeper: Callable[..., Any]):
    """A cgroup with processes in it, or below it, is nobody's to take."""
    intent = made(places("box"))
    process = sleeper(intent)
    with pytest.raises(OcirunError, match="in use") as caught:
        tree.survey(places("box"))
    assert (caught.value.pointer, caught.value.errno) == ("/linux/cgroupsPath", errno.EBUSY)
    process.kill()
    process.wait()
    tree.remove(intent)


def test_a_frozen_leaf_is_refused(places: Places):
    """A container in a frozen cgroup would never start."""
    intent = made(places("box"))
    for path, _, _ in intent:
        for file, frozen, thawed in (("freezer.state", b"FROZEN", b"THAWED"), ("cgroup.freeze", b"1", b"0")):
            if Path(str(path), file).exists():
                tree.write(f"{path}/{file}", frozen)
                with pytest.raises(OcirunError, match="frozen"):
                    tree.survey(places("box"))
                tree.write(f"{path}/{file}", thawed)
    tree.remove(intent)


def test_a_leaf_that_appears_meanwhile_is_left_alone(places: Places):
    """Somebody's mkdir between survey and make: an error, and the clean-up does not touch their cgroup."""
    theirs = tree.survey(places("box"))
    ours = tree.survey(places("box"))
    tree.make(theirs)
    with pytest.raises(OcirunError, match="file exists"):
        tree.make(ours)
    assert ours[0][1] == tree.NOT_OURS
    tree.remove(ours)
    assert Path(str(theirs[0][0])).is_dir()
    assert tree.placement_files(ours[:1]) == []
    tree.remove(theirs)


def test_shared_parents_go_with_the_last(places: Places, name: str):
    """Whoever made the parent, in whatever order the containers end, none stays behind."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        intents = [made(places(f"parent/box{number}")) for number in range(3)]
        for number in order:
            tree.remove(intents[number])
        assert directories(name) == []


def test_a_parent_that_goes_between_survey_and_make_is_made_again(places: Places, name: str):
    """It was there when the intent was written, so only its mark says that it is to be removed."""
    first = made(places("parent/one"))
    second = tree.survey(places("parent/two"))
    assert {entry[1] for entry in second} == {1}
    tree.remove(first)
    assert directories(name) == []
    tree.make(second)
    assert os.getxattr(Path(str(second[0][0])).parent, tree.MARK) == b"1"
    tree.remove(second)
    assert directories(name) == []


def cycle(places: list[Any], rounds: int) -> None:
    for _ in range(rounds):
        intent = tree.survey(places)
        tree.make(intent)
        tree.remove(intent)


def test_many_at_once_leave_nothing(places: Places, name: str):
    """Eight processes that make and remove under one parent: no failure, and nothing left."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=cycle, args=(places(f"parent/deep/box{n}"), 15)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert directories(name) == []


def test_cpusets_have_their_parents_values(places: Places):
    """A new v1 cpuset is filled from above, its new parents too; what a setting gives is left to it."""
    at = places("parent/box")
    intent = tree.survey(at)
    tree.make(intent)
    tree.seed_cpusets(at, intent, {"cpuset.cpus"})
    for (_, base, hierarchy), (path, _, version) in zip(at, intent, strict=True):
        if "cpuset" in hierarchy["controllers"] and version == 1:
            everything = tree.read(f"{base}/cpuset.cpus")
            assert tree.read(f"{path}/../cpuset.cpus") == everything
            assert tree.read(f"{path}/cpuset.cpus").strip() == b""
            assert tree.read(f"{path}/cpuset.mems") == tree.read(f"{base}/cpuset.mems")
    tree.remove(intent)


def test_processes_are_found_below_and_killed(places: Places, sleeper: Callable[..., Any]):
    """A tree of cgroups that the container made itself: its processes are listed and killed, each once."""
    intent = made(places("box"))
    for path, _, version in intent:
        if version == 2:
            os.makedirs(f"{path}/in/ner")
    first = sleeper(intent)
    pids = [first.pid]
    if any(version == 2 for _, _, version in intent):
        pids.append(sleeper(intent, "/in/ner").pid)
    assert members.processes(intent) == sorted(pids)
    members.kill_all(intent)
    assert first.wait(5) == -9
    tree.remove(intent)


def test_remove_kills_what_is_left(places: Places, name: str, sleeper: Callable[..., Any]):
    """A process that outlived the container's init does not keep the cgroups."""
    intent = made(places("box"))
    process = sleeper(intent)
    begun = time.monotonic()
    tree.remove(intent)
    assert process.wait(5) == -9
    assert time.monotonic() - begun < 5
    assert directories(name) == []


def test_what_stays_busy_is_named(places: Places, monkeypatch: pytest.MonkeyPatch):
    """A directory that cannot be removed is an error that says which and why."""
    monkeypatch.setattr(tree, "BUSY_LIMIT", 0.01)
    intent = made(places("box"))
    broken = [[f"{intent[0][0]}/cgroup.procs", 1, 1]]
    with pytest.raises(OcirunError, match=r"remove cgroup .*/cgroup.procs: not a directory"):
        tree.remove(broken)
    tree.remove(intent)


def test_a_caller_without_rights_can_go_on(places: Places):
    """Rootless: what may not be made is left out when that is tolerated, and named with a remedy otherwise."""
    at = places("box")

    def forbidden() -> None:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        intent = tree.survey(at)
        with pytest.raises(OcirunError, match="delegated"):
            tree.make(intent)
        assert set(tree.make(intent, tolerate=True)) == set(range(len(at)))
        assert tree.placement_files(intent) == members.processes(intent) == []
        assert tree.unified_directory(intent) is None
        members.kill_all(intent)
        tree.remove(intent)

    worker = multiprocessing.get_context("fork").Process(target=forbidden)
    worker.start()
    worker.join(10)
    assert worker.exitcode == 0


def test_placement_is_by_thread_on_v1():
    """v1: tasks; v2: cgroup.procs, and its directory for CLONE_INTO_CGROUP."""
    intent: list[list[str | int]] = [["/u/box", 1, 2], ["/m/box", 1, 1], ["/n/box", tree.NOT_OURS, 1]]
    assert tree.placement_files(intent) == ["/u/box/cgroup.procs", "/m/box/tasks"]
    assert tree.unified_directory(intent) == "/u/box"
