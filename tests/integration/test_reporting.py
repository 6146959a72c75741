"""What managers read: the log file, the messages, the pid file, options before and after, help and version."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.caller import Caller


def log_lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_log(runtime: Caller) -> None:
    """A failure is one line of JSON with level, msg and an RFC 3339 time, and the same message on stderr."""
    log = runtime.directory / "log"
    result = runtime.call("--log", log, "--log-format", "json", "state", "nobody").failed(1)
    (entry,) = log_lines(log)
    assert set(entry) == {"level", "msg", "time"}
    assert entry["level"] == "error"
    assert "does not exist" in entry["msg"]
    datetime.fromisoformat(entry["time"])
    assert "does not exist" in result.err


def test_log_is_appended(runtime: Caller) -> None:
    """The log file grows by a line for each failure; a success writes nothing."""
    log = runtime.directory / "log"
    for _ in range(2):
        runtime.call("--log", log, "--log-format=json", "state", "nobody").failed(1)
    runtime.call("--log", log, "--log-format=json", "list").ok()
    assert len(log_lines(log)) == 2


def test_text_log(runtime: Caller) -> None:
    """The default format is text, one line."""
    log = runtime.directory / "log"
    runtime.call("--log", log, "state", "nobody").failed(1)
    text = log.read_text()
    assert text.count("\n") == 1
    assert "level=error" in text
    assert "does not exist" in text


def test_log_of_a_failed_create(runtime: Caller) -> None:
    """create's failure inside the container is worded in the log too, in one line."""
    log = runtime.directory / "log"
    bundle = runtime.bundle({"process": {"args": ["no-such-command"]}})
    runtime.call("--log", log, "--log-format", "json", "create", "--bundle", bundle.directory, runtime.new_id()).failed(
        1
    )
    errors = [entry for entry in log_lines(log) if entry["level"] == "error"]
    assert len(errors) == 1
    if runtime.name != "crun":
        assert "executable file not found in $PATH" in errors[0]["msg"]


@pytest.mark.not_on("runc", "crun", reason="has its own order of words")
def test_error_names_the_place_in_the_config(runtime: Caller) -> None:
    """A failing operation is told with the file's line and the pointer of what asked for it."""
    bundle = runtime.bundle()
    bundle.config["mounts"].append({"destination": "/x", "type": "nosuchfs", "source": "none"})
    bundle.save()
    number = len(bundle.config["mounts"]) - 1
    err = runtime.try_create(bundle).failed(1).err
    assert f"/mounts/{number}" in err
    assert "config.json:" in err
    assert "/x" in err
    assert err.count("\n") == 1


@pytest.mark.not_on("runc", "crun", reason="has its own words")
def test_messages_are_lower_case(runtime: Caller) -> None:
    """Messages start lower case and have no full stop."""
    for words in (["state", "nobody"], ["start", "nobody"], ["kill", "nobody"], ["create", "--bundle", "/none", "x"]):
        message = runtime.call(*words).failed(1).err.strip()
        assert not message.endswith(".")
        assert "Traceback" not in message


def test_unknown_command_and_flag(runtime: Caller) -> None:
    """An unknown command or flag is an error that names it."""
    assert "frobnicate" in (r := runtime.call("frobnicate").failed()).err + r.out
    assert "frob" in (r := runtime.call("list", "--frob").failed()).err + r.out


def test_missing_operand(runtime: Caller) -> None:
    """A verb without its id is wrong usage."""
    for verb in ("state", "start", "kill", "delete", "create", "run", "exec"):
        runtime.call(verb).failed()


def test_pid_file(runtime: Caller) -> None:
    """The pid file is the host pid in decimal, without a newline, put in place by a rename."""
    pid_file = runtime.directory / "pid"
    pid_file.write_text("old")
    keep = pid_file.open()
    id = runtime.create(runtime.bundle(), "--pid-file", pid_file)
    assert pid_file.read_text() == str(runtime.pid(id))
    with keep:
        assert keep.read() == "old"
    assert [name.name for name in pid_file.parent.glob("*pid*")] == ["pid"]


@pytest.mark.parametrize(
    "form",
    [
        ["--bundle", "B"],
        ["--bundle=B"],
        ["-b", "B"],
        ["-bundle", "B"],
    ],
    ids=" ".join,
)
@pytest.mark.not_on("crun", reason="has no single-dash long options")
def test_option_forms(runtime: Caller, form: list[str]) -> None:
    """A long option comes with two dashes or one, with a space or an equals sign."""
    bundle = runtime.shell("echo ran")
    words = [word.replace("B", str(bundle.directory)) if word != "-b" else word for word in form]
    assert runtime.call("run", *words, runtime.new_id()).ok().out == "ran\n"


