"""What managers read: the log file, the messages, the pid file, options before and after, help and version."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
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
    assert set(entry) >= {"level", "msg", "time"}
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


@pytest.mark.parametrize("log", [True, False], ids=["log", "no log"])
@pytest.mark.parametrize("warned", [True, False], ids=["warned", "failed"])
def test_standard_error_that_takes_nothing(runtime: Caller, warned: bool, log: bool) -> None:
    """Where standard error cannot be written to, as in containerd's sandboxes, the log has the message, and a warning stops nothing."""
    kept = runtime.directory / "log"
    capability = {"process": {"capabilities": {"bounding": ["CAP_NO_SUCH"]}}}
    bundle = runtime.bundle(capability if warned else {"process": {"args": ["no-such-command"]}})
    words = [
        *(["--log", str(kept), "--log-format", "json"] if log else []),
        "create",
        "--bundle",
        str(bundle.directory),
    ]
    id = runtime.new_id()
    with open(os.devnull) as nothing:
        command = runtime.command(*words, id)
        done = subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, timeout=60, check=False)
    assert done.returncode == (0 if warned else 1)
    if log:
        assert "CAP_NO_SUCH" in kept.read_text() if warned else "no-such-command" in kept.read_text()
    runtime.call("delete", "--force", id)


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
    assert "does not exist" in result.err


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


DOUBTFUL = {"linux": {"resources": {"memory": {"useHierarchy": False}}}}
"""A config that every runtime makes, and of which ours warns: the property has no effect any more."""


@pytest.mark.not_on("crun", reason="writes the property, which the kernel refuses")
@pytest.mark.parametrize("verb", ["run", "create"])
def test_warnings_are_in_the_log_alone(runtime: Caller, verb: str) -> None:
    """With --log the container's standard error, which managers show as its output, has nothing of the runtime's."""
    log = runtime.directory / "log"
    bundle = runtime.shell("echo mine >&2", DOUBTFUL)
    id = runtime.new_id()
    words = ("--log", log, "--log-format", "json", verb, "--bundle", bundle.directory, id)
    result = runtime.call(*words).ok()
    if verb == "create":
        runtime.remove(id)
    assert result.err == ("mine\n" if verb == "run" else "")
    if runtime.name == "ocirun":
        (entry,) = log_lines(log)
        assert (entry["level"], entry["verb"], entry["id"]) == ("warning", verb, id)
        assert "useHierarchy" in entry["msg"]


@pytest.mark.not_on("runc", "crun", reason="warns of other things")
@pytest.mark.parametrize("verb", ["start", "exec", "delete"])
def test_warnings_of_later_verbs_are_in_the_log_alone(runtime: Caller, verb: str) -> None:
    """Warnings of start, exec and delete are in the log alone; an error is on standard error, too."""
    log = runtime.directory / "log"
    failing = [{"path": "/bin/false"}]
    bundle = runtime.sleeper({"hooks": {"poststop": failing, **({"poststart": failing} if verb == "start" else {})}})
    id = runtime.create(bundle)
    words = ("--log", log, "--log-format", "json", verb)
    if verb == "start":
        err = runtime.call(*words, id).failed(1).err
        assert err.count("\n") == 1
        assert err.startswith("ocirun: error: config.json")
    elif verb == "exec":
        runtime.start(id)
        document = json.dumps({**bundle.process, "args": ["true"], "nope": 1})
        assert runtime.call(*words, "--process", "-", id, stdin=document).ok().err == ""
    else:
        assert runtime.call(*words, "--force", id).ok().err == ""
    entries = log_lines(log)
    (warning,) = [entry for entry in entries if entry["level"] == "warning"]
    assert (warning["verb"], warning["id"]) == (verb, id)
    assert ("nope" if verb == "exec" else "poststop hook #0") in warning["msg"]
    assert [entry["level"] for entry in entries].count("error") == (verb == "start")


