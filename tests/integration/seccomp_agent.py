"""Who answers the notifications of seccomp filters: listens on a socket, takes each process's state and listener."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.caller import wait_for

RECEIVE, ANSWER = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
NOTIFICATION, RESPONSE = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE

# The answer to a system call, given its number: an errno, or None to let it happen.
Decide = Callable[[int], "int | None"]


def _document(data: bytes) -> dict[str, Any] | None:
    """The state, once it is whole."""
    try:
        state: dict[str, Any] = json.loads(data)
    except ValueError:
        return None
    return state


class Agent:
    """A context: serves until it is left. ``states`` are the documents that came, ``calls`` (pid, number) of the
    notifications, ``faults`` what was wrong with a message; ``ended`` counts the streams that the sender has ended.
    """

    def __init__(self, path: Path, decide: Decide) -> None:
        self.path = path
        self.decide = decide
        self.states: list[dict[str, Any]] = []
        self.calls: list[tuple[int, int]] = []
        self.faults: list[str] = []
        self.ended = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._threads: list[threading.Thread] = []
        self._leaving = False

    def received(self, count: int) -> list[dict[str, Any]]:
        """The first ``count`` states. Each comes in a thread of its own, which may be late where no call waits for its answer."""
        wait_for(lambda: len(self.states) >= count, f"{count} states")
        return self.states

    def __enter__(self) -> Agent:
        # The path may be longer than a socket address.
        directory = os.open(self.path.parent, os.O_PATH | os.O_DIRECTORY)
        self._socket.bind(f"/proc/self/fd/{directory}/{self.path.name}")
        os.close(directory)
        self._socket.listen()
        self._start(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        self._leaving = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "the agent hangs"
        assert not self.faults

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._start(self._receive, connection)

    def _receive(self, connection: socket.socket) -> None:
        """One state a connection, with its descriptors in the first message. A runtime that ends the stream only when it
        ends itself (runc, crun) must be answered before.
        """
        connection.settimeout(10)
        descriptors = array.array("i")
        space = socket.CMSG_SPACE(8 * descriptors.itemsize)
        data, ancillary, _, _ = connection.recvmsg(65536, space, socket.MSG_CMSG_CLOEXEC)
        for _, _, content in ancillary:
            descriptors.frombytes(content)
        while (state := _document(data)) is None:
            more = connection.recvmsg(65536, space)
            if more[1]:
                self.faults.append("descriptors came after the first message")
            if not more[0]:
                self.faults.append(f"the stream ended within the state, after {len(data)} bytes")
                return
            data += more[0]
        if state.get("fds") != ["seccompFd"] or len(descriptors) != 1:
            self.faults.append(f"{len(descriptors)} descriptors for {state.get('fds')}")
        self.states.append(state)
        self._start(self._serve, descriptors[0])
        try:
            if connection.recv(1):
                self.faults.append("something comes after the state")
            self.ended += 1
        except TimeoutError:
            pass
        connection.close()

    def _serve(self, listener: int) -> None:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        while not self._leaving:
            events = poll.poll(100)
            if events and events[0][1] & select.POLLIN:
                self._answer(listener)
            elif events:
                break  # POLLHUP: nobody has the filter any more
        os.close(listener)

    def _answer(self, listener: int) -> None:
        buffer = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, RECEIVE, buffer)
            id, pid, _, number, *_ = NOTIFICATION.unpack(buffer)
            self.calls.append((pid, number))
            error = self.decide(number)
            response = RESPONSE.pack(id, 0, -(error or 0), CONTINUE if error is None else 0)
            fcntl.ioctl(listener, ANSWER, response)
        except OSError as failure:
            if failure.errno != errno.ENOENT:  # killed while it waited
                raise
