"""The Python API, on real containers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import runtime
from runtime import Container, InvalidConfig, NotFound, OcirunError, OcirunWarning, WrongState, list_containers
from tests.conftest import TREE
from tests.integration import snapshot
from tests.integration.bundle import merge
from tests.runtime.api.place import DOUBTFUL, Place, end, on_real_containers

# The package


def test_the_package_imports_nothing_by_itself() -> None:
    """`import runtime` loads nothing else, and each name of the API is there when it is asked for."""
    script = "import sys; sys.path.append(sys.argv[1]); old = set(sys.modules); import runtime; print(*set(sys.modules) - old)"
    python = os.path.realpath(sys.executable)
    done = subprocess.run([python, "-I", "-S", "-c", script, TREE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["runtime"]
    assert {name for name in runtime.__all__ if getattr(runtime, name, None) is None} == set()
    assert set(runtime.__all__) <= set(dir(runtime))


def test_an_unknown_name() -> None:
    """What the package does not have is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="no_such_name"):
        runtime.no_such_name  # noqa: B018


# A life


@on_real_containers
def test_a_life(place: Place) -> None:
    """create, start, kill, wait, delete, and the state after each."""
    container = place.create()
    assert container.state()["status"] == "created"
    container.start()
    state = container.state()
    assert (state["status"], state["pid"], state["id"]) == ("running", container.pid, container.id)
    assert list_containers(place.root) == [state]
    container.kill(signal.SIGKILL)
    assert container.wait() == 128 + signal.SIGKILL
    assert container.state()["status"] == "stopped"
    container.delete()
    assert list_containers(place.root) == []
    with pytest.raises(NotFound, match="does not exist"):
        container.state()


@on_real_containers
def test_wait_gives_the_exit_status(place: Place) -> None:
    """wait returns the program's own status, again, and after delete."""
    container = place.create("sh", "-c", "exit 7")
    container.start()
    assert container.wait() == 7
    container.delete()
    assert container.wait() == 7


@on_real_containers
def test_wait_in_a_loaded_container(place: Place) -> None:
    """What `load` gives can wait too, until init was waited for; then its maker says so, and who loads it later knows no status."""
    made = place.create("sh", "-c", "exit 3")
    made.start()
    loaded = Container.load(made.id, place.root)
    assert loaded.pid == made.pid
    assert loaded.wait() == 3
    with pytest.raises(OcirunError, match="waited for before"):
        made.wait()
    assert Container.load(made.id, place.root).wait() is None
    made.delete()


@on_real_containers
def test_wrong_states(place: Place) -> None:
    """start twice, delete while running, kill and exec when stopped, create again: WrongState, and nothing happens."""
    container = place.create()
    with pytest.raises(WrongState, match="already exists"):
        place.create()
    container.start()
    with pytest.raises(WrongState):
        container.start()
    with pytest.raises(WrongState):
        container.delete()
    container.kill("KILL")
    container.wait()
    with pytest.raises(WrongState):
        container.kill()
    with pytest.raises(WrongState):
        container.exec(place.process("true"))
    container.delete()


def test_not_found(tmp_path: Path) -> None:
    """load of an id that is not there is NotFound; delete by force of one that is gone is no error."""
    with pytest.raises(NotFound, match="does not exist"):
        Container.load("nobody", tmp_path)
    Container("nobody", str(tmp_path), 0).delete(force=True)


@on_real_containers
def test_pause_and_resume(place: Place) -> None:
    """The status says it; each is refused in the wrong state."""
    container = place.create()
    container.start()
    with pytest.raises(WrongState, match="not paused"):
        container.resume()
    container.pause()
    assert container.state()["status"] == "paused"
    with pytest.raises(WrongState):
        container.pause()
    container.resume()
    assert container.state()["status"] == "running"
    container.delete(force=True)


# Options of create


