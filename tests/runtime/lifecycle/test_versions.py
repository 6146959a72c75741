"""Containers that other releases have made: their records, and what their init says on start.sock.

older/ has records as each version of the state writes them, and the reports of the init that waited there, as they came:
pairs of the bytes and the number of descriptors. Such a file is never changed; a new version of the state gets a new one.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import OcirunError
from runtime.lifecycle import document, state, versions
from runtime.lifecycle.delete import delete
from runtime.lifecycle.kill import kill
from runtime.lifecycle.listing import listing
from runtime.lifecycle.start import REPORT, REPORT_LISTENER, REPORT_OUTPUT, REPORT_WORD, start
from tests.runtime.lifecycle.stand_in import StandIn, record

OLDER = sorted((Path(__file__).parent / "older").glob("*.json"))
HEADERS = Path(__file__).parents[3] / "csrc"

# What start says; None if the program runs.
OUTCOMES = {
    "plain": None,
    "hooks": None,
    "agent": None,
    "no-mount-namespace": None,
    "hook-fails": "/hooks/startContainer/0: error running startContainer hook #0: /bin/sh: exit status 3",
    "hook-timeout": "/hooks/startContainer/0: error running startContainer hook #0: /bin/sh: not finished after its timeout of 1 s",
    "exec-fails": '/process/args/0: exec: "/bin/bad": exec format error',
    "exec-fails-filtered": '/process/args/0: exec: "/bin/bad": exec format error',
    "no-process": "/process: the container has nothing to start",
    "creating": "cannot start a container that has stopped",
}
# The numbers of enum plan_step and enum report_kind since the first release, in order. Add to the ends only.
STEPS = """NONE PLAN OPEN READ WRITE STAT SOCKET SETNS UNSHARE FORK MKDIR CREATE MKNOD SYMLINK CHMOD CHOWN VERIFY FSOPEN FSCONFIG
    FSMOUNT OPEN_TREE MOVE_MOUNT MOUNT_SETATTR MOUNT COPY PIVOT_ROOT UMOUNT CHDIR CHROOT SETSID PTY PRCTL SETGROUPS SETGID SETUID
    CAPSET RLIMIT KEYRING SECCOMP LOOKUP EXEC HOOK_SPAWN HOOK_EXIT HOOK_TIMEOUT HOST SIGNAL AFFINITY SCHEDULER IO_PRIORITY
    PERSONALITY MEMORY_POLICY FILE_LABEL GATE THREAD CLOSE WORD""".split()
REPORTS = "REACHED FAILED FORKED CONSOLE TRACE WARNING LISTENER OUTPUT WORD".split()


CASES = [pytest.param(path, name, id=f"{path.stem}-{name}") for path in OLDER for name in json.loads(path.read_text())]


def answer(listener: socket.socket, said: list[bytes]) -> None:
    """Be the agent of one seccomp listener."""
    try:
        channel, _ = listener.accept()
    except OSError:  # shut down: nobody needed an agent
        return
    said.append(channel.recv(65536))
    channel.close()


def failure_of_start(one: StandIn, warnings: list[str]) -> OcirunError | None:
    try:
        start(one.root, "one", warnings.append)
    except OcirunError as error:
        return error
    return None


def messages(reports: list[tuple[str, int]], error: int) -> list[tuple[bytes, int | str]]:
    """What the stand-in sends: the recorded bytes, with descriptors of the right kind."""
    kinds: dict[int, str] = {REPORT_OUTPUT: "output:said", REPORT_WORD: f"word:{error}", REPORT_LISTENER: "reply"}
    return [(data, kinds.get(REPORT.unpack(data)[0], 0)) for data in (bytes.fromhex(text) for text, _ in reports)]


@pytest.fixture
def older(made: Callable[..., StandIn], tmp_path: Path) -> Callable[[Path, str], StandIn]:
    """older(file, name): the container of that name in the file, with a process that says what its init said."""

    def make(path: Path, name: str) -> StandIn:
        text = path.read_text().replace("/run/agent.sock", f"{tmp_path}/agent.sock")
        case = json.loads(text.replace("/sys/fs/cgroup", f"{tmp_path}/cgroup"))[name]
        then = "run" if OUTCOMES[name] is None else "end"
        one = made("one", then, *messages(case["reports"], 8 if name == "exec-fails-filtered" else 0))
        written = json.loads((one.path / "state.json").read_text())
        changes = {member: written[member] for member in ("pid", "start_time")} if name != "creating" else {}
        (one.path / "state.json").write_text(json.dumps(case["record"] | changes, separators=(",", ":")))
        return one

    return make


@pytest.mark.parametrize(("path", "name"), CASES)
def test_start(
    older: Callable[[Path, str], StandIn], path: Path, name: str, tmp_path: Path, warnings: list[str]
) -> None:
    """`start` does the same, and says the same, whatever release has made the container."""
    said: list[bytes] = []
    one = older(path, name)
    outcome = OUTCOMES[name]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"{tmp_path}/agent.sock")
        listener.listen(1)
        agent = threading.Thread(target=answer, args=(listener, said), daemon=True)
        agent.start()
        error = failure_of_start(one, warnings)
        if name == "agent":
            agent.join(10)
            assert json.loads(said[0])["metadata"] == "meta"
        else:
            listener.shutdown(socket.SHUT_RDWR)
    assert warnings == []
    if outcome is None:
        assert error is None
        assert one.status() == "running"
        return
    assert outcome in str(error)
    assert one.path.exists() != (name in ("hook-fails", "hook-timeout"))


@pytest.mark.parametrize(("path", "name"), CASES)
def test_the_other_verbs(
    older: Callable[[Path, str], StandIn], path: Path, name: str, warnings: list[str], tmp_path: Path
) -> None:
    """`state`, `list`, `kill` and `delete` too, with the poststop hooks."""
    one = older(path, name)
    status = "stopped" if name == "creating" else "created"
    assert state.query(one.root, "one")["annotations"] == {"com.example.kept": "yes"}
    assert [(row["id"], row["status"]) for row in listing(one.root)] == [("one", status)]
    text = (one.path / "state.json").read_text()
    assert ("poststop" in text) == (name in ("hooks", "hook-fails", "creating"))
    (one.path / "state.json").write_text(
        text.replace('["true","poststop"]', f'["touch","{tmp_path}/ran"]').replace("/bin/true", "/bin/touch")
    )
    if status == "created":
        kill(one.root, "one", "KILL")
        one.process.wait(10)
    delete(one.root, "one", False, warnings.append)
    assert not one.path.exists()
    assert (tmp_path / "ran").exists() == ("poststop" in text)
    assert warnings == []


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.stem)
def test_every_version_has_its_records(path: Path) -> None:
    """A file for each version, with one for the present; all end up as records of the present version, with names only."""
    for name, case in json.loads(path.read_text()).items():
        version = case["record"].get("version")
        assert path.stem == str(version) or version is None
        new = versions.converted(case["record"], "one", False) if version != document.VERSION else case["record"]
        assert new["version"] == document.VERSION
        assert all(row.keys() == {"path", "made", "version"} for row in new["cgroups"])
        if name != "creating":
            assert new["tail"]["operations"][0]["name"] == "wait_start"
    assert {int(one.stem) for one in OLDER if one.stem.isdigit()} == set(range(1, document.VERSION + 1))


def enum(file: str, name: str, prefix: str) -> list[str]:
    body = re.search(rf"enum {name} \{{(.*?)\}}", (HEADERS / file).read_text(), re.DOTALL)
    assert body
    return re.findall(rf"\b{prefix}_(\w+)", re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL))


def test_what_init_says_keeps_its_numbers() -> None:
    """An init of an older release may wait for this release's `start`: steps and kinds of reports are only added to."""
    assert enum("operations.h", "plan_step", "STEP") == [*STEPS, "COUNT"]
    assert enum("plan.h", "report_kind", "REPORT") == REPORTS
    assert enum("plan.h", "reply_kind", "REPLY") == ["CONTINUE", "TREE", "STATE"]
    assert REPORT.size == 32


