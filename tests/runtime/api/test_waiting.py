"""Streams of a container, and waiting for its end, whoever is its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ocirun import DEVNULL, PIPE, STDOUT, Container, OcirunError, TimeoutExpired, WrongState, list_containers

from tests.conftest import TREE
from tests.integration import snapshot
from tests.runtime.api.place import Place, on_real_containers

pytestmark = on_real_containers


def test_output_comes_line_by_line(place: Place):
    """A container's output can be read while it runs, and its input written."""
    script = "for n in 1 2 3; do echo line $n; done; read word; echo $word >&2; exit 4"
    with place.create("sh", "-c", script, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as container:
        container.start()
        assert [container.stdout.readline() for _ in range(3)] == ["line 1\n", "line 2\n", "line 3\n"]
        container.stdin.write("word\n")
        container.stdin.close()
        assert list(container.stderr) == ["word\n"]
        assert container.wait(10) == 4


def test_run_and_communicate(place: Place):
    """run creates and starts; communicate gives all output, and at the end of with it is gone."""
    place.configure({"process": {"args": ["sh", "-c", "cat; echo err >&2"]}})
    with Container.run(place.token, place.directory, root=place.root, stdin=PIPE, stdout=PIPE, stderr=STDOUT) as one:
        assert one.status == "running"
        assert one.communicate(b"in\n", timeout=20) == (b"in\nerr\n", None)
        assert one.returncode == 0
    assert list_containers(place.root) == []


def test_run_that_fails_leaves_nothing(place: Place):
    """A program that cannot be executed: the error, and no container."""
    before = snapshot.descriptors()
    place.configure({"process": {"args": ["/no-such-program"]}})
    with pytest.raises(OcirunError, match="no such file"):
        Container.run(place.token, place.directory, root=place.root, stdout=PIPE)
    assert list_containers(place.root) == []
    assert snapshot.descriptors() == before


def test_a_terminal(place: Place):
    """terminal=True gives the program a terminal, and keeps its master end."""
    place.configure({"process": {"args": ["sh", "-c", "tty; stty size"]}})
    with Container.create(place.token, place.directory, root=place.root, terminal=True) as one:
        one.terminal.resize(70, 20)
        one.start()
        text = b""
        while data := one.terminal.read():
            text += data
    assert text == b"/dev/pts/0\r\n20 70\r\n"
    place.configure({"process": {"terminal": True, "args": ["tty"]}})
    with pytest.raises(OcirunError, match="give terminal=True to have it, terminal=False"):
        Container.create(place.token, place.directory, root=place.root)
    with Container.run(
        place.token, place.directory, root=place.root, terminal=False, stdin=DEVNULL, stdout=PIPE
    ) as one:
        assert one.stdout.read() == b"not a tty\n"


def test_wait_with_a_timeout(place: Place):
    """TimeoutExpired, and the wait may be repeated; poll does not wait."""
    with place.create("sh", "-c", "sleep 1; exit 3") as container:
        container.start()
        assert container.poll() is None
        with pytest.raises(TimeoutExpired, match=r": did not end within 0\.2 seconds"):
            container.wait(0.2)
        assert container.wait(20) == container.poll() == container.returncode == 3


MAKER = """
import os, sys; sys.path[:0] = sys.argv[1:3]
from ocirun import Container
container = Container.run(*sys.argv[3:5], root=sys.argv[5]); print("runs", flush=True)
sys.stdin.readline()
container.wait()
"""


def maker(place: Place) -> "subprocess.Popen[str]":
    """Another process, which makes the container and waits for it once its input ends."""
    paths = [str(TREE), str(TREE / "runtime/import"), place.token, str(place.directory), str(place.root)]
    process = subprocess.Popen(
        [sys.executable, "-c", MAKER, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "runs\n"
    return process


def kernel_tells() -> bool:
    version = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    return version >= (6, 15)


def test_another_process_container(place: Place):
    """Its end can be waited for; the status is what the kernel tells, once its parent has collected it, else None."""
    place.configure({"process": {"args": ["sh", "-c", "sleep 1; exit 9"]}})
    with maker(place) as other:
        container = Container.load(place.token, place.root)
        with pytest.raises(TimeoutExpired):
            container.wait(0.1)
        assert other.stdin
        other.stdin.close()
        assert container.wait(20) == (9 if kernel_tells() else None)
        assert container.poll() == container.returncode
        container.delete()


def test_a_parent_that_does_not_collect(place: Place):
    """The status is not known, and wait says None instead of a guess."""
    place.configure({"process": {"args": ["sh", "-c", "sleep 0.5; exit 9"]}})
    with maker(place) as other:
        container = Container.load(place.token, place.root)
        assert container.wait(20) is None
        assert container.returncode is None
        assert other.stdin
        other.stdin.close()
        container.delete()


SURROUNDINGS = """
import os, resource, signal, sys; sys.path[:0] = sys.argv[1:3]
from ocirun import PIPE, Container, OcirunError
before = len(os.listdir("/proc/self/fd"))
{before}
with Container.run(*sys.argv[3:5], root=sys.argv[5], stdin=-3, stdout=PIPE, stderr=-3, text=True) as container:
    told = container.stdout.readline()
    status = container.exec(["sh", "-c", "exit 5"], stdin=-3, capture_output=True).returncode
    process = container.popen(["sleep", "60"], stdin=-3, stdout=-3, stderr=-3)
    process.kill()
    ended = process.wait(20)
    container.kill("TERM")
    end = container.wait(20)
{after}
with open(sys.argv[6], "w") as file:
    print(told.strip(), status, ended, end, file=file)
"""
READY = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", ""),
        ("signal.signal(signal.SIGCHLD, lambda *_: None)", ""),
        ("os.closerange(0, 3)", "for number in range(3): os.fstat(number) if False else None"),
        ("held = [os.open('/dev/null', 0) for _ in range(3000)]", ""),
        ("os.mkdir(sys.argv[6] + '.d'); os.chdir(sys.argv[6] + '.d'); os.rmdir(sys.argv[6] + '.d')", ""),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())", ""),
        ("import threading; threading.Thread(target=lambda: None).start()", ""),
        ("", "assert len(os.listdir('/proc/self/fd')) == before"),
    ],
    ids=["ignored", "handled", "closed", "many", "deleted", "blocked", "threads", "leak"],
)
def test_the_callers_surroundings(place: Place, tmp_path: Path, before: str, after: str):
    """Whatever the calling process is like, a container lives, programs run in it, and each status is known."""
    if "SIG_IGN" in before and not kernel_tells():
        pytest.skip("Linux before 6.15 does not tell the status of a child that it reaps itself")
    place.configure({"process": {"args": ["sh", "-c", READY]}})
    script = SURROUNDINGS.format(before=before, after=after)
    paths = [str(TREE), str(TREE / "runtime/import"), place.token, str(place.directory), str(place.root)]
    command = [sys.executable, "-c", script, *paths, str(tmp_path / "told")]
    with (tmp_path / "err").open("w+") as errors:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, timeout=60, check=False)
        errors.seek(0)
        assert done.returncode == 0, errors.read()
    assert (tmp_path / "told").read_text() == "ready 5 137 7\n"


