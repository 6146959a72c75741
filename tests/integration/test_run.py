"""`run` in the foreground: output, exit codes, the defaults of `spec`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from tests.integration.caller import Caller, wait_for


@pytest.mark.kernel
def test_output_and_exit_code(runtime: Caller) -> None:
    """The process's output reaches the caller's streams, and its exit code is the command's."""
    result = runtime.run(runtime.shell("echo out; echo err >&2; exit 7"))
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")


def test_stdin_reaches_the_container(runtime: Caller) -> None:
    """The container reads the caller's standard input."""
    assert runtime.run(runtime.bundle({"process": {"args": ["cat"]}}), stdin="hello").ok().out == "hello"


@pytest.mark.parametrize("name", ["TERM", "KILL", "USR1"])
def test_death_by_signal_is_128_plus(runtime: Caller, name: str) -> None:
    """A process that a signal ended gives 128 plus its number."""
    number = getattr(signal, f"SIG{name}")
    # sh is pid 1 and cannot kill itself: its child is killed by name and sh passes the status on.
    bundle = runtime.shell(f"sh -c 'kill -{name} $$'")
    bundle.process["args"] = ["sh", "-c", f"sh -c 'kill -{name} $$'; exit $?"]
    assert runtime.run(bundle.save()).code == 128 + number


def test_killed_init_gives_137(runtime: Caller) -> None:
    """An init that `kill` ended gives 137 from `run`."""
    bundle, id = runtime.sleeper(), runtime.new_id()
    child = subprocess.Popen(
        runtime.command("run", "--bundle", bundle.directory, id),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: runtime.call("state", id).code == 0 and runtime.status(id) == "running", "running container")
    runtime.kill(id, "KILL")
    assert child.wait(10) == 137


@pytest.mark.parametrize("name", ["INT", "TERM", "USR1", "HUP"])
def test_signals_are_forwarded(runtime: Caller, name: str) -> None:
    """A signal that `run` gets goes to the container's init."""
    bundle = runtime.shell(f"trap 'echo got {name}; exit 3' {name}; echo ready; while :; do sleep 0.05; done")
    out = runtime.directory / "forward"
    with open(out, "w") as file:
        child = subprocess.Popen(
            runtime.command("run", "--bundle", bundle.directory, runtime.new_id()),
            stdin=subprocess.DEVNULL,
            stdout=file,
        )
    wait_for(lambda: "ready" in out.read_text(), "ready container")
    child.send_signal(getattr(signal, f"SIG{name}"))
    assert child.wait(10) == 3
    assert out.read_text() == f"ready\ngot {name}\n"


def test_run_removes_the_container(runtime: Caller) -> None:
    """After a foreground run nothing of the container is known."""
    runtime.run(runtime.bundle()).ok()
    assert runtime.known_ids() == []


@pytest.mark.not_on("runc", "crun", reason="these versions do not know --keep")
def test_run_keep(runtime: Caller) -> None:
    """--keep leaves the stopped container, and delete removes it."""
    bundle, id = runtime.bundle(), runtime.new_id()
    runtime.call("run", "--keep", "--bundle", bundle.directory, id).ok()
    assert runtime.status(id) == "stopped"
    runtime.call("delete", id).ok()


def test_run_detached(runtime: Caller) -> None:
    """--detach returns once the process runs, and writes its pid."""
    bundle, id = runtime.sleeper(), runtime.new_id()
    pid_file = runtime.directory / "pid"
    runtime.call("run", "--detach", "--pid-file", pid_file, "--bundle", bundle.directory, id).ok()
    state = runtime.state(id)
    assert state["status"] == "running"
    assert pid_file.read_text() == str(state["pid"])


@pytest.mark.not_on("crun", reason="words the message in its own way")
def test_missing_command(runtime: Caller) -> None:
    """A command that is not in the container's PATH is told in the words that Docker and Podman look for."""
    result = runtime.run(runtime.bundle({"process": {"args": ["no-such-command"]}})).failed()
    assert result.code == 1
    assert "executable file not found in $path" in result.err.lower()


@pytest.mark.not_on("crun", reason="says no such file or directory in its own words")
def test_missing_command_by_path(runtime: Caller) -> None:
    """An absolute path that does not exist is `no such file or directory`."""
    result = runtime.run(runtime.bundle({"process": {"args": ["/no/such/command"]}})).failed(1)
    assert "no such file or directory" in result.err.lower()


def test_command_without_execute_permission(runtime: Caller) -> None:
    """A file that is not executable is `permission denied`."""
    result = runtime.run(runtime.bundle({"process": {"args": ["/etc/passwd"]}})).failed(1)
    assert "permission denied" in result.err.lower()


@pytest.mark.not_on("crun", reason="says operation not permitted")
def test_empty_name_as_command(runtime: Caller) -> None:
    """An empty name, as of a script's unset variable, is no program in PATH: managers make 127 of these words."""
    found_by = 'exec: "": executable file not found in $PATH'
    assert found_by in runtime.run(runtime.bundle({"process": {"args": [""]}})).failed(1).err
    assert found_by in runtime.exec(runtime.launch(runtime.sleeper()), [""]).failed(255).err


