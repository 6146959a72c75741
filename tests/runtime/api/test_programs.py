"""Programs run in a container: exec as `subprocess.run`, popen as `subprocess.Popen`."""

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ocirun import (
    DEVNULL,
    PIPE,
    STDOUT,
    CalledProcessError,
    Container,
    InvalidConfig,
    OcirunError,
    Process,
    TimeoutExpired,
    WrongState,
)

from tests.integration import snapshot
from tests.runtime.api.place import Place, on_real_containers

pytestmark = on_real_containers


@pytest.fixture
def container(place: Place) -> Iterator[Container]:
    with place.create() as one:
        one.start()
        yield one


def shell(container: Container, script: str, **options) -> str:
    """What the script prints."""
    found: str = container.exec(["sh", "-c", script], capture_output=True, text=True, check=True, **options).stdout
    return found


# exec


def test_capture(container: Container):
    """Both outputs, as bytes or text, and the status."""
    done = container.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    done = container.exec(["sh", "-c", "printf 'a\\r\\nb\\n'"], stdout=PIPE, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\nb\n", None)
    done = container.exec(["sh", "-c", "echo one; echo two >&2"], stdout=PIPE, stderr=STDOUT)
    assert done.stdout == b"one\ntwo\n"
    assert container.exec(["sh", "-c", "echo nobody reads this"], stdout=DEVNULL).stdout is None


@pytest.mark.parametrize("given", ["text", b"bytes"])
def test_input(container: Container, given: str | bytes):
    """stdin takes str and bytes, as does input."""
    wanted = given if isinstance(given, bytes) else given.encode()
    assert container.exec(["cat"], stdin=given, stdout=PIPE).stdout == wanted
    assert container.exec(["cat"], input=given, stdout=PIPE).stdout == wanted


def test_input_from_a_file(container: Container, tmp_path: Path):
    """stdin takes a file, or its descriptor; DEVNULL is empty."""
    (tmp_path / "in").write_text("from a file")
    with (tmp_path / "in").open() as file:
        assert container.exec(["cat"], stdin=file, stdout=PIPE).stdout == b"from a file"
    assert container.exec(["cat"], stdin=DEVNULL, stdout=PIPE).stdout == b""


def test_much_in_both_directions(container: Container):
    """More than the pipes hold goes in and comes out; nobody waits for the other."""
    data = os.urandom(1 << 20)
    assert container.exec(["cat"], input=data, stdout=PIPE, timeout=60).stdout == data


def test_input_that_nobody_reads(container: Container):
    """A program that ends without reading is no error."""
    assert container.exec(["true"], input=b"x" * (1 << 20)).returncode == 0


def test_timeout(container: Container):
    """The program is killed; what it wrote until then is in the error."""
    began = time.monotonic()
    with pytest.raises(TimeoutExpired, match=r": did not end within 2 seconds") as caught:
        container.exec(["sh", "-c", "echo before; exec sleep 60"], stdout=PIPE, timeout=2)
    assert time.monotonic() - began < 30
    assert (caught.value.timeout, caught.value.stdout) == (2, b"before\n")
    assert container.processes() == [container.pid]


def test_check(container: Container):
    """A status other than 0 is an error that has it."""
    with pytest.raises(CalledProcessError, match="ended with status 5") as caught:
        container.exec(["sh", "-c", "echo why >&2; exit 5"], stderr=PIPE, check=True)
    assert (caught.value.returncode, caught.value.stderr) == (5, b"why\n")
    assert container.exec(["sh", "-c", "kill -TERM $$"]).returncode == 128 + signal.SIGTERM


def test_the_programs_surroundings(container: Container):
    """env adds to the config's, cwd, user, groups and capabilities replace or add."""
    script = "echo $A $PATH; pwd; id -u; id -g; id -G; grep CapEff /proc/self/status"
    lines = shell(container, script, env={"A": "b=c"}, cwd="/bin", user="5:6", additional_gids=[7, 8]).splitlines()
    assert lines[0].startswith("b=c /")
    assert lines[1:5] == ["/bin", "5", "6", "6 7 8"]
    assert shell(container, "id -u", user=9) == "9\n"
    kept = int(shell(container, "grep CapEff /proc/self/status").split()[1], 16)
    more = int(shell(container, "grep CapEff /proc/self/status", capabilities=["CAP_SYS_TIME"]).split()[1], 16)
    assert more & ~kept == 1 << 25
    assert "NoNewPrivs:\t1" in shell(container, "grep NoNewPrivs /proc/self/status", no_new_privileges=True)


def test_what_exec_does_not_take(container: Container):
    """A string, an empty list, an option that is none, and what contradicts: each is an error that says so."""
    for given, options, error, words in (
        ("ls -l", {}, TypeError, "there is no shell"),
        ([], {}, OcirunError, "the list is empty"),
        (["ls", "a\0b"], {}, OcirunError, "null byte"),
        (["ls"], {"stdout": io.StringIO()}, OcirunError, "no descriptor"),
        (["ls"], {"env": {"A": 1}}, TypeError, "must be a str"),
        (["ls"], {"shell": True}, TypeError, "no option 'shell'"),
        (["ls"], {"env": {"A=B": "c"}}, OcirunError, "cannot be the name of a variable"),
        (["ls"], {"user": "root"}, OcirunError, "not a numeric id"),
        (["ls"], {"stdin": DEVNULL, "input": "x"}, OcirunError, "cannot both be given"),
        (["ls"], {"stdout": PIPE, "capture_output": True}, OcirunError, "cannot both be given"),
        (["ls"], {"stdout": 987}, OcirunError, "stdout: descriptor 987 is not open"),
        (["ls"], {"encoding": "nope", "stdout": PIPE}, OcirunError, "encoding 'nope': Python has none"),
        (["ls"], {"preserve_fds": [987]}, OcirunError, "preserve_fds: descriptor 987 is not open"),
        (["ls"], {"preserve_fds": -1}, OcirunError, "preserve_fds: -1"),
        ({"args": ["ls"]}, {"input": "x"}, TypeError, "process document"),
    ):
        before = snapshot.descriptors()
        with pytest.raises(error, match=words):
            container.exec(given, **options)  # type: ignore[call-overload]
        assert snapshot.descriptors() == before


def test_descriptors(container: Container):
    """A list of descriptors and files becomes 3, 4, …, in its order, also where a number is in another's way."""
    first, second, third = (os.pipe() for _ in range(3))
    given = [third[1], first[1], second[1]]
    script = "echo three >&3; echo four >&4; echo five >&5; ls /proc/$$/fd; true"
    done = container.exec(["sh", "-c", script], stdin=DEVNULL, capture_output=True, preserve_fds=given)
    assert done.stdout.split() == [b"0", b"1", b"2", b"3", b"4", b"5"], done.stderr
    assert [os.read(pipe[0], 9) for pipe in (first, second, third)] == [b"four\n", b"five\n", b"three\n"]
    for pipe in (first, second, third):
        os.close(pipe[0])
        os.close(pipe[1])
    with open(os.devnull) as null, container.popen({"args": ["true"], "cwd": "/"}, preserve_fds=[null]) as one:
        assert one.wait(10) == 0


def test_a_terminal_has_no_pipe(container: Container):
    """A pipe beside it would be one that nobody writes to."""
    with pytest.raises(OcirunError, match="terminal=True and PIPE"):
        container.popen(["true"], terminal=True, stdout=PIPE)


def test_a_program_that_is_not_there(container: Container):
    """OcirunError names it, and nothing is left open."""
    before = snapshot.descriptors()
    with pytest.raises(OcirunError, match=r"executable file not found in \$PATH"):
        container.exec(["no-such-program"], capture_output=True)
    assert snapshot.descriptors() == before


# popen


def test_a_conversation(container: Container):
    """Lines go in and come out while the program runs."""
    with container.popen(["sh", "-c", "while read a; do echo got $a; done"], stdin=PIPE, stdout=PIPE, text=True) as one:
        for word in ("one", "two"):
            one.stdin.write(f"{word}\n")
            one.stdin.flush()
            assert one.stdout.readline() == f"got {word}\n"
        one.stdin.close()
        assert one.wait(10) == 0


def test_the_end_of_a_with_statement(container: Container):
    """What still runs is killed and reaped, and its pipes are closed."""
    before = snapshot.descriptors()
    with container.popen(["sleep", "60"], stdin=PIPE, stdout=PIPE) as one:
        assert one.poll() is None
        assert one.pid in container.processes()
    assert one.returncode == 128 + signal.SIGKILL
    assert container.processes() == [container.pid]
    assert snapshot.descriptors() == before


def test_signals(container: Container):
    """terminate, kill and send_signal reach it; after its end they do nothing."""
    one = container.popen(["sleep", "60"])
    one.terminate()
    assert one.wait(10) == 128 + signal.SIGTERM
    one.kill()
    assert one.wait() == one.poll() == one.returncode == 128 + signal.SIGTERM


def test_communicate_goes_on_after_a_timeout(container: Container):
    """Nothing is lost."""
    with container.popen(["sh", "-c", "echo a; cat; sleep 4; echo b"], stdin=PIPE, stdout=PIPE, text=True) as one:
        with pytest.raises(TimeoutExpired) as caught:
            one.communicate("in\n", timeout=1.5)
        assert caught.value.output == "a\nin\n"
        assert one.communicate(timeout=20) == ("a\nin\nb\n", None)
    assert one.returncode == 0


def test_a_terminal(container: Container):
    """terminal=True gives the master end: size, input, output, and its end."""
    with container.popen(["sh", "-c", "read line; stty size; echo $line; tty"], terminal=True) as one:
        assert isinstance(one, Process)
        terminal = one.terminal
        terminal.resize(91, 31)
        assert terminal.size == (91, 31)
        terminal.write("typed\n")
        text = b""
        while data := terminal.read():
            text += data
        assert text == b"typed\r\n31 91\r\ntyped\r\n/dev/pts/0\r\n"
        assert one.wait(10) == 0
    with pytest.raises(OcirunError, match="terminal is closed"):
        terminal.fileno()
    with pytest.raises(OcirunError, match="give terminal=True"):
        container.popen(["true"]).terminal  # noqa: B018


def test_a_process_document(place: Place, container: Container):
    """popen takes one, with streams; a terminal in it needs terminal=True."""
    document = place.process("sh", "-c", "tty; cat")
    with container.popen(document, stdin=PIPE, stdout=PIPE, text=True) as one:
        assert one.communicate("x")[0] == "not a tty\nx"
    with container.popen({**document, "args": ["tty"], "terminal": True}, terminal=True) as one:
        assert one.terminal.read() == b"/dev/pts/0\r\n"
    with pytest.raises(InvalidConfig, match="terminal"):
        container.popen({**document, "terminal": True})
    with pytest.raises(InvalidConfig) as caught:
        container.popen({**document, "cwd": 1})
    assert [problem.pointer for problem in caught.value.problems] == ["/process/cwd"]


def test_no_stream(container: Container):
    """A stream that is no pipe is an error that says what to give."""
    with container.popen(["true"], stdout=DEVNULL) as one, pytest.raises(OcirunError, match="give stdout=PIPE"):
        one.stdout.read()


def test_wait_from_two_threads(container: Container):
    """Both get the status."""
    one = container.popen(["sh", "-c", "sleep 0.3; exit 6"])
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(one.wait(20))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [6, 6, 6]


def test_programs_do_not_keep_the_container(place: Place):
    """wait and delete reap the programs of popen, which as zombies would keep its pid namespace from ending."""
    container = place.create()
    container.start()
    first, second = container.popen(["sleep", "60"]), container.popen(["sleep", "60"])
    container.kill("KILL")
    assert container.wait(20) == 137
    assert (first.wait(1), second.returncode) == (137, 137)
    container.delete()
    with place.create() as container:
        container.start()
        third = container.popen(["sleep", "60"])
    assert third.returncode == 137
    assert container.returncode == 137


def test_in_a_container_that_has_ended(place: Place):
    """WrongState, and the pipes are closed."""
    before = snapshot.descriptors()
    container = place.create("true")
    container.start()
    container.wait()
    with pytest.raises(WrongState):
        container.exec(["true"], capture_output=True)
    container.delete()
    assert snapshot.descriptors() == before