def test_containerds_words(runtime: Caller) -> None:
    """The calls that containerd's shim makes, word by word."""
    log, pid_file, id = runtime.directory / "log.json", runtime.directory / "init.pid", runtime.new_id()
    bundle = runtime.sleeper()
    log_words = ["--log", log, "--log-format", "json"]
    runtime.call(*log_words, "create", "--bundle", bundle.directory, "--pid-file", pid_file, id).ok()
    runtime.call(*log_words, "start", id).ok()
    process = runtime.directory / "process.json"
    process.write_text(json.dumps({**bundle.process, "args": ["sleep", "60"]}))
    exec_pid = runtime.directory / "exec.pid"
    runtime.call(*log_words, "exec", "--process", process, "--detach", "--pid-file", exec_pid, id).ok()
    assert int(exec_pid.read_text()) > 0
    runtime.call(*log_words, "kill", "--all", id, "9").ok()
    os.waitpid(int(exec_pid.read_text()), 0)  # a zombie in it would keep the pid namespace, and so init, alive
    runtime.wait_status(id)
    runtime.call(*log_words, "delete", id).ok()
    runtime.call(*log_words, "delete", "--force", id).ok()


def test_conmons_words(runtime: Caller) -> None:
    """The calls that conmon and Podman make, word by word."""
    log, pid_file, id = runtime.directory / "log", runtime.directory / "pidfile", runtime.new_id()
    bundle = runtime.sleeper()
    runtime.call(
        "--log-format=json", "--log", log, "create", "--bundle", bundle.directory, "--pid-file", pid_file, id
    ).ok()
    runtime.call("start", id).ok()
    process = runtime.directory / "process.json"
    process.write_text(json.dumps({**bundle.process, "args": ["echo", "in-exec"]}))
    exec_pid = runtime.directory / "exec.pid"
    runtime.call("exec", "--pid-file", exec_pid, "--process", process, "--detach", id).ok()
    os.waitpid(int(exec_pid.read_text()), 0)
    runtime.call("kill", id, "15").ok()
    runtime.wait_status(id)
    runtime.call("delete", "--force", id).ok()


@pytest.mark.not_on("crun", reason="prints its own words")
def test_version(runtime: Caller) -> None:
    """--version: name, commit, spec and libseccomp, a line each."""
    for flag in ("--version", "-v"):
        lines = runtime.call(flag).ok().out.splitlines()
        assert lines[0].startswith(f"{runtime.name} version ")
        assert any(line.startswith("spec: 1.") for line in lines)
        assert any(line.startswith("libseccomp: ") for line in lines)


@pytest.mark.parametrize("verb", ["create", "start", "run", "exec", "kill", "delete", "state", "list", "spec"])
def test_help(runtime: Caller, verb: str) -> None:
    """COMMAND --help answers on stdout and succeeds."""
    assert verb in runtime.call(verb, "--help").ok().out


@pytest.mark.parametrize("verb", ["checkpoint", "restore", "pause", "update", "events", "ps"])
def test_help_of_later_commands(runtime: Caller, verb: str) -> None:
    """Podman probes `checkpoint --help`: the whole command surface answers."""
    runtime.call(verb, "--help").ok()


def test_features(runtime: Caller) -> None:
    """features prints the spec's document without any global option."""
    if runtime.name == "crun":
        pytest.skip("crun: this version has none")
    text = subprocess.run([runtime.program, "features"], capture_output=True, text=True, check=True).stdout
    features = json.loads(text)
    assert features["ociVersionMin"].startswith("1.")
    assert "SCMP_ACT_ERRNO" in features["linux"]["seccomp"]["actions"]
    assert {"pid", "mount", "user"} <= set(features["linux"]["namespaces"])
    assert "CAP_CHOWN" in features["linux"]["capabilities"]


def test_systemd_cgroup_is_told(runtime: Caller) -> None:
    """--systemd-cgroup parses before the command."""
    if runtime.name != "ocirun":
        pytest.skip("a peer would talk to systemd")
    result = runtime.call("--systemd-cgroup", "state", "nobody").failed(1)
    assert "does not exist" in result.err or "systemd" in result.err


def test_rootless_and_cgroup_manager_parse(runtime: Caller) -> None:
    """The global options of Podman and runc parse."""
    if runtime.name != "ocirun":
        pytest.skip("the peers know one of the two each")
    for words in (["--rootless", "auto"], ["--rootless=false"], ["--cgroup-manager", "cgroupfs"], ["--debug"]):
        assert "does not exist" in runtime.call(*words, "state", "nobody").failed(1).err


@pytest.mark.not_on("runc", "crun", reason="does not know disabled")
def test_cgroups_disabled(runtime: Caller) -> None:
    """--cgroup-manager disabled runs the container in the caller's own cgroups."""
    bundle = runtime.shell("cat /proc/self/cgroup")
    own = Path("/proc/self/cgroup").read_text()
    result = runtime.call("--cgroup-manager", "disabled", "run", "--bundle", bundle.directory, runtime.new_id())
    assert result.ok().out == own


def test_root_option(runtime: Caller) -> None:
    """--root keeps containers of two roots apart."""
    runtime.create(runtime.bundle(), id="same")
    other = runtime.directory / "other"
    done = subprocess.run([runtime.program, "--root", other, "state", "same"], capture_output=True, check=False)
    assert done.returncode == 1
    runtime.remove("same")


def test_debug_says_more(runtime: Caller) -> None:
    """--debug may write more lines, each valid."""
    log = runtime.directory / "log"
    runtime.call("--debug", "--log", log, "--log-format", "json", "state", "nobody").failed(1)
    assert [entry["level"] for entry in log_lines(log)].count("error") == 1