@pytest.mark.not_on("runc", "crun", reason="their lines do not say of which container they are")
def test_lines_say_of_what_they_are(runtime: Caller) -> None:
    """An error's line has the verb and the container's id, in both formats, each on one line."""
    log = runtime.directory / "log"
    runtime.call("--log", log, "--log-format", "json", "kill", "nobody").failed(1)
    runtime.call("--log", log, "kill", "nobody").failed(1)
    first, second = log.read_text().splitlines()
    assert json.loads(first)["id"] == "nobody"
    assert json.loads(first)["verb"] == "kill"
    assert second.endswith(' id="nobody" verb="kill" code="not-found"')


def test_the_log_is_made_at_once(runtime: Caller) -> None:
    """A call that has nothing to say makes the log all the same: whoever follows it need not wait for an error."""
    log = runtime.directory / "log"
    runtime.call("--log", log, "delete", "--force", "nobody").ok()
    assert log.read_text() == ""


def test_a_log_that_cannot_be_made(runtime: Caller) -> None:
    """A log that cannot be made is an error before anything is made: no container, no pid file."""
    bundle, id, pid_file = runtime.bundle(), runtime.new_id(), runtime.directory / "pid"
    words = ("create", "--bundle", bundle.directory, "--pid-file", pid_file, id)
    result = runtime.call("--log", "/no/such/log", *words).failed(1)
    assert "no such file or directory" in result.err.lower()
    assert not pid_file.exists()
    runtime.call("state", id).failed()


@pytest.mark.parametrize(
    "words", ["start I", "exec I touch /ran", "kill I KILL", "delete --force I", "pause I", "list"]
)
def test_a_log_that_cannot_be_made_for_a_container_that_is_there(runtime: Caller, words: str) -> None:
    """Where the log cannot be made, no verb does anything to a container that is there."""
    bundle = runtime.sleeper()
    id = runtime.create(bundle)
    if not words.startswith("start"):
        runtime.start(id)
    before = runtime.status(id)
    result = runtime.call("--log", "/no/such/log", *words.replace("I", id, 1).split()).failed()
    assert "no such file or directory" in result.err.lower()
    assert runtime.status(id) == before
    assert not (bundle.rootfs / "ran").exists()


@pytest.mark.not_on("runc", "crun", reason="they say other things")
def test_debug_tells_the_operations(runtime: Caller) -> None:
    """--debug has a line for each operation, with its place in the config; the container's output has none of them."""
    log = runtime.directory / "log"
    bundle = runtime.shell("echo mine", {"hostname": "talker"})
    words = ("--debug", "--log", log, "--log-format", "json", "run", "--bundle", bundle.directory, runtime.new_id())
    result = runtime.call(*words).ok()
    assert (result.out, result.err) == ("mine\n", "")
    entries = log_lines(log)
    assert {entry["level"] for entry in entries} == {"debug"}
    said = [entry["msg"] for entry in entries]
    assert any(words.startswith("/hostname: ") and "talker" in words for words in said)
    assert any(words.startswith("/mounts/0: ") for words in said)