@pytest.mark.not_on("runc", "crun", reason="words the message in its own way")
def test_directory_as_command(runtime: Caller) -> None:
    """A directory is `permission denied` too, by path, below a mount and in `exec`: managers make 126 of these words."""
    for directory in ("/etc", "/mnt/etc"):
        bundle = runtime.bundle({"process": {"args": [directory]}})
        bundle.config["mounts"].append(
            {"destination": "/mnt", "type": "bind", "source": "/", "options": ["rbind", "ro"]}
        )
        result = runtime.run(bundle.save()).failed(1)
        assert f'"{directory}": is a directory: permission denied\n' in result.err
    result = runtime.exec(runtime.launch(runtime.sleeper()), ["/etc"]).failed(255)
    assert '"/etc": is a directory: permission denied\n' in result.err


@pytest.mark.not_on("crun", reason="fails at start, not at create")
def test_missing_command_fails_at_create(runtime: Caller) -> None:
    """create, not start, refuses a missing command: Docker's exit code 127 depends on it."""
    runtime.try_create(runtime.bundle({"process": {"args": ["no-such-command"]}})).failed(1)
    assert runtime.known_ids() == []


def test_script_with_missing_interpreter(runtime: Caller) -> None:
    """execve's own failure reaches the caller of start, and the container is not left running."""
    bundle = runtime.bundle({"process": {"args": ["/script"]}})
    bundle.write("/script", "#!/no/such/interpreter\n", 0o755)
    result = runtime.run(bundle).failed(1)
    assert "no such file or directory" in result.err.lower()


def test_bundle_is_the_working_directory_by_default(runtime: Caller) -> None:
    """Without --bundle the bundle is the current directory."""
    bundle = runtime.shell("echo here")
    assert runtime.call("run", runtime.new_id(), cwd=bundle.directory).ok().out == "here\n"


def test_spec_bundle_runs(runtime: Caller) -> None:
    """What `spec` writes runs, with a terminal taken away."""
    bundle = runtime.bundle()
    (bundle.directory / "config.json").unlink()
    runtime.call("spec", "--bundle", bundle.directory).ok()
    config = json.loads((bundle.directory / "config.json").read_text())
    assert config["process"]["terminal"] is True
    assert config["process"]["args"] == ["sh"]
    config["process"].update(terminal=False, args=["sh", "-c", "echo spec; touch /x || echo read-only"])
    (bundle.directory / "config.json").write_text(json.dumps(config))
    assert runtime.run(bundle).ok().out == "spec\nread-only\n"


def test_spec_refuses_to_overwrite(runtime: Caller) -> None:
    """`spec` leaves an existing config.json alone."""
    bundle = runtime.bundle()
    before = (bundle.directory / "config.json").read_text()
    runtime.call("spec", "--bundle", bundle.directory).failed()
    assert (bundle.directory / "config.json").read_text() == before


@pytest.mark.proves("/process/args")
def test_arguments(runtime: Caller) -> None:
    """The program gets exactly the words of args, empty ones and those with spaces among them."""
    args = ["printf", "[%s]", "two words", "", "é", "*", "$HOME"]
    assert runtime.run(runtime.bundle({"process": {"args": args}})).ok().out == "[two words][][é][*][$HOME]"


@pytest.mark.proves("/process/env")
def test_environment(runtime: Caller) -> None:
    """The process has its config's environment, HOME from its own passwd, and nothing of the caller's."""
    env = ["PATH=/bin", "A=1", "B=two words"]
    bundle = runtime.bundle({"process": {"env": env, "args": ["env"], "user": {"uid": 1000, "gid": 1000}}})
    lines = runtime.run(bundle, env={"CALLER": "secret"}).ok().out.splitlines()
    assert set(lines) == {*env, "HOME=/home/ada"}


def test_home_in_config_wins(runtime: Caller) -> None:
    """HOME of the config stays."""
    bundle = runtime.bundle({"process": {"env": ["PATH=/bin", "HOME=/elsewhere"], "args": ["sh", "-c", "echo $HOME"]}})
    assert runtime.run(bundle).ok().out == "/elsewhere\n"


@pytest.mark.proves("/process/cwd")
def test_working_directory(runtime: Caller) -> None:
    """The process starts in cwd."""
    assert runtime.run(runtime.shell("pwd", {"process": {"cwd": "/home/ada"}})).ok().out == "/home/ada\n"


def test_process_is_pid_1(runtime: Caller) -> None:
    """The user's process is pid 1, without a parent in its namespace, and a session leader."""
    out = runtime.run(runtime.shell("echo $$; cut -d' ' -f4-6 /proc/1/stat")).ok().out
    pid, stat = out.splitlines()
    assert pid == "1"
    assert stat.split()[0] == "0"


def test_no_zombies_or_slow_exit(runtime: Caller) -> None:
    """A short run ends at once even if it left a background child."""
    began = time.monotonic()
    runtime.run(runtime.shell("sleep 20 & echo done")).ok()
    assert time.monotonic() - began < 15


def test_descriptors_of_the_process(runtime: Caller) -> None:
    """The container inherits the three standard descriptors and nothing else of the caller's."""
    reading, writing = os.pipe()
    try:
        os.set_inheritable(reading, True)
        out = runtime.run(runtime.shell("ls /proc/self/fd"), pass_fds=(reading,)).ok().out.split()
    finally:
        os.close(reading)
        os.close(writing)
    assert out == ["0", "1", "2", "3"]  # 3 is ls's own, the directory
