"""What is handed to the process beside its config: descriptors, sockets, a pidfd."""

from __future__ import annotations

import array
import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, Result, wait_for


@pytest.fixture
def files() -> Iterator[list[int]]:
    """Three open files that can be told apart by what they read."""
    made = []
    for number in range(3):
        made.append(os.memfd_create(f"file{number}", 0))
        os.write(made[-1], f"content{number}\n".encode())
        os.lseek(made[-1], 0, os.SEEK_SET)
    yield made
    for descriptor in made:
        os.close(descriptor)


def place_at_3(files: list[int]) -> Callable[[], None]:
    """For the child: the files become descriptors 3, 4, 5."""

    def place() -> None:
        for number, descriptor in enumerate([os.dup(file) for file in files]):
            os.dup2(descriptor, 3 + number, inheritable=True)

    return place


def run(runtime: Caller, bundle: Bundle, files: list[int], *flags: str) -> Result:
    return runtime.run(bundle, *flags, pass_fds=(3, 4, 5), preexec_fn=place_at_3(files))


def activated(runtime: Caller, count: int) -> Caller:
    """The runtime as systemd starts it: LISTEN_FDS descriptors, and LISTEN_PID is its own pid."""
    script = runtime.directory / runtime.name
    script.write_text(f'#!/bin/sh\nLISTEN_FDS={count} LISTEN_PID=$$ exec {runtime.program} "$@"\n')
    script.chmod(0o755)
    runtime.program = str(script)
    return runtime


@pytest.mark.proves_operation("place_descriptors")
def test_preserve_fds(runtime: Caller, files: list[int]) -> None:
    """--preserve-fds 2 passes 3 and 4; 5 is closed."""
    bundle = runtime.shell("cat <&3; cat <&4; ls /proc/$$/fd; true")
    out = run(runtime, bundle, files, "--preserve-fds", "2").ok().out.split()
    assert out == ["content0", "content1", "0", "1", "2", "3", "4"]


@pytest.mark.not_on("runc", reason="refuses it")
@pytest.mark.parametrize("closed", [(3,), (3, 4), (4,)])
def test_preserve_fds_with_gaps(runtime: Caller, files: list[int], closed: tuple[int, ...]) -> None:
    """Where the last is open, others may be closed: Podman's --preserve-fd gives the highest number. The others keep theirs."""
    place = place_at_3(files)

    def place_some() -> None:
        place()
        for descriptor in closed:
            os.close(descriptor)

    wanted = [number for number in (3, 4, 5) if number not in closed]
    script = " ".join(f"cat <&{number};" for number in wanted) + " ls /proc/$$/fd; true"
    id = runtime.launch(runtime.sleeper())

    def created(*flags: str, **more: Any) -> Result:
        later = runtime.create(runtime.shell(script), *flags, **more)
        runtime.start(later)
        wait_for(lambda: runtime.state(later)["status"] == "stopped", "its end")
        return Result(0, runtime.output(later), "")

    for call in (partial(runtime.run, runtime.shell(script)), partial(runtime.exec, id, script), created):
        for file in files:
            os.lseek(file, 0, os.SEEK_SET)
        done = call("--preserve-fds", "3", pass_fds=(3, 4, 5), preexec_fn=place_some).ok()
        contents = [f"content{number - 3}" for number in wanted]
        assert done.out.split() == [*contents, "0", "1", "2", *map(str, wanted)]


@pytest.mark.proves_operation("keep_descriptors")
def test_nothing_without_a_flag(runtime: Caller, files: list[int]) -> None:
    """Descriptors that were not asked for are closed."""
    assert run(runtime, runtime.shell("ls /proc/$$/fd; true"), files).ok().out.split() == ["0", "1", "2"]