@on_real_containers
def test_relative_paths(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths count from the working directory, and the state has them absolute."""
    monkeypatch.chdir(place.directory.parent)
    name = place.directory.name
    container = Container.create(
        place.token, name, root=f"{name}/state", pid_file=f"{name}/pid", config=f"{name}/config.json"
    )
    assert container.state()["bundle"] == str(place.directory)
    assert (place.directory / "pid").read_text() == str(container.pid)
    assert container.root == str(place.root)
    end(container)


@on_real_containers
def test_config_as_a_dict(place: Place) -> None:
    """The config may come as a dict; an error then has a pointer and no line."""
    config = merge(place.bundle.config, {"process": {"args": ["sh", "-c", "exit 5"]}})
    container = Container.create(place.token, place.directory, root=place.root, config=config)
    container.start()
    assert container.wait() == 5
    container.delete()
    with pytest.raises(InvalidConfig) as caught:
        Container.create(place.token, place.directory, root=place.root, config=merge(config, {"process": {"cwd": 1}}))
    assert (caught.value.pointer, caught.value.line) == ("/process/cwd", None)
    with pytest.raises(InvalidConfig, match="not JSON"):
        Container.create(place.token, place.directory, root=place.root, config={"process": {1, 2}})


@on_real_containers
def test_a_wrong_config_file(place: Place) -> None:
    """InvalidConfig has the pointer and the line, and nothing is left."""
    place.configure({"process": {"cwd": "relative"}})
    with pytest.raises(InvalidConfig) as caught:
        Container.create(place.token, place.directory, root=place.root)
    text = (place.directory / "config.json").read_text().splitlines()
    assert caught.value.pointer == "/process/cwd"
    assert caught.value.line is not None
    assert '"cwd"' in text[caught.value.line - 1]
    assert list_containers(place.root) == []


@on_real_containers
def test_stdio(place: Place, tmp_path: Path) -> None:
    """The program's streams are the descriptors that were given."""
    (tmp_path / "in").write_text("from outside\n")
    with (tmp_path / "in").open() as source, (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        streams = (source.fileno(), out.fileno(), err.fileno())
        container = place.create("sh", "-c", "cat; echo wrong >&2; ls /proc/$$/fd; true", stdio=streams)
        container.start()
        assert container.wait() == 0
    container.delete()
    assert (tmp_path / "out").read_text().split() == ["from", "outside", "0", "1", "2"]
    assert (tmp_path / "err").read_text() == "wrong\n"


@on_real_containers
def test_stdio_that_is_not_open(place: Place) -> None:
    """A descriptor that is not open is refused: the program would get what is opened next."""
    with pytest.raises(OcirunError, match="descriptor 999 is not open"):
        place.create(stdio=(0, 1, 999))


@on_real_containers
def test_cgroup_manager(place: Place) -> None:
    """Who makes the cgroups: nobody, systemd with its own form of the path, or it is an error."""
    with pytest.warns(OcirunWarning) as told:
        container = place.create(cgroup_manager="disabled")
    places = sorted(str(one.message).split(": ")[1] for one in told)
    assert places == ["/linux/cgroupsPath", "/linux/resources/devices"]
    assert place.token not in Path(f"/proc/{container.pid}/cgroup").read_text()
    end(container)
    with pytest.raises(InvalidConfig, match="slice:prefix:name"):
        place.create(cgroup_manager="systemd")
    with pytest.raises(OcirunError, match="'docker': must be one of cgroupfs, systemd, disabled"):
        place.create(cgroup_manager="docker")


@on_real_containers
def test_console_socket(place: Place) -> None:
    """The terminal's other end comes to console_socket; without one a terminal is refused."""
    place.configure({"process": {"terminal": True, "args": ["tty"]}})
    with pytest.raises(InvalidConfig, match="terminal"):
        Container.create(place.token, place.directory, root=place.root)
    path = place.directory / "console"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(10)
        container = Container.create(place.token, place.directory, root=place.root, console_socket=path)
        connection, _ = listener.accept()
        with connection:
            received = socket.recv_fds(connection, 4096, 1)[1]
    path.unlink()
    container.start()
    assert container.wait() == 0
    assert os.read(received[0], 100) == b"/dev/pts/0\r\n"
    os.close(received[0])
    container.delete()


@on_real_containers
def test_preserve_fds(place: Place) -> None:
    """preserve_fds passes descriptors from 3 on."""
    script = (
        "import os, sys; sys.path[:0] = [sys.argv[1]]; from runtime import Container\n"
        "file = os.memfd_create('kept', 0); os.write(file, b'kept'); os.lseek(file, 0, 0); os.dup2(file, 3)\n"
        "container = Container.create(*sys.argv[2:4], root=sys.argv[4], preserve_fds=1)\n"
        "container.start(); code = container.wait(); container.delete(); sys.exit(code)"
    )
    place.configure({"process": {"args": ["sh", "-c", "cat <&3"]}})
    words = [str(TREE), place.token, str(place.directory), str(place.root)]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "kept"), done.stderr


@on_real_containers
def test_the_environment_is_for_the_process(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """LISTEN_FDS and NOTIFY_SOCKET of this process are not passed on, and start does not wait for anything."""
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with (tmp_path / "out").open("w") as out:
        container = place.create("sh", "-c", "env; ls /proc/$$/fd; true", stdio=(0, out.fileno(), 2))
        container.start()
        assert container.wait() == 0
    container.delete()
    text = (tmp_path / "out").read_text()
    assert "LISTEN_FDS" not in text
    assert "NOTIFY_SOCKET" not in text
    assert text.endswith("0\n1\n2\n")


# exec


@on_real_containers
def test_exec(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """exec runs a program with this process's streams and returns its exit status, 128 + N for a signal."""
    container = place.create()
    container.start()
    assert container.exec(place.process("sh", "-c", "echo inside; exit 4")) == 4
    assert container.exec(place.process("sh", "-c", "kill -TERM $$")) == 128 + signal.SIGTERM
    assert capfd.readouterr().out == "inside\n"
    end(container)


@on_real_containers
def test_exec_detached(place: Place) -> None:
    """With detach exec returns the pid of a child of ours, as soon as it runs."""
    container = place.create()
    container.start()
    pid = container.exec(place.process("sleep", "30"), detach=True)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    end(container)


@on_real_containers
def test_exec_failures(place: Place) -> None:
    """What is wrong in the process document, or cannot be started, is told by its pointer."""
    container = place.create()
    container.start()
    with pytest.raises(InvalidConfig) as wrong:
        container.exec(merge(place.process("true"), {"cwd": None}))
    assert wrong.value.pointer == "/process/cwd"
    with pytest.raises(InvalidConfig, match="terminal"):
        container.exec(merge(place.process("true"), {"terminal": True}))
    with pytest.raises(OcirunError, match=r"executable file not found in \$PATH"):
        container.exec(place.process("no-such-program"))
    end(container)


# What the calling process keeps


def handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def dispositions() -> str:
    """The kernel's own view: masks, ignored and caught signals, umask."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return "\n".join(line for line in lines if line.startswith(("SigBlk", "SigIgn", "SigCgt", "ShdPnd", "Umask")))


def process_itself() -> tuple[Any, ...]:
    return snapshot.descriptors(), handlers(), dispositions(), os.getcwd(), signal.pthread_sigmask(signal.SIG_BLOCK, ())


@on_real_containers
def test_the_process_stays_as_it_was(place: Place) -> None:
    """No call, also none that fails, changes descriptors, signal handlers or mask, working directory or umask."""
    before = process_itself()
    container = place.create()
    assert process_itself() == before
    with pytest.raises(WrongState):
        place.create()
    assert process_itself() == before
    container.start()
    container.exec(place.process("true"))
    with pytest.raises(OcirunError):
        container.exec(place.process("no-such-program"))
    assert process_itself() == before
    container.state()
    container.kill("USR1")
    container.kill("KILL", all=True)
    container.wait()
    container.delete()
    assert process_itself() == before
    with pytest.raises(OcirunError):
        Container.create(place.token, place.directory, root=place.root, config={"ociVersion": "1.0.0"})
    place.configure({"hooks": {"prestart": [{"path": "/bin/false"}]}})
    with pytest.raises(OcirunError):
        Container.create(place.token, place.directory, root=place.root)
    assert process_itself() == before


@on_real_containers
def test_threads(place: Place) -> None:
    """Containers of different ids live in threads beside each other; afterwards the process is as it was."""
    first = threading.Thread(target=int)  # the C library catches a signal of its own from then on
    first.start()
    first.join()
    before = process_itself()
    failures: list[BaseException] = []

    def live(number: int) -> None:
        try:
            for turn in range(3):
                container = Container.create(
                    f"{place.token}-{number}", place.directory, root=place.root, config=configs[number]
                )
                container.start()
                assert container.exec(place.process("sh", "-c", f"exit {turn}")) == turn
                container.kill("KILL")
                assert container.wait() == 137
                container.delete()
        except BaseException as error:
            failures.append(error)

    configs = [
        merge(place.bundle.config, {"linux": {"cgroupsPath": f"/{place.token}-{number}"}}) for number in range(4)
    ]
    threads = [threading.Thread(target=live, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert process_itself() == before


# Warnings


@on_real_containers
def test_warnings(place: Place) -> None:
    """What the command would print comes through `warnings`, at the caller's line."""
    with pytest.warns(OcirunWarning, match="/ociVersion: version 1.99.0") as caught:
        container = Container.create(
            place.token,
            place.directory,
            root=place.root,
            config=merge(place.bundle.config, DOUBTFUL),
        )
    assert caught[0].filename == __file__
    end(container)


@on_real_containers
def test_a_warning_as_an_error(place: Place) -> None:
    """A filter that makes an error of it ends create, and nothing is left."""
    with pytest.raises(OcirunWarning):  # the tests' own filter
        Container.create(
            place.token,
            place.directory,
            root=place.root,
            config=merge(place.bundle.config, DOUBTFUL),
        )
    assert list_containers(place.root) == []
