"""What create and run say when they refuse or fail: the place in config.json, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from tests.integration.caller import Caller

# Until init is a zombie: then its end of the socket is closed.
KILL_INIT = r"""pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/'); kill -9 $pid
while ! grep -q 'State:.Z' /proc/$pid/status; do sleep 0.01; done"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"process": {"terminal": True}}, "/process/terminal: a terminal needs --console-socket"),
        ({"linux": {"cgroupsPath": "../x"}}, "/linux/cgroupsPath: '../x' must not contain"),
    ],
)
def test_refusal_has_its_line(runtime: Caller, change: dict[str, Any], words: str) -> None:
    """What is found before anything is made is told with its line as well."""
    bundle = runtime.bundle(change)
    (bundle.directory / "config.json").write_text(json.dumps(bundle.config, indent=1))
    pointer = words.partition(":")[0]
    key = json.dumps(pointer.rpartition("/")[2])
    lines = (bundle.directory / "config.json").read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if line.lstrip().startswith(key))
    assert runtime.try_create(bundle).failed(1).err.startswith(f"ocirun: error: config.json:{number}: {words}")
    assert runtime.known_ids() == []


@pytest.mark.parametrize("text", ['{\n"a" 1}', '{"a":\n"b', "[\n1 2]"])
def test_broken_json_has_its_line(runtime: Caller, text: str) -> None:
    """Broken JSON is an error with its line, no internal one."""
    bundle = runtime.bundle()
    (bundle.directory / "config.json").write_text(text)
    assert runtime.try_create(bundle).failed(1).err.startswith("ocirun: error: config.json:2: ")


def test_pid_file_that_cannot_be_written(runtime: Caller) -> None:
    """Where the pid file cannot be written, neither a temporary file nor the container stays."""
    directory = runtime.directory / "pid"
    (directory / "file").mkdir(parents=True)
    err = runtime.try_create(runtime.bundle(), "--pid-file", directory / "file").failed(1).err
    assert "write the pid file" in err
    assert os.listdir(directory) == ["file"]
    assert runtime.known_ids() == []


def test_trace_of_a_failure(runtime: Caller) -> None:
    """The last line of the trace is the operation that failed, with its errno."""
    trace = runtime.directory / "trace"
    mount = {"destination": "/x", "type": "nosuchfs", "source": "x"}
    bundle = runtime.bundle()
    bundle.config["mounts"].append(mount)
    bundle.save()
    runtime.try_create(bundle, "--trace", trace).failed(1)
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    assert (rows[-1]["op"], rows[-1]["errno"]) == ("mount", 19)
    assert all(row["errno"] == 0 for row in rows[:-1])


def test_trace_of_a_failed_start_container_hook(runtime: Caller) -> None:
    """Also what fails after `created` is in the trace of `run`."""
    trace = runtime.directory / "trace"
    bundle = runtime.bundle()
    bundle.config["hooks"] = {"startContainer": [{"path": "/none"}]}
    bundle.save()
    runtime.call("run", "--trace", trace, "--bundle", bundle.directory, runtime.new_id()).failed(1)
    last = json.loads(trace.read_text().splitlines()[-1])
    assert last["op"] == "run_hook"
    assert last["errno"] != 0


def test_trace_that_cannot_be_written(runtime: Caller) -> None:
    """A trace that cannot be written is one error, and nothing stays."""
    err = runtime.try_create(runtime.bundle(), "--trace", "/no/trace").failed(1).err
    assert err == "ocirun: error: write the trace /no/trace: no such file or directory\n"
    assert runtime.known_ids() == []


def test_init_killed_while_a_hook_runs(runtime: Caller) -> None:
    """Where init is killed, the error says that, not that a pipe is broken."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", KILL_INIT], "env": ["PATH=/bin:/usr/bin"], "timeout": 10}
    err = runtime.try_create(runtime.bundle({"hooks": {"createRuntime": [hook]}})).failed(1).err
    assert "the init program ended before the container was ready: killed by signal 9 (SIGKILL: killed)" in err


def test_caller_that_ignores_sigchld(runtime: Caller) -> None:
    """A caller that ignores SIGCHLD learns the exit status all the same."""
    result = runtime.run(
        runtime.shell("exit 7"), preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN) and None
    )
    assert result.code == 7
