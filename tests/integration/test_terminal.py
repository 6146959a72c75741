"""Terminals: the console socket, `run -t`, window sizes, signals."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for
from tests.integration.console import ConsoleSocket
from tests.integration.terminal import Session


def on_terminal(runtime: Caller, script: str, **process: object) -> Bundle:
    return runtime.shell(script, {"process": {"terminal": True, **process}})


def test_run(runtime: Caller) -> None:
    """run with a terminal gives the container one of its own, as large as the caller's."""
    bundle = on_terminal(runtime, "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all")
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 33, 101)
    assert session.finish() == (0, "/dev/pts/0\n33 101\nall\n")


def test_run_exit_code(runtime: Caller) -> None:
    """The exit code of a process on a terminal is run's."""
    bundle = on_terminal(runtime, "exit 7")
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 24, 80)
    assert session.finish()[0] == 7


def test_run_forwards_input(runtime: Caller) -> None:
    """What is typed reaches the container; control-C is a SIGINT there, not here."""
    bundle = on_terminal(
        runtime, "trap 'echo interrupted; exit 4' INT; echo ready; read x; echo got $x; while :; do sleep 0.05; done"
    )
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 24, 80)
    session.terminal.read_until("ready")
    session.terminal.write("word\n")
    session.terminal.read_until("got word")
    session.terminal.write("\x03")
    code, text = session.finish()
    assert code == 4
    assert "interrupted" in text


def test_run_with_much_input(runtime: Caller) -> None:
    """More input than the terminal holds, all echoed and printed again, blocks nobody; it ends with the input."""
    bundle = on_terminal(runtime, "cat")
    lines = "abcdefghijklmnopq\n" * 30000
    result = runtime.run(bundle, stdin=lines).ok()
    assert result.out.count("abcdefghijklmnopq\n") >= 30000


def test_run_with_input_that_nobody_reads(runtime: Caller) -> None:
    """A signal is passed on although the terminal takes no more input."""
    bundle = on_terminal(runtime, "stty raw -echo; trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    base = runtime.directory / "flood"
    with open(base, "wb") as out:
        child = subprocess.Popen(
            runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), stdin=subprocess.PIPE, stdout=out
        )
        assert child.stdin is not None
        wait_for(lambda: b"ready" in base.read_bytes(), "the program's first word")
        child.stdin.write(b"x" * 60000)
        child.stdin.flush()
        child.terminate()
        assert child.wait(10) == 5
        child.stdin.close()


def test_run_restores_the_callers_terminal(runtime: Caller) -> None:
    """The caller's terminal is raw during run and as before after it."""
    bundle = on_terminal(runtime, "echo ready")
    shell = f"{' '.join(runtime.command('run', '--bundle', bundle.directory, runtime.new_id()))}"
    session = Session(["sh", "-c", f"stty -g; {shell}; stty -g"], 24, 80)
    lines = session.finish()[1].split()
    assert lines[1] == "ready"
    assert lines[0] == lines[2]


def test_run_resizes(runtime: Caller) -> None:
    """A new size of the caller's window becomes the container's, with a SIGWINCH."""
    bundle = on_terminal(runtime, "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done")
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 24, 80)
    session.terminal.read_until("ready")
    session.terminal.resize(50, 132)
    code, text = session.finish()
    assert code == 0
    assert "50 132" in text


def test_run_forwards_signals(runtime: Caller) -> None:
    """SIGTERM to run reaches the container's process."""
    bundle = on_terminal(runtime, "trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 24, 80)
    session.terminal.read_until("ready")
    session.child.send_signal(signal.SIGTERM)
    code, text = session.finish()
    assert code == 5
    assert "term" in text


def test_run_passes_much_output(runtime: Caller) -> None:
    """The last bytes of a large output arrive, though the process ended before they were read."""
    bundle = on_terminal(runtime, "seq 1 20000; echo last")
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 24, 80)
    code, text = session.finish()
    assert code == 0
    assert text.split() == [*map(str, range(1, 20001)), "last"]