def test_preserve_fds_of_a_high_number(runtime: Caller, files: list[int]) -> None:
    """There are at most 1,024."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, limits[1]))
    try:
        os.dup2(files[0], 1030)
        err = runtime.run(runtime.bundle(), "--preserve-fds", "1028", pass_fds=(1030,)).failed(1).err
        os.close(1030)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert err == "ocirun: error: --preserve-fds 1028: a program can be given at most 1024 descriptors\n"


def test_preserve_fds_that_are_not_open(runtime: Caller) -> None:
    """A descriptor that should be passed but is not open is an error, not another file."""
    runtime.run(runtime.bundle(), "--preserve-fds", "5").failed()


@pytest.mark.parametrize("number", ["999999999", "1"])
def test_preserve_fds_names_the_first_that_is_not_open(runtime: Caller, number: str) -> None:
    """However many are asked for, the refusal is quick and says which is missing."""
    err = runtime.run(runtime.bundle(), "--preserve-fds", number).failed(1).err
    assert err == "ocirun: error: --preserve-fds: descriptor 3: bad file descriptor\n"


@pytest.mark.parametrize("env", [{}, {"LISTEN_PID": "1"}, {"LISTEN_PID": "x"}])
def test_listen_fds_for_another_process(runtime: Caller, files: list[int], env: dict[str, str]) -> None:
    """What a service manager meant for the process that called us is not passed on, as with runc."""
    bundle = runtime.shell("echo none$LISTEN_FDS; ls /proc/$$/fd; true")
    env = {"LISTEN_FDS": "1", **env}
    out = runtime.run(bundle, env=env, pass_fds=(3, 4, 5), preexec_fn=place_at_3(files)).ok().out.split()
    assert out == ["none", "0", "1", "2"]


def test_listen_fds(runtime: Caller, files: list[int]) -> None:
    """LISTEN_FDS passes that many descriptors and sets LISTEN_FDS and LISTEN_PID=1 in the container."""
    bundle = runtime.shell("echo $LISTEN_FDS $LISTEN_PID; cat <&3; ls /proc/$$/fd; true")
    out = run(activated(runtime, 1), bundle, files).ok().out.split()
    assert out == ["1", "1", "content0", "0", "1", "2", "3"]


def test_listen_fds_and_preserve_fds(runtime: Caller, files: list[int]) -> None:
    """Both together add up: first LISTEN_FDS, then --preserve-fds."""
    bundle = runtime.shell("echo $LISTEN_FDS; ls /proc/$$/fd; true")
    out = run(activated(runtime, 2), bundle, files, "--preserve-fds", "1").ok().out.split()
    assert out == ["2", "0", "1", "2", "3", "4", "5"]


def test_notify_socket(runtime: Caller) -> None:
    """NOTIFY_SOCKET: the READY=1 that the container sends to its own socket arrives at the caller's."""
    path = runtime.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        caller.bind(str(path))
        caller.settimeout(10)
        env = {"NOTIFY_SOCKET": str(path)}
        id = runtime.create(runtime.sleeper(), env=env)
        pid = runtime.pid(id)
        start = subprocess.Popen(runtime.command("start", id), stdin=subprocess.DEVNULL, env={**os.environ, **env})
        try:
            variable = wait_for(lambda: variables(pid).get("NOTIFY_SOCKET"), "NOTIFY_SOCKET in the container")
        except AssertionError:
            start.kill()
            start.wait()
            raise
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container:
            container.sendto(b"READY=1\n", f"/proc/{pid}/root{variable}")
        assert b"READY=1" in caller.recv(4096)
        assert start.wait(10) == 0
    runtime.remove(id)


def variables(pid: int) -> dict[str, str]:
    """The environment of the process, once it is the container's own."""
    if b"trap" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        return {}
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


@pytest.mark.not_on("runc", "crun", reason="these versions have no --pidfd-socket")
def test_pidfd_socket(runtime: Caller) -> None:
    """--pidfd-socket receives a pidfd of init."""
    path = runtime.directory / "pidfd"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(10)
        id = runtime.create(runtime.sleeper(), "--pidfd-socket", path)
        connection, _ = listener.accept()
        with connection:
            message, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    assert message
    received = array.array("i")
    received.frombytes(ancillary[0][2])
    with open(f"/proc/self/fdinfo/{received[0]}") as info:
        fields = dict(line.split(":", 1) for line in info)
    os.close(received[0])
    assert int(fields["Pid"]) == runtime.pid(id)


@pytest.mark.proves_operation("keep_descriptors")
def test_init_holds_nothing_while_it_waits(runtime: Caller) -> None:
    """A created container's init has no descriptor of a host directory or of the caller's files."""
    id = runtime.create(runtime.bundle())
    directory = f"/proc/{runtime.pid(id)}/fd"
    targets = {number: os.readlink(f"{directory}/{number}") for number in os.listdir(directory)}
    open_paths = [path for number, path in targets.items() if int(number) > 2 and path.startswith("/")]
    if runtime.name == "ocirun":
        assert not open_paths, targets