def test_a_handler_that_waits_for_any_child(place: Place):
    """It takes the status, and wait says so instead of waiting for ever."""
    container = place.create()
    container.start()
    container.kill("KILL")
    assert os.waitpid(container.pid, 0)[0] == container.pid
    with pytest.raises(OcirunError, match="handler of SIGCHLD"):
        container.wait(20)
    container.delete()


def test_no_descriptors_are_left(place: Place):
    """Fifty lives with pipes, programs and failures leave as many descriptors as there were, and no child."""
    before = snapshot.descriptors()
    for _ in range(50):
        with place.create(stdin=PIPE, stdout=PIPE, stderr=PIPE) as container:
            container.start()
            container.exec(["true"], capture_output=True)
            container.popen(["sleep", "60"], stdin=PIPE)
            with pytest.raises(WrongState):
                container.start()
    del container
    assert len(snapshot.descriptors()) == len(before)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_no_descriptors_to_be_had(place: Place):
    """OcirunError, and nothing is left."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = snapshot.descriptors()
    place.create().delete(force=True)  # what is imported late, is imported
    highest = max(int(number) for number in os.listdir("/proc/self/fd"))
    held = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)]
    while held[-1] < highest:
        held.append(os.dup(held[0]))  # no gaps below the highest
    failures = []
    try:
        for more in range(1, 60, 3):
            resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + more, hard))
            try:
                with Container.run(place.token, place.directory, root=place.root, stdout=PIPE) as container:
                    container.exec(["true"], capture_output=True)
                break
            except Exception as error:
                failures.append(error)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for document in list_containers(place.root):
                    Container.load(document["id"], place.root).delete(force=True)
    finally:
        for descriptor in held:
            os.close(descriptor)
    assert len(failures) > 3
    assert {type(error) for error in failures} == {OcirunError}, failures
    assert snapshot.descriptors() == before


def test_a_forked_copy_has_no_say(place: Place):
    """A process that was forked inside of with, and ends there, leaves container and program as they are."""
    with place.create() as container:
        container.start()
        with container.popen(["sleep", "60"]) as program:
            child = os.fork()
            if not child:
                try:
                    with container, program:
                        pass
                finally:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert container.status == "running"
            assert program.poll() is None


def test_control_c(place: Place):
    """KeyboardInterrupt while something is waited for leaves no container, no process and no descriptor."""
    before = snapshot.descriptors()
    place.configure({"hooks": {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "30"]}]}})
    for act in (
        lambda: Container.run(place.token, place.directory, root=place.root, stdout=PIPE),
        lambda: waiting(place, lambda container: container.wait()),
        lambda: waiting(place, lambda container: container.exec(["sleep", "30"], capture_output=True)),
        lambda: waiting(place, lambda container: list(container.stdout)),
        lambda: waiting(place, lambda container: list(container.events(20))),
    ):
        began = time.monotonic()
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            with pytest.raises(KeyboardInterrupt):
                act()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        assert time.monotonic() - began < 20
        assert list_containers(place.root) == []
        place.configure({})
    assert snapshot.descriptors() == before


def waiting(place: Place, act) -> None:
    with Container.run(place.token, place.directory, root=place.root, stdout=PIPE) as container:
        act(container)