@pytest.mark.proves("/process/terminal")
def test_console_socket(runtime: Caller) -> None:
    """create sends the terminal: one message, a name that is not empty, exactly one descriptor."""
    bundle = on_terminal(runtime, "tty; read x; echo got $x")
    with ConsoleSocket(runtime.directory / "c") as console:
        id = runtime.create(bundle, "--console-socket", console.path)
        with console.receive() as terminal:
            assert console.message.strip(b"\0")
            runtime.start(id)
            terminal.read_until("/dev/pts/0")
            terminal.write("word\n")
            terminal.read_until("got word")
            runtime.wait_status(id)


@pytest.mark.proves("/process/consoleSize/height")
@pytest.mark.proves("/process/consoleSize/width")
def test_console_size(runtime: Caller) -> None:
    """consoleSize is the window's size."""
    bundle = on_terminal(runtime, "stty size", consoleSize={"height": 41, "width": 97})
    with ConsoleSocket(runtime.directory / "c") as console:
        id = runtime.create(bundle, "--console-socket", console.path)
        with console.receive() as terminal:
            runtime.start(id)
            terminal.read_until("41 97")
            runtime.wait_status(id)


def test_controlling_terminal(runtime: Caller) -> None:
    """The terminal is the controlling one: /dev/tty opens, and hanging up signals the process."""
    bundle = on_terminal(runtime, "trap 'exit 0' HUP; echo to-tty > /dev/tty; while :; do sleep 0.05; done")
    with ConsoleSocket(runtime.directory / "c") as console:
        id = runtime.create(bundle, "--console-socket", console.path)
        terminal = console.receive()
        runtime.start(id)
        terminal.read_until("to-tty")
        terminal.close()
        runtime.wait_status(id)


def test_dev_console(runtime: Caller) -> None:
    """/dev/console is the terminal."""
    bundle = on_terminal(runtime, "echo to-console > /dev/console")
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 24, 80)
    assert session.finish() == (0, "to-console\n")


def test_terminal_belongs_to_the_user(runtime: Caller) -> None:
    """The user of the process owns the terminal."""
    bundle = on_terminal(runtime, "stat -c %u $(tty); : > $(tty) && echo writable", user={"uid": 1000, "gid": 1000})
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 24, 80)
    assert session.finish() == (0, "1000\nwritable\n")


def test_terminal_in_a_user_namespace(runtime: Caller) -> None:
    """A container with mapped ids gets a terminal of its own root."""
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle = on_terminal(runtime, "stat -c %u $(tty); tty")
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=ids, gidMappings=ids)
    session = Session(runtime.command("run", "--bundle", bundle.save().directory, runtime.new_id()), 24, 80)
    assert session.finish() == (0, "0\n/dev/pts/0\n")


def test_console_socket_without_terminal(runtime: Caller) -> None:
    """A console socket for a process without a terminal is refused."""
    with ConsoleSocket(runtime.directory / "c") as console:
        runtime.try_create(runtime.bundle(), "--console-socket", console.path).failed(1)


def test_detached_terminal_without_console_socket(runtime: Caller) -> None:
    """create with a terminal needs a console socket."""
    runtime.try_create(on_terminal(runtime, "true")).failed(1)
    assert runtime.known_ids() == []


def test_console_socket_that_nobody_serves(runtime: Caller) -> None:
    """A console socket that is not there fails create and leaves nothing."""
    runtime.try_create(on_terminal(runtime, "true"), "--console-socket", "/no/such/socket").failed(1)
    assert runtime.known_ids() == []