NEWER = document.VERSION + 1
REFUSAL = (
    f'container "one" was made by a newer ocirun (state version {NEWER}, this one knows up to {document.VERSION}): use that one; '
    '"ocirun delete --force" ends the container and removes what this one knows of'
)


def newer(one: StandIn, **members: Any) -> None:
    text = json.loads((one.path / "state.json").read_text())
    (one.path / "state.json").write_text(json.dumps({**text, "version": NEWER, **members}))


def test_a_newer_record_is_refused(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """By every verb, by name; nothing happens to the container, and `list` shows the others."""
    one, _ = made("one"), made("two")
    newer(one)
    for verb in (
        lambda: start(one.root, "one", warnings.append),
        lambda: kill(one.root, "one", "KILL"),
        lambda: delete(one.root, "one", False, warnings.append),
        lambda: state.query(one.root, "one"),
    ):
        with pytest.raises(OcirunError) as caught:
            verb()
        assert str(caught.value) == REFUSAL
    assert warnings == []
    assert [row["id"] for row in listing(one.root, warnings.append)] == ["two"]
    assert warnings == [REFUSAL]
    assert one.process.poll() is None


@pytest.mark.parametrize(
    ("members", "rest"),
    [
        ({}, "whatever only a newer one knows of"),
        ({"volumes": [1], "systemd": "x", "tail": 5}, "what its record calls systemd, volumes"),
    ],
)
def test_a_newer_record_can_be_forced(
    made: Callable[..., StandIn], tmp_path: Path, warnings: list[str], members: dict[str, Any], rest: str
) -> None:
    """`delete --force` ends the container and runs its poststop hooks; a warning names what it cannot know of."""
    hook = {"path": "/bin/touch", "args": ["touch", f"{tmp_path}/ran"]}
    one = made("one", hooks={"poststop": [hook]})
    newer(one, **members)
    delete(one.root, "one", True, warnings.append)
    assert one.process.wait(10) == -9
    assert (tmp_path / "ran").exists()
    assert not one.path.exists()
    assert warnings == [
        f'container "one" was made by a newer ocirun (state version {NEWER}), and is removed without {rest}'
    ]


@pytest.mark.parametrize("changes", [{"version": "2"}, {"version": -1}, {"pid": "1"}, {"cgroups": {}}, {"hooks": None}])
def test_a_record_that_no_release_writes(root: Path, changes: dict[str, Any], warnings: list[str]) -> None:
    """It is damaged, by name: no internal error. `delete --force` removes it."""
    self_made = record("one", **changes)
    (root / "one").mkdir(parents=True, mode=0o700)
    (root / "one" / "state.json").write_text(json.dumps(self_made))
    member = next(iter(changes))
    with pytest.raises(OcirunError, match=f'state of container "one" is damaged: its "{member}" is wrong'):
        state.query(str(root), "one")
    delete(str(root), "one", True, warnings.append)
    assert len(warnings) == 1
    assert not (root / "one").exists()


@pytest.mark.parametrize("tail", [[1], [1, [[7, 1, None, [], []]]], 5, [0, [["exec"]]]])
def test_an_unversioned_record_that_no_release_writes(root: Path, tail: Any) -> None:
    """An operation whose number was never one after the wait for `start` makes the record a damaged one."""
    self_made = record("one", tail=tail)
    del self_made["version"]
    (root / "one").mkdir(parents=True, mode=0o700)
    (root / "one" / "state.json").write_text(json.dumps(self_made))
    with pytest.raises(OcirunError, match="is damaged: it is not what ocirun writes in state version 0"):
        state.query(str(root), "one")


def test_an_operation_of_another_release(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """A failure of an operation that this release does not know keeps its name, its pointer and the system's answer."""
    tail = {"first": 3, "operations": [{"name": "wait_start"}, {"name": "levitate", "origin": "/linux/lift"}]}
    one = made("one", "end", REPORT.pack(2, 4, 13, 0, 0, 0), tail=tail)
    with pytest.raises(OcirunError, match="/linux/lift: levitate: permission denied"):
        start(one.root, "one", warnings.append)
