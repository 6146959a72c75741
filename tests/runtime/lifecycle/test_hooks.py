"""Hooks of the host: what they get, and what their failure is called."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import OcirunError
from runtime.lifecycle import hooks

STATE = {"id": "one", "status": "running"}


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script]} | more


def failure(hook: dict[str, Any], state: dict[str, Any] = STATE) -> OcirunError:
    with pytest.raises(OcirunError) as caught:
        hooks.run([hook], state, "/hooks/poststart")
    return caught.value


def test_state_on_standard_input(tmp_path: Path) -> None:
    """The whole document, then the end of file."""
    hooks.run([shell(f"cat > {tmp_path}/in")], STATE, "/hooks/poststart")
    assert json.loads((tmp_path / "in").read_text()) == STATE


@pytest.mark.parametrize("script", ["cat | wc -c > out", "exec <&-", "head -c 10 > out", "true"])
def test_a_large_state_blocks_nobody(tmp_path: Path, script: str) -> None:
    """More than a pipe holds is fed to a hook that reads, and to one that does not."""
    large = STATE | {"annotations": {"a": "x" * 300_000}}
    hooks.run([shell(f"cd {tmp_path}; {script}")], large, "/hooks/poststart")


def test_environment_is_the_hooks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly what the config says; without `env`, the caller's."""
    monkeypatch.setenv("OF_THE_CALLER", "1")
    script = "tr '\\0' '\\n' < /proc/$$/environ | /usr/bin/sort; exit 1"
    assert " OF_THE_CALLER=1 " in str(failure(shell(script)))
    assert str(failure(shell(script, env=[]))).endswith("exit status 1")
    assert str(failure(shell(script, env=["E=", "A=b=c", "no-value"]))).endswith("exit status 1: A=b=c E= no-value")


def test_args_begin_with_the_name(tmp_path: Path) -> None:
    """args[0] is what the program is called, not its first argument; without args it is the path."""
    script = tmp_path / "hook"
    script.write_text('#!/bin/sh\necho "$#"; exit 1\n')
    script.chmod(0o755)
    assert str(failure({"path": str(script)})).endswith(": 0")
    assert str(failure({"path": str(script), "args": ["name", "a", "b"]})).endswith(": 2")


def test_signals_are_as_at_birth() -> None:
    """No signal is ignored, blocked or caught, whatever our process does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        words = str(failure({"path": "/bin/sh", "args": ["sh", "-c", "grep ^Sig /proc/self/status; exit 1"]}))
    finally:
        signal.signal(signal.SIGHUP, old)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    fields = words.split()
    assert int(fields[fields.index("SigBlk:") + 1], 16) == 0
    assert int(fields[fields.index("SigIgn:") + 1], 16) == 0


def test_no_descriptor_is_inherited() -> None:
    """Not even one that our caller left open for the container."""
    end, other = os.pipe()
    os.set_inheritable(end, True)
    try:
        words = str(failure(shell("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done; exit 1")))
    finally:
        os.close(end)
        os.close(other)
    assert str(end) not in words.rpartition("exit status 1:")[2].split()


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (
            shell("echo to out; echo to err >&2; exit 3"),
            "error running poststart hook #0: /bin/sh: exit status 3: to out to err",
        ),
        (shell("kill -9 $$"), "error running poststart hook #0: /bin/sh: killed by signal 9 (SIGKILL: killed)"),
        ({"path": "/no/such"}, "error running poststart hook #0: /no/such: no such file or directory"),
        ({"path": "/etc/passwd"}, "error running poststart hook #0: /etc/passwd: permission denied"),
    ],
)
def test_words_of_a_failure(hook: dict[str, Any], words: str) -> None:
    """What was run, how it ended and what it said, after the pointer."""
    error = failure(hook)
    assert error.pointer == "/hooks/poststart/0"
    assert str(error) == f"config.json: /hooks/poststart/0: {words}"


def test_timeout() -> None:
    """A hook that is not ready in time is killed."""
    began = time.monotonic()
    words = str(failure(shell("echo begun; exec sleep 60", timeout=2)))
    assert 1.9 < time.monotonic() - began < 30
    assert words.endswith("not finished after its timeout of 2 s, killed: begun")


def test_longest_timeout() -> None:
    """A timeout of more milliseconds than poll(2) can wait for is one all the same."""
    hooks.run([shell("exit 0", timeout=10**8)], STATE, "/hooks/poststart")


def test_output_without_end() -> None:
    """A hook may write as much as it likes; the error quotes the end."""
    words = str(failure(shell("yes | head -c 500000; echo because; exit 1")))
    assert len(words) < 2 * hooks.KEPT
    assert words.endswith(" y because")


def test_a_daemon_left_behind_is_not_waited_for() -> None:
    """The hook's own end counts, though its child holds the pipe."""
    began = time.monotonic()
    hooks.run([shell("sleep 20 & exit 0")], STATE, "/hooks/poststart")
    hooks.run([shell("yes & exit 0")], STATE, "/hooks/poststart")
    assert time.monotonic() - began < 15