def test_run_without_a_terminal_of_its_own(runtime: Caller) -> None:
    """run with a terminal but pipes on its own streams still gives the container one."""
    bundle = on_terminal(runtime, "tty; echo done")
    read, write = os.pipe()
    child = subprocess.Popen(
        runtime.command("run", "--bundle", bundle.directory, runtime.new_id()),
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with open(read) as stream:
        text = stream.read()
    code = child.wait(10)
    if runtime.name == "runc" and code != 0:
        pytest.skip("runc: insists on a terminal")
    assert (code, text.replace("\r", "")) == (0, "/dev/pts/0\ndone\n")


@pytest.mark.not_on("runc", "crun", reason="needs a console socket")
def test_run_ends_when_killed(runtime: Caller) -> None:
    """SIGKILL to run leaves the container, which kill and delete still manage."""
    bundle, id = on_terminal(runtime, "trap '' HUP; while :; do sleep 0.1; done"), runtime.new_id()
    session = Session(runtime.command("run", "--bundle", bundle.directory, id), 24, 80)
    wait_for(lambda: runtime.call("state", id).code == 0 and runtime.status(id) == "running", "container")
    session.child.kill()
    session.finish()
    runtime.remove(id)


@pytest.mark.not_on("runc", "crun", reason="they take no terminal from a caller without one")
def test_output_into_a_pipe(runtime: Caller) -> None:
    """Where the output is no terminal, lines end as the program wrote them."""
    bundle = on_terminal(runtime, "echo one; echo two")
    assert runtime.run(bundle).ok().out == "one\ntwo\n"


@pytest.mark.not_on("runc", "crun", reason="they take no terminal from a caller without one")
def test_exec_with_output_into_a_pipe(runtime: Caller) -> None:
    """Where the output of `exec` is no terminal, lines end as the program wrote them."""
    id = runtime.launch(runtime.sleeper())
    assert runtime.exec(id, "tty; echo two", "--tty").ok().out == "/dev/pts/0\ntwo\n"


@pytest.mark.not_on("crun", reason="ends lines by \\r\\n")
def test_output_into_a_pipe_beside_the_callers_terminal(runtime: Caller) -> None:
    """The reader of the pipe prints on the caller's terminal, which goes on to begin its lines at the left."""
    bundle = on_terminal(runtime, "echo one; echo two")
    command = [*runtime.command("run", "--bundle", bundle.directory, runtime.new_id())]
    session = Session(["sh", "-c", '"$@" | cat', "sh", *command], 24, 80)
    assert session.terminal.read_until("two\r\n") == "one\r\ntwo\r\n"
    session.finish()


@pytest.mark.not_on(
    "runc", reason="its caller's terminal turns each line feed into a new line, whatever the program set"
)
def test_what_a_drawing_program_draws(runtime: Caller) -> None:
    """A program that has set its terminal raw moves down by a line feed, on the caller's screen too."""
    bundle = on_terminal(runtime, "echo ab; stty raw; printf 'cd\\nef'; stty -raw")
    session = Session(runtime.command("run", "--bundle", bundle.directory, runtime.new_id()), 24, 80)
    assert session.terminal.read_until("ef") == "ab\r\ncd\nef"
    session.finish()


@pytest.mark.not_on("crun", reason="takes no terminal then")
def test_input_that_is_no_terminal(runtime: Caller) -> None:
    """The caller's terminal, which nothing makes raw then, ends lines; the container's has its size all the same."""
    bundle = on_terminal(runtime, "stty size; echo two")
    command = runtime.command("run", "--bundle", bundle.directory, runtime.new_id())
    session = Session(command, 33, 101, stdin=subprocess.DEVNULL)
    assert session.terminal.read_until("two\r\n") == "33 101\r\ntwo\r\n"
    assert session.finish()[0] == 0


@pytest.mark.not_on("runc", "crun", reason="they take no terminal from a caller without one")
@pytest.mark.parametrize("words", ["hello\nx", "x", "hello\n", ""])
def test_end_of_the_input(runtime: Caller, words: str) -> None:
    """The program's input ends with the caller's, also within a line."""
    id = runtime.launch(runtime.sleeper())
    result = runtime.exec(id, "stty -echo; cat; echo .", "--tty", stdin=words, timeout=10).ok()
    assert result.out.endswith(f"{words}.\n")


def test_run_while_the_terminal_is_closed(runtime: Caller) -> None:
    """A program may close its terminal and open it again, as systemd does; meanwhile signals are forwarded."""
    script = """echo first; exec </dev/null >/dev/null 2>&1; sleep 1; echo second > /dev/console
trap 'echo third > /dev/console; exit 3' TERM; sleep 1; echo ready > /dev/console; while :; do sleep 0.05; done"""
    session = Session(
        runtime.command("run", "--bundle", on_terminal(runtime, script).directory, runtime.new_id()), 24, 80
    )
    session.terminal.read_until("ready")
    os.kill(session.child.pid, signal.SIGTERM)
    code, text = session.finish()
    assert code == 3
    assert "third" in text
