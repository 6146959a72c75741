"""start: the channel to init, its reports, the hooks around it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtime.errors import OcirunError, WrongState
from runtime.lifecycle import start as module
from runtime.lifecycle.start import (
    REPORT,
    REPORT_FAILED,
    REPORT_LISTENER,
    REPORT_OUTPUT,
    REPORT_TRACE,
    REPORT_WARNING,
    REPORT_WORD,
    start,
)
from runtime.plan.operations import steps
from tests.runtime import reports
from tests.runtime.lifecycle.stand_in import StandIn

HEADER = (Path(__file__).parents[3] / "csrc" / "plan.h").read_text()


def step(name: str) -> int:
    """The number of an enum plan_step."""
    number: int = getattr(steps, name.removeprefix("STEP_"))
    return number


def report(kind: int, index: int, error: int = 0, tried: str = "STEP_NONE", detail: int = 0) -> bytes:
    return REPORT.pack(kind, index, error, step(tried), detail, 0)


TAIL = {
    "first": 40,
    "operations": [
        {"name": "wait_start"},
        {"name": "run_hook", "origin": "/hooks/startContainer/0", "arguments": {"path": "/bin/hook"}},
        {"name": "exec", "origin": "/process/args", "arguments": {"name": "/bin/prog"}},
        {"name": "seccomp_notify", "origin": "/linux/seccomp", "arguments": {"listener_path": "/no/such/agent"}},
    ],
}


def hook(script: str) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script]}


def test_report_is_plan_hs() -> None:
    """The struct and the two kinds are the header's."""
    fields = re.search(r"struct report \{(.*?)\}", HEADER, re.S)
    kinds = re.search(r"enum report_kind \{(.*?)\}", HEADER, re.S)
    assert fields
    assert kinds
    sizes = {"uint32_t": "I", "int32_t": "i", "int64_t": "q"}
    assert "=" + "".join(sizes[word] for word in re.findall(r"^\t(\w+) ", fields[1], re.M)) == REPORT.format
    names = re.findall(r"REPORT_\w+", kinds[1])
    assert names.index("REPORT_FAILED") + 1 == REPORT_FAILED
    assert names.index("REPORT_TRACE") + 1 == REPORT_TRACE
    assert names.index("REPORT_WARNING") + 1 == REPORT_WARNING
    assert names.index("REPORT_LISTENER") + 1 == REPORT_LISTENER
    assert names.index("REPORT_OUTPUT") + 1 == REPORT_OUTPUT
    assert names.index("REPORT_WORD") + 1 == REPORT_WORD


