"""The listener of a filter, given to an agent over a real socket."""

import os
import select
import socket
from pathlib import Path

import pytest

from runtime.lifecycle import seccomp_listener, state
from runtime.plan import ops
from tests.runtime.lifecycle.stand_in import record


class Patient(socket.socket):
    """A socket that gives the other end the time to leave after the first message."""

    def sendmsg(self, *arguments: object) -> int:
        sent: int = super().sendmsg(*arguments)  # type: ignore[arg-type]
        poll = select.poll()
        poll.register(self, select.POLLHUP)
        assert poll.poll(20_000)
        return sent


def take_and_leave(server: socket.socket) -> None:
    """What a child does that is the agent: one message, of which it wants the descriptor; ends the process."""
    status = 1
    try:
        connection, _ = server.accept()
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 10, 1)
        if b'"seccompFd"' in data and os.readlink(f"/proc/self/fd/{descriptors[0]}") == "/dev/null":
            status = 0
    finally:
        os._exit(status)


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_an_agent_that_leaves_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """It has the listener, and may close: neither a state that it has as a whole nor the rest of a long one is missed."""
    monkeypatch.setattr(seccomp_listener, "socket", Patient)
    operation = (ops.OP_SECCOMP_NOTIFY, ops.HOST, None, (), (b"", str(tmp_path / "agent"), "x" * size))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "agent"))
        server.listen()
        server.settimeout(20)
        child = os.fork()
        if child == 0:
            take_and_leave(server)
        try:
            listener = os.open("/dev/null", os.O_RDONLY)
            seccomp_listener.send(operation, record("box"), state.CREATING, 1, listener)
        finally:
            status = os.waitpid(child, 0)[1]
    assert status == 0
