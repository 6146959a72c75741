"""NOTIFY_SOCKET beyond the plain way (test_descriptors.py): run, containers that never get ready, what is left."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import socket
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.lifecycle import notify, store
from tests.integration.caller import Caller, wait_for


@pytest.fixture
def manager(runtime: Caller) -> Iterator[socket.socket]:
    """The service manager's socket."""
    if runtime.name != "ocirun":
        pytest.skip("the peers' own tests say what they do")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(runtime.directory / "manager"))
        ours.settimeout(30)
        yield ours


def environment(runtime: Caller) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(runtime.directory / "manager")}


def container_socket(pid: int) -> str:
    return f"/proc/{pid}/root{notify.INSIDE}/notify.sock"


def send(path: str, data: bytes) -> None:
    """Send a datagram, and wait until it has been received."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container:
        container.connect(path)
        container.send(data)
        wait_for(lambda: not unread(container), "receiver")


def unread(sender: socket.socket) -> int:
    """How much of what the socket has sent nobody has received (unix(7), SIOCOUTQ)."""
    answer = array.array("i", [0])
    fcntl.ioctl(sender, termios.TIOCOUTQ, answer)
    return answer[0]


def starting(runtime: Caller, id: str, verb: str = "start", *flags: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        runtime.command(verb, *flags, id),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment(runtime)},
    )


def test_start_waits_for_ready_alone(runtime: Caller, manager: socket.socket) -> None:
    """Other datagrams do not end start's wait; READY=1 does, and the manager hears the main process's pid."""
    id = runtime.create(runtime.sleeper(), env=environment(runtime))
    pid = runtime.pid(id)
    start = starting(runtime, id)
    path = container_socket(pid)
    wait_for(lambda: os.path.exists(path) and os.stat(path).st_mode & 0o777 == 0o777, "the socket, open to all")
    send(path, b"STATUS=READY=1 soon")
    assert runtime.status(id) in ("created", "running")  # state needs no lock, and start does not keep it
    with pytest.raises(subprocess.TimeoutExpired):
        start.wait(0.3)
    send(path, b"STATUS=up\nREADY=1")
    assert start.wait(30) == 0
    assert manager.recv(4096) == b"MAINPID=%d\nREADY=1\n" % pid


def test_the_end_of_init_ends_the_wait(runtime: Caller, manager: socket.socket) -> None:
    """A container that ends without READY=1 does not keep start waiting; nothing is told."""
    id = runtime.create(runtime.shell("true"), env=environment(runtime))
    assert starting(runtime, id).wait(30) == 0
    manager.settimeout(0.1)
    with pytest.raises(TimeoutError):
        manager.recv(4096)


def test_delete_by_force_ends_the_wait(runtime: Caller, manager: socket.socket) -> None:
    """delete --force works beside a start that waits, and takes the socket and its directory along."""
    id = runtime.create(runtime.sleeper(), env=environment(runtime))
    start = starting(runtime, id)
    wait_for(lambda: runtime.status(id) == "running", "running")
    runtime.call("delete", "--force", id, reaping=True).ok()
    assert start.wait(30) is not None
    assert not (runtime.root / id).exists()


@pytest.mark.parametrize("detach", [True, False], ids=["detached", "foreground"])
def test_run(runtime: Caller, manager: socket.socket, detach: bool) -> None:
    """run passes it on as well; in the foreground the program's status is the result as ever."""
    bundle = runtime.shell("trap 'exit 9' TERM; while :; do sleep 0.1; done")
    id = runtime.new_id()
    flags = ["--bundle", str(bundle.directory), *(["--detach"] if detach else [])]
    run = starting(runtime, id, "run", *flags)
    pid = wait_for(
        lambda: (runtime.root / id / "state.json").exists() and running_pid(runtime, id), "a running container"
    )
    wait_for(lambda: os.path.exists(container_socket(pid)), "the container's socket")
    send(container_socket(pid), b"READY=1")
    assert manager.recv(4096) == b"MAINPID=%d\nREADY=1\n" % pid
    if detach:
        assert run.wait(30) == 0
        runtime.remove(id)
    else:
        runtime.wait_handler(id)
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 9
        assert not (runtime.root / id).exists()


def running_pid(runtime: Caller, id: str) -> int:
    state = runtime.state(id)
    return int(state["pid"]) if state["status"] == "running" else 0


def test_the_mount_is_read_only(runtime: Caller, manager: socket.socket) -> None:
    """The container can write to the socket, but leaves nothing in the state directory."""
    bundle = runtime.shell("touch /run/notify/x || grep -o '/run/notify [^ ]* [^ ]*' /proc/mounts | head -1")
    id = runtime.create(bundle, env=environment(runtime))
    assert starting(runtime, id).wait(30) == 0
    options = runtime.finish(id).split()[-1].split(",")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options)


def test_no_mount_namespace(runtime: Caller, manager: socket.socket) -> None:
    """Where there is nothing to mount into, NOTIFY_SOCKET is left out with a warning."""
    result = runtime.try_create(runtime.sleeper().share_mounts(), env=environment(runtime))
    assert "NOTIFY_SOCKET is ignored" in result.err


@pytest.mark.parametrize("content", ["nothing", "socket", "tree"])
def test_remove_at_any_point(tmp_path: Path, content: str) -> None:
    """store.remove and reserve clear the directory whatever a killed create or start, or the container, left in it."""
    root = str(tmp_path / "state")
    handle = store.reserve(root, "one")
    notify.make_directory(handle)
    if content == "socket":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
            left.bind(f"/proc/self/fd/{handle}/{notify.SOCKET}")
    if content == "tree":
        inside = Path(root, "one", "notify")
        (inside / "a/b").mkdir(parents=True)
        (inside / "a/file").write_text("")
        (inside / "a/link").symlink_to(tmp_path)
    os.close(handle)
    handle = store.reserve(root, "one")  # no state.json: adopted
    assert os.listdir(f"{root}/one") == []
    notify.make_directory(handle)
    store.remove(root, "one", handle)
    os.close(handle)
    assert os.listdir(root) == []
    assert tmp_path.is_dir()