def test_the_program_runs(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """start returns when init's end is closed by execve; the container is running and the socket gone."""
    one = made()
    start(one.root, "one", warnings.append)
    assert one.status() == "running"
    command = Path(f"/proc/{one.process.pid}/comm")
    deadline = time.monotonic() + 30
    while command.read_text() != "sleep\n":  # the stand-in closes the channel a moment before it execs
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (one.path / "start.sock").exists()
    assert warnings == []


def test_a_long_state_directory(tmp_path: Path, warnings: list[str]) -> None:
    """A path longer than a socket address is no obstacle."""
    one = StandIn(tmp_path / ("x" * 200), "y" * 200)
    try:
        start(one.root, one.id, warnings.append)
        assert one.status() == "running"
    finally:
        one.end()


@pytest.mark.parametrize("again", [False, True])
def test_start_of_a_running_container(made: Callable[..., StandIn], warnings: list[str], again: bool) -> None:
    """An error; also where a start was killed after it had connected, which is put right."""
    one = made()
    start(one.root, "one", warnings.append)
    if again:
        (one.path / "start.sock").touch()
    with pytest.raises(WrongState, match="cannot start an already running container"):
        start(one.root, "one", warnings.append)
    assert one.status() == "running"


def test_start_of_a_stopped_container(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """An error, and no change."""
    one = made()
    one.end()
    with pytest.raises(WrongState, match="cannot start a container that has stopped"):
        start(one.root, "one", warnings.append)
    assert one.status() == "stopped"


def test_execve_fails(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """The error that init reports, worded as managers match it; the container is stopped."""
    one = made("one", "end", report(REPORT_FAILED, 42, 13, "STEP_EXEC"), tail=TAIL)
    with pytest.raises(OcirunError, match="permission denied") as caught:
        start(one.root, "one", warnings.append)
    assert (caught.value.pointer or "").startswith("/process/args")
    assert one.status() == "stopped"


def test_a_failure_has_its_line(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """The pointer's line is that of the config that the container was made of; without a copy the pointer must do."""
    for text, line in (('{\n"process": {\n"args": ["/bin/prog"]}}', 3), (None, None)):
        name = "one" if text else "two"
        one = made(name, "end", report(REPORT_FAILED, 42, 13, "STEP_EXEC"), tail=TAIL)
        if text:
            (one.path / "config.json").write_text(text)
        with pytest.raises(OcirunError, match="permission denied") as caught:
            start(one.root, name, warnings.append)
        assert (caught.value.pointer, caught.value.line) == ("/process/args/0", line)


def test_a_report_from_elsewhere(made: Callable[..., StandIn], warnings: list[str]) -> None:
    """An operation that the record does not have still has the system's words."""
    one = made("one", "end", report(REPORT_FAILED, 7, 13, "STEP_OPEN"))
    with pytest.raises(OcirunError, match="permission denied"):
        start(one.root, "one", warnings.append)


def test_a_startcontainer_hook_fails(made: Callable[..., StandIn], warnings: list[str], tmp_path: Path) -> None:
    """The container is destroyed and its poststop hooks run; the error is the hook's."""
    hooks = {"poststop": [hook(f"cat > {tmp_path}/stopped")]}
    message = report(REPORT_FAILED, 41, 0, "STEP_HOOK_EXIT", 3 << 8)
    one = made("one", "end", message, tail=TAIL, hooks=hooks)
    with pytest.raises(OcirunError, match="exit status 3"):
        start(one.root, "one", warnings.append)
    assert not one.path.exists()
    assert '"status":"stopped"' in (tmp_path / "stopped").read_text()


def test_poststart_hooks_see_a_running_container(
    made: Callable[..., StandIn], warnings: list[str], tmp_path: Path
) -> None:
    """After execve, before start returns."""
    one = made(hooks={"poststart": [hook(f"cat > {tmp_path}/seen")]})
    start(one.root, "one", warnings.append)
    text = (tmp_path / "seen").read_text()
    assert '"status":"running"' in text
    assert f'"pid":{one.process.pid}' in text


def test_a_poststart_hook_fails(made: Callable[..., StandIn], warnings: list[str], tmp_path: Path) -> None:
    """Since 1.3: an error, the container ends, is destroyed, and its poststop hooks run."""
    hooks = {"poststart": [hook("exit 4")], "poststop": [hook(f"cat > {tmp_path}/stopped")]}
    one = made(hooks=hooks)
    with pytest.raises(OcirunError, match="exit status 4") as caught:
        start(one.root, "one", warnings.append)
    assert caught.value.pointer == "/hooks/poststart/0"
    assert one.process.wait(10) == -9
    assert not one.path.exists()
    assert (tmp_path / "stopped").exists()


def test_start_waits_for_the_lock(
    made: Callable[..., StandIn], warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another works on the container start waits, and then says so."""
    one = made()
    holder = module.store.open_locked(one.root, "one")
    began = time.monotonic()
    with pytest.raises(WrongState, match="busy"):
        os.close(module.store.open_locked(one.root, "one", wait=0.2))
    assert time.monotonic() - began >= 0.2
    os.close(holder)
    start(one.root, "one", warnings.append)


def open_descriptors() -> set[str]:
    """Of this process, with what they are open on; not that of the listing itself."""
    names = {name: f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
    return {f"{name} {os.readlink(path)}" for name, path in names.items() if os.path.lexists(path)}


WARNING = report(REPORT_WARNING, 41, 13, "STEP_OPEN")


@pytest.mark.parametrize(
    ("data", "count"),
    [
        pytest.param(b"", 1, id="nothing but a descriptor"),
        pytest.param(WARNING[:-1], 0, id="too short"),
        pytest.param(WARNING + b"x", 0, id="too long"),
        pytest.param(WARNING, 1, id="a descriptor that nobody takes"),
        pytest.param(report(REPORT_LISTENER, 43), 0, id="a listener without a descriptor"),
        pytest.param(report(REPORT_LISTENER, 43), 2, id="two listeners"),
        pytest.param(report(REPORT_LISTENER, 43), 1, id="a listener with nobody to take it"),
        pytest.param(report(REPORT_LISTENER, 42), 1, id="a listener of another operation"),
        pytest.param(report(REPORT_LISTENER, 7), 1, id="a listener of no operation"),
        pytest.param(report(REPORT_WORD, 42), 0, id="a last word without a descriptor"),
        pytest.param(report(4, 41), 0, id="a terminal"),
        pytest.param(report(99, 41), 0, id="unknown kind"),
    ],
)
def test_what_init_cannot_send(made: Callable[..., StandIn], warnings: list[str], data: bytes, count: int) -> None:
    """It is an error of one line, and no descriptor of it stays open."""
    one = made("one", "end", (data, count), tail=TAIL)
    before = open_descriptors()
    with pytest.raises(OcirunError) as caught:
        start(one.root, "one", warnings.append)
    assert open_descriptors() == before
    assert "\n" not in str(caught.value)
    assert warnings == []


INDICES = st.one_of(st.integers(38, 46), st.integers(0, 2**32 - 1))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports.messages(INDICES, 6))
@example([(report(REPORT_FAILED, 41, 0, "STEP_HOOK_EXIT", -1), 0)])
def test_any_messages(root: Path, warnings: list[str], messages: list[reports.Message]) -> None:
    """Bytes and descriptors of any kind end in words or in a start, never in a trace of Python or an open descriptor."""
    one = StandIn(root, f"c{time.monotonic_ns()}", "end", *messages, tail=TAIL)
    before = open_descriptors()
    said = ""
    try:
        start(one.root, one.id, warnings.append)
    except OcirunError as error:
        said = str(error)
    finally:
        one.end()
    assert "\n" not in said
    assert open_descriptors() == before
