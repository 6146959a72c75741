"""The listener of a filter, given to an agent over a real socket."""

import os
import socket
from pathlib import Path

from runtime.lifecycle import seccomp_listener, state
from runtime.plan import ops
from tests.runtime.lifecycle.stand_in import record

ROUNDS = 20


def give(path: Path) -> None:
    """What a child does that gives way to the agent at each step; ends the process, with 0 when all went well."""
    status = 1
    try:
        os.nice(19)
        operation = (ops.OP_SECCOMP_NOTIFY, ops.HOST, None, (), (b"", str(path), ""))
        for _ in range(ROUNDS):
            listener = os.open("/dev/null", os.O_RDONLY)
            seccomp_listener.send(operation, record("box"), state.CREATED, 1, listener)
        status = 0
    finally:
        os._exit(status)


def test_an_agent_that_leaves_at_once(tmp_path: Path) -> None:
    """It has what was sent, and may close: nothing more is written to it."""
    path, before = tmp_path / "agent", os.sched_getaffinity(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(ROUNDS)
        server.settimeout(10)
        os.sched_setaffinity(0, {min(before)})  # on one processor the agent has closed before the other goes on
        try:
            child = os.fork()
            if child == 0:
                give(path)
            for _ in range(ROUNDS):
                connection, _ = server.accept()
                data, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 1)
                connection.close()
                os.close(descriptors[0])
                assert b'"seccompFd"' in data
        finally:
            os.sched_setaffinity(0, before)
            status = os.waitpid(child, 0)[1]
    assert status == 0