def test_order_and_first_failure(tmp_path: Path) -> None:
    """Hooks run in order and the first failure ends the list."""
    steps = [shell(f"echo {name} >> {tmp_path}/log; exit {code}") for name, code in (("a", 0), ("b", 1), ("c", 0))]
    with pytest.raises(OcirunError) as caught:
        hooks.run(steps, STATE, "/hooks/prestart")
    assert caught.value.pointer == "/hooks/prestart/1"
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_run_all_goes_on(tmp_path: Path, warnings: list[str]) -> None:
    """poststop: a failure is a warning and the rest runs."""
    steps = [shell(f"echo {name} >> {tmp_path}/log; exit {code}") for name, code in (("a", 1), ("b", 0))]
    hooks.run_all(steps, STATE, "/hooks/poststop", warnings.append)
    assert (tmp_path / "log").read_text() == "a\nb\n"
    assert warnings == ["config.json: /hooks/poststop/0: error running poststop hook #0: /bin/sh: exit status 1"]


def own_children() -> set[str]:
    """The pids of this process's children, zombies too; other tests may have left some."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(file.read().split())


def test_nothing_is_left() -> None:
    """No descriptor and no zombie, after success, failure and timeout."""
    before, children = sorted(os.listdir("/proc/self/fd")), own_children()
    hooks.run([shell("cat")], STATE, "/hooks/poststart")
    failure(shell("exit 1"))
    failure({"path": "/no/such"})
    failure(shell("exec sleep 60", timeout=1))
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert own_children() <= children


def test_a_signal_while_the_hook_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the hook too, and no signal stays blocked."""

    class Interrupted(Exception):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    def spawn(hook: dict[str, Any], *stdio: int) -> int:
        pid = start(hook, *stdio)
        signal.raise_signal(
            signal.SIGUSR1
        )  # to this thread, which blocks it, and not to one that another test has left
        return pid

    start, children, mask = hooks._spawn, own_children(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    monkeypatch.setattr(hooks, "_spawn", spawn)
    before = signal.signal(signal.SIGUSR1, interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    try:
        with pytest.raises(Interrupted):
            hooks.run([shell("exec sleep 60")], STATE, "/hooks/poststart")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert own_children() <= children
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask - {signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_files_for_the_output(tmp_path: Path) -> None:
    """What the annotations name is made and appended to, below the bundle where it is relative; an error quotes the rest."""
    (tmp_path / "out").write_text("before\n")
    annotations = {"run.oci.hooks.stdout": str(tmp_path / "out"), "run.oci.hooks.stderr": "err"}
    state = {**STATE, "bundle": str(tmp_path), "annotations": annotations}
    hook = shell("echo to out; echo to err >&2; exit 3")
    assert str(failure(hook, state)).endswith("exit status 3")
    hooks.run([shell("echo again")], state, "/hooks/poststart")
    assert (tmp_path / "out").read_text() == "before\nto out\nagain\n"
    assert (tmp_path / "err").read_text() == "to err\n"
    assert (tmp_path / "err").stat().st_mode & 0o777 == 0o600
    del annotations["run.oci.hooks.stderr"]
    assert str(failure(hook, state)).endswith("exit status 3: to err")


@pytest.mark.parametrize("name", ["run.oci.hooks.stdout", "run.oci.hooks.stderr"])
def test_files_that_cannot_be_opened(tmp_path: Path, name: str, warnings: list[str]) -> None:
    """The hooks of start do not run, those after the end do; a fifo that nobody reads is no reason to wait."""
    os.mkfifo(tmp_path / "fifo")
    for path, words in (
        ("/no/such/file", "no such file or directory"),
        ("fifo", "no such device or address"),
        ("", "is a directory"),
    ):
        state = {**STATE, "bundle": str(tmp_path), "annotations": {name: path}}
        error = failure(shell(f"touch {tmp_path}/ran"), state)
        assert (error.pointer, str(error).endswith(words)) == (f"/annotations/{name}", True), str(error)
        assert not (tmp_path / "ran").exists()
        hooks.run_all([shell(f"touch {tmp_path}/ran")], state, "/hooks/poststop", warnings.append)
        assert [words in warning for warning in warnings] == [True]
        warnings.clear()
        (tmp_path / "ran").unlink()