@pytest.mark.not_on("runc", reason="takes the whole word as a path")
def test_log_of_a_named_kind(runtime: Caller) -> None:
    """file:PATH is the file."""
    log = runtime.directory / "log"
    runtime.call("--log", f"file:{log}", "state", "nobody").failed(1)
    assert "nobody" in log.read_text()


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        (
            "journald",
            "/run/systemd/journal/socket",
            r"PRIORITY=3\nMESSAGE=.*does not exist\nSYSLOG_IDENTIFIER=me\nID=nobody\nVERB=state\nCODE=not-found\n",
        ),
        ("syslog", "/dev/log", r"<11>\w{3} [ \d]\d \d\d:\d\d:\d\d me\[\d+\]: .*does not exist"),
    ],
)
@pytest.mark.not_on("runc", "crun", reason="the one has no such logs, the other not this form in each build")
def test_log_of_a_service(runtime: Caller, kind: str, path: str, expected: str) -> None:
    """journald:NAME and syslog:NAME are datagrams to the service, with priority, name and container; without it, an error."""
    script = f"""
import os, re, socket, subprocess, sys
channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
words = sys.argv[1:]
missing = subprocess.run(words, capture_output=True, text=True)
os.makedirs({os.path.dirname(path)!r}, exist_ok=True)
channel.bind({path!r})
subprocess.run(words, capture_output=True)
print(missing.stderr, channel.recv(1 << 16).decode(), sep="\\0", end="")
"""
    # In a mount namespace whose /run and /dev are the test's own: no service of the host's hears it.
    covered = "mount -t tmpfs none /run && mount -t tmpfs none /dev && "
    command = ["unshare", "--mount", "sh", "-c", covered + 'exec "$@"', "sh", sys.executable, "-c", script]
    command += runtime.command("--log", f"{kind}:me", "state", "nobody")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    missing, _, datagram = done.stdout.partition("\0")
    assert f"open the log {kind}:me: no such file or directory" in missing
    assert re.fullmatch(expected, datagram), datagram


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_no_pid_file_of_what_failed(runtime: Caller, verb: str) -> None:
    """What fails where it hands over the terminal leaves no pid file, which would name a process that is gone."""
    pid_file = runtime.directory / "pid"
    flags = ("--console-socket", "/no/such/socket", "--pid-file", pid_file)
    if verb == "exec":
        runtime.exec(runtime.launch(runtime.sleeper()), ["sleep", "9"], "--tty", "--detach", *flags).failed()
    else:
        bundle = runtime.bundle({"process": {"terminal": True}})
        detached = ("--detach",) if verb == "run" else ()
        runtime.call(verb, *detached, "--bundle", bundle.directory, *flags, runtime.new_id()).failed(1)
    assert not pid_file.exists()


@pytest.mark.not_on("runc", "crun", reason="writes it before the program is reached, and leaves it")
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_no_pid_file_of_a_program_that_is_not_reached(runtime: Caller, verb: str) -> None:
    """A program that execve refuses leaves no pid file."""
    pid_file = runtime.directory / "pid"
    bundle = runtime.sleeper()
    bundle.write("/run.sh", "#!/no/such/interpreter\n", 0o755)
    if verb == "exec":
        runtime.exec(runtime.launch(bundle), ["/run.sh"], "--detach", "--pid-file", pid_file).failed(255)
    else:
        bundle.process["args"] = ["/run.sh"]
        runtime.run(bundle.save(), "--detach", "--pid-file", pid_file).failed(1)
    assert not pid_file.exists()


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
@pytest.mark.not_on("runc", "crun", reason="the one puts a dot before the name, the other counts from the bundle")
def test_long_name_of_a_pid_file(runtime: Caller, verb: str) -> None:
    """The pid file's name may be as long as the system allows; a short one without a directory counts from the caller's."""
    bundle = runtime.sleeper()
    id = runtime.launch(bundle) if verb == "exec" else runtime.new_id()
    for name in ("p" * 255, "short"):
        if verb == "exec":
            words = ["exec", "--detach", "--pid-file", name, id, "sleep", "60"]
        else:
            id = runtime.new_id()
            words = [verb, *(["--detach"] if verb == "run" else []), "--bundle", str(bundle.directory)]
            words += ["--pid-file", name, id]
        runtime.call(*words, cwd=runtime.directory).ok()
        assert Path(f"/proc/{(runtime.directory / name).read_text()}").exists()
        if verb != "exec":
            runtime.remove(id)


@pytest.mark.not_on("crun", "runc", reason="the one makes the directory, the other has an empty list")
@pytest.mark.parametrize("flags", [(), ("--quiet",), ("--format", "json")])
def test_list_of_a_root_that_is_not_there(runtime: Caller, flags: tuple[str, ...]) -> None:
    """A --root that does not exist is an error, not an empty list."""
    command = [runtime.program, "--root", str(runtime.directory / "missing"), "list", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no such file or directory" in done.stderr


@pytest.mark.not_on("crun", reason="other words")
def test_a_script_without_its_interpreter(runtime: Caller) -> None:
    """The words are those by which Docker exits with 127: the script is there, what its first line names is not."""
    bundle = runtime.bundle({"process": {"args": ["/run.sh"]}})
    bundle.write("/run.sh", "#!/no/such/interpreter\n", 0o755)
    assert "exec /run.sh: no such file or directory" in runtime.run(bundle).failed().err
