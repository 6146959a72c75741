"""A signal ends a command while a hook of its container hangs: the hook ends, and what was begun is undone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for

pytestmark = pytest.mark.not_on("runc", "crun", reason="they wait for the hook, or end and leave hook and container")

traced = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

AT_CREATE = ["prestart", "createRuntime", "createContainer"]
AT_START = ["startContainer", "poststart"]
SIGNALS = ["TERM", "INT", "HUP", "QUIT"]
LONG = str(1_000_000 + os.getpid())
"""Seconds, by which a hook of this test run is told from others."""
COMMAND = f"sleep\0{LONG}\0".encode()
SAID = "interrupted by signal {}; the container is removed\n"


def hanging(runtime: Caller, kind: str, script: str = "sleep 100", count: int = 1) -> tuple[Bundle, Path]:
    """A bundle with hooks that write their pid, as their namespace has it, to the file that is returned, and hang."""
    bundle = runtime.shell(script)
    log = bundle.directory / "log"
    log.touch()
    inside = kind == "startContainer"
    if inside:
        bundle.write("/log", "")
        mount = {"destination": "/log", "type": "bind", "source": str(log), "options": ["bind"]}
        bundle.config["mounts"].append(mount)
    words = f"echo $$ >> {'/log' if inside else log}; exec sleep {LONG}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", words], "env": ["PATH=/bin:/usr/bin"]}
    bundle.config["hooks"] = {kind: [hook] * count}
    return bundle.save(), log


def sleepers() -> list[int]:
    """The processes that the hooks become."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and Path(f"/proc/{name}/cmdline").read_bytes() == COMMAND:
                found.append(int(name))
        except OSError:
            pass  # it has ended
    return found


@pytest.fixture(autouse=True)
def end_hooks() -> Iterator[None]:
    """Where a test fails, its hooks are ended all the same."""
    yield
    for pid in sleepers():
        os.kill(pid, signal.SIGKILL)


def ignore_none() -> None:
    """Restore the defaults: the tests themselves may run under nohup, which ignores SIGHUP."""
    for name in SIGNALS:
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_DFL)


def interrupt(runtime: Caller, log: Path, *words: str | Path, name: str = "TERM", times: int = 1) -> tuple[int, str]:
    """The exit status and the words of a command that gets the signal each time that a hook has begun."""
    command = runtime.command(*words)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=ignore_none
    ) as child:
        try:
            for count in range(1, times + 1):
                wait_for(lambda count=count: len(log.read_text().split()) >= count, "word of the hook")  # type: ignore[misc]
                child.send_signal(getattr(signal, f"SIG{name}"))
            _, said = child.communicate(timeout=20)
        finally:
            child.kill()
    return child.returncode, said


def check_gone(runtime: Caller, id: str) -> None:
    runtime.call("state", id).failed()
    assert runtime.known_ids() == []
    wait_for(lambda: not sleepers(), "end of the hook")


@pytest.mark.parametrize(
    ("verb", "kind"),
    [("create", kind) for kind in AT_CREATE]
    + [(verb, kind) for verb in ("run", "run --detach") for kind in AT_CREATE + AT_START],
)
def test_a_hook_of_create_and_run(runtime: Caller, verb: str, kind: str) -> None:
    """The command says so and fails; nothing of container and hook is left."""
    (bundle, log), id = hanging(runtime, kind), runtime.new_id()
    code, said = interrupt(runtime, log, *verb.split(), "--bundle", bundle.directory, id)
    assert (code, said.startswith("ocirun: error: ")) == (1, True)
    assert said.endswith(SAID.format(15))
    assert (f"/hooks/{kind}/0: " in said) == (kind not in ("createContainer", "startContainer"))
    check_gone(runtime, id)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("verb", ["create", "run"])
def test_each_signal(runtime: Caller, verb: str, name: str) -> None:
    """Whichever it is: control-C too is an error, in the log as well."""
    (bundle, log), id = hanging(runtime, "createRuntime"), runtime.new_id()
    file = runtime.directory / "told"
    code, said = interrupt(runtime, log, "--log", file, verb, "--bundle", bundle.directory, id, name=name)
    assert code == 1
    words = SAID.format(getattr(signal, f"SIG{name}").value)
    assert said.endswith(words)
    assert words.strip() in file.read_text()
    check_gone(runtime, id)


