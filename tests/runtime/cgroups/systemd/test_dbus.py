"""The connection to systemd's bus: real sockets whose other end does what a bus should not, and a real bus."""

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jeepney import DBusAddress, new_signal

from runtime.cgroups.systemd import dbus
from tests.integration.caller import TREE

LIMIT = 0.4
SLACK = 3.0  # of a busy machine
Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a listener whose connections a function serves; gives its address. It may block until the test is over."""
    made: list[socket.socket] = []

    def start(talk: Callable[[socket.socket], None]) -> str:
        path = tmp_path / f"{len(made)}/systemd/private"
        path.parent.mkdir(parents=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        made.append(listener)

        def accept() -> None:
            try:
                connection, _ = listener.accept()
                made.append(connection)
                talk(connection)
            except OSError:
                pass  # the test is over

        threading.Thread(target=accept, daemon=True).start()
        return f"unix:path={path}"

    yield start
    for one in made:
        one.close()


def log_in(connection: socket.socket) -> None:
    """A bus's half of the login."""
    for answer in (b"DATA\r\n", b"OK 0123456789abcdef\r\n"):
        connection.recv(4096)
        connection.sendall(answer)
    connection.recv(4096)  # the first call


def fails(address: str) -> str:
    """The words of the error that connecting, and a call, end with; in time."""
    begin = time.monotonic()
    with pytest.raises(dbus.Unreachable) as caught:
        dbus.Connection(address, LIMIT).call("ask", "Get")
    assert time.monotonic() - begin < 4 * LIMIT + SLACK
    assert address in caught.value.message
    return caught.value.message


def test_a_silent_bus(serve: Serve) -> None:
    """A socket that accepts and never answers, as a stopped process's does: an error when the time is over."""
    assert "no answer within 0.4 seconds" in fails(serve(lambda connection: time.sleep(30)))


def test_a_bus_that_does_not_accept(tmp_path: Path) -> None:
    """Its queue is full, so that even connecting waits."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bus"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(tmp_path / "bus"))
            assert "no answer within" in fails(f"unix:path={tmp_path}/bus")


def test_a_bus_that_closes(serve: Serve) -> None:
    """Before the login, in it and after it."""
    for received in (0, 1, 3):

        def talk(connection: socket.socket, received: int = received) -> None:
            if received == 3:
                log_in(connection)
            elif received:
                connection.recv(4096)
            connection.close()

        assert re.search("closed|broken pipe|reset", fails(serve(talk)))


def test_a_bus_that_hangs_after_the_login(serve: Serve) -> None:
    """The reply is waited for no longer than the rest."""

    def talk(connection: socket.socket) -> None:
        log_in(connection)
        time.sleep(30)

    assert "no answer within" in fails(serve(talk))


def test_a_bus_that_only_signals(serve: Serve) -> None:
    """What comes in without end is no reply."""

    def talk(connection: socket.socket) -> None:
        log_in(connection)
        message = new_signal(DBusAddress("/x", None, "a.b"), "C")
        for serial in range(1, 1 << 20):
            connection.sendall(message.serialise(serial))

    assert "no answer within" in fails(serve(talk))


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n", b"REJECTED KERBEROS\r\n", b"x" * 40000])
def test_what_is_no_bus(serve: Serve, said: bytes) -> None:
    """Another program behind the socket, or a bus without our login."""
    words = fails(serve(lambda connection: connection.sendall(said)))
    assert "EXTERNAL" in words or "does not speak D-Bus" in words


@pytest.mark.parametrize(
    "said", [b"x" * 64, b"l\x63\0\1" + b"\0" * 60, b"l\2\0\1\0\0\0\0\1\0\0\0\10\0\0\0\5\1v\0\1\0\0\0"]
)
def test_messages_that_are_none(serve: Serve, said: bytes) -> None:
    """Bytes that D-Bus does not know are an error, not an exception of the library's."""

    def talk(connection: socket.socket) -> None:
        log_in(connection)
        connection.sendall(said)

    fails(serve(talk))


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names each address that was tried, and what to do."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(dbus.Unreachable, match="no such file or directory") as caught:
        dbus.connect(False)
    assert f"{tmp_path}/none" in caught.value.message
    assert "--cgroup-manager cgroupfs" in caught.value.message
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(dbus.Unreachable) as caught:
        dbus.connect(True)
    assert f"{tmp_path}/bus" in caught.value.message
    assert f"{tmp_path}/systemd/private" in caught.value.message


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("unix:path=/a", ["/a"]),
        ("unix:abstract=/a,guid=1", ["\0/a"]),
        ("tcp:host=a;unix:path=/a%20b", ["/a b"]),
        ("unix:path=/a;unix:path=/b", ["/a", "/b"]),
        ("", []),
        ("unixexec:path=/bin/sh", []),
    ],
)
def test_sockets_of_an_address(address: str, found: list[str]) -> None:
    """Unix sockets, unescaped; other transports are left out."""
    assert dbus.sockets(address) == found


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """The address of a bus of its own, with nobody on it."""
    if not shutil.which("dbus-daemon"):
        pytest.skip("dbus-daemon is not installed")
    config = tmp_path / "bus.conf"
    config.write_text(f"""\
<busconfig><type>session</type><listen>unix:path={tmp_path}/bus</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>""")
    command = ["dbus-daemon", "--nofork", f"--config-file={config}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if (tmp_path / "bus").exists():
                break
            time.sleep(0.01)
        yield f"unix:path={tmp_path}/bus"
    finally:
        process.kill()
        process.wait()


def test_a_bus_without_systemd(bus: str) -> None:
    """The login without a name is taken, a reply comes, and an error reply is worded."""
    connection = dbus.Connection(bus)
    there = {"interface": dbus.NAME, "path": "/org/freedesktop/DBus", "destination": dbus.NAME}
    assert connection.call("ask", "NameHasOwner", "s", (dbus.NAME,), **there) == (True,)
    with pytest.raises(dbus.Refused, match="ask systemd for Version: ") as caught:
        connection.get(dbus.PATH, dbus.MANAGER, "Version")
    assert caught.value.name == "org.freedesktop.DBus.Error.ServiceUnknown"
    connection.close()


def test_signals_are_kept_until_they_are_wanted(bus: str) -> None:
    """One that came before the reply is found later; without one, the wait ends."""
    connection = dbus.Connection(bus)
    there = {"interface": dbus.NAME, "path": "/org/freedesktop/DBus", "destination": dbus.NAME}
    connection.call("listen", "AddMatch", "s", ("type='signal',member='NameOwnerChanged'",), **there)
    connection.call("take a name", "RequestName", "su", ("org.example.One", 0), **there)
    body = connection.signal("NameOwnerChanged", lambda body: body[0] == "org.example.One", 5)
    assert body
    assert connection.signal("NameOwnerChanged", lambda body: body[0] == "org.example.Two", 0.2) is None
    connection.close()


def test_without_the_library() -> None:
    """The error names the package to install."""
    script = 'import sys; sys.modules["jeepney"] = None; import runtime.cgroups.systemd.dbus'
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=TREE)
    assert "OcirunError: it takes the Python package jeepney to talk to systemd" in done.stderr