@pytest.mark.parametrize("kind", AT_START)
@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_hook_of_start(runtime: Caller, kind: str, name: str) -> None:
    """start fails, and the container is removed, as after any of its hooks that fails."""
    bundle, log = hanging(runtime, kind)
    id = runtime.create(bundle)
    code, said = interrupt(runtime, log, "start", id, name=name)
    assert code == 1
    assert said.endswith(SAID.format(getattr(signal, f"SIG{name}").value))
    check_gone(runtime, id)


@pytest.mark.parametrize("verb", ["run", "run on a terminal", "delete", "start"])
@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_poststop_hooks(runtime: Caller, verb: str, name: str) -> None:
    """Each is ended by a signal of its own, with a warning as of any that fails, and the container is removed."""
    bundle, log = hanging(runtime, "poststop", "exit 4", count=2)
    words = ("run", "--bundle", bundle.directory, id := runtime.new_id())
    if verb == "start":
        bundle.config["hooks"]["poststart"] = [{"path": "/bin/false"}]
        bundle.process["args"] = ["sleep", "100"]
        words = ("start", runtime.create(bundle.save(), id=id))
    elif verb == "delete":
        words = ("delete", runtime.launch(bundle, id=id))
        runtime.wait_status(id)
    elif verb == "run on a terminal":
        bundle.process["terminal"] = True
        bundle.save()
    code, said = interrupt(runtime, log, *words, name=name, times=2)
    assert code == {"delete": 0, "start": 1}.get(verb, 4)
    warnings = [line for line in said.splitlines() if line.startswith("ocirun: warning: ")]
    assert [f"/hooks/poststop/{index}: interrupted by signal" in line for index, line in enumerate(warnings)] == [
        True
    ] * 2
    check_gone(runtime, id)


def test_a_signal_that_the_caller_ignores(runtime: Caller) -> None:
    """It stays ignored: nohup's hangup ends no hook."""
    (bundle, log), id = hanging(runtime, "createRuntime"), runtime.new_id()
    command = runtime.command("create", "--bundle", bundle.directory, id)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ) as child:
        wait_for(log.read_text, "word of the hook")
        child.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.terminate()
        _, said = child.communicate(timeout=20)
    assert said.endswith(SAID.format(15))
    check_gone(runtime, id)


@traced
def test_before_the_container_has_a_directory(runtime: Caller) -> None:
    """A signal that comes while the id is taken waits until what was made can be unmade."""
    (bundle, _), id = hanging(runtime, "createRuntime"), runtime.new_id()
    tracer = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=mkdir", "-e", "inject=mkdir:signal=SIGTERM:when=1"]
    command = [*tracer, *runtime.command("create", "--bundle", bundle.directory, id)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (1, "ocirun: error: " + SAID.format(15))
    check_gone(runtime, id)


@traced
def test_a_signal_while_a_failed_start_removes_the_container(runtime: Caller) -> None:
    """It does not stop the removal: the hook's failure is the error."""
    bundle = runtime.shell("sleep 100")
    bundle.config["hooks"] = {"startContainer": [{"path": "/none"}]}
    id = runtime.create(bundle.save())
    tracer = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=rmdir", "-e", "inject=rmdir:signal=SIGTERM:when=1"]
    command = [*tracer, *runtime.command("start", id)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "/hooks/startContainer/0: " in done.stderr
    assert "interrupted" not in done.stderr
    check_gone(runtime, id)


@traced
def test_control_c_without_hooks(runtime: Caller) -> None:
    """It is said, and ends with the status that a shell gives it."""
    tracer = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=mkdir", "-e", "inject=mkdir:signal=SIGINT:when=2"]
    command = [*tracer, *runtime.command("create", "--bundle", runtime.bundle().directory, runtime.new_id())]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (130, "ocirun: error: interrupted\n")
    assert runtime.known_ids() == []
