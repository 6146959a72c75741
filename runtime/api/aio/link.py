"""Messages between a program and its worker, over a stream socket: a length, then JSON; the descriptors come with the length.

A request has "call", a reply "reply"; both have the request's number. Pure, but for `send` and `receive`, which do not block.
"""

import array
import contextlib
import json
import os
import socket
import struct

from runtime.api.outcome import ERRORS, TimeoutExpired
from runtime.errors import InvalidConfig, OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Message = dict[str, Any]

LENGTH = struct.Struct("=I")
CHUNK = 1 << 16
MISUSE = "TypeError"  # in the place of an error's code
DESCRIPTORS = 253  # in one message: SCM_MAX_FD of the kernel


class Channel:
    """One end. ``socket``: connected, does not block."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.waiting: list[tuple[memoryview, list[int]]] = []  # not yet sent
        self.data = b""
        self.descriptors: list[int] = []

    def put(self, message: "Message", descriptors: "Sequence[int]" = ()) -> None:
        """Send, or keep for `flush`. The descriptors become the channel's, which closes them. OSError at the end."""
        text = json.dumps(message).encode()
        self.waiting.append((memoryview(LENGTH.pack(len(text)) + text), list(descriptors)))
        self.flush()

    def flush(self) -> bool:
        """Send what was kept; True when all is sent."""
        while self.waiting:
            data, descriptors = self.waiting[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                sent = self.socket.sendmsg([data], rights, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            for descriptor in descriptors:
                os.close(descriptor)
            self.waiting[0] = data[sent:], []
            if sent == len(data):
                del self.waiting[0]
        return True

    def close(self) -> None:
        """Close the socket, and what was not sent or not taken."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # a process that this one has forked may have it open, too
        self.socket.close()
        for descriptor in (*self.descriptors, *(one for _, kept in self.waiting for one in kept)):
            os.close(descriptor)
        self.descriptors, self.waiting = [], []

    def receive(self) -> "Iterator[Message] | None":
        """What has come; None at the end. The descriptors of a message are its "descriptors"."""
        space = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self.socket.recvmsg(CHUNK, space, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return iter(())
        except ConnectionResetError:
            return None
        for _, _, packed in ancillary:
            numbers = array.array("i")
            numbers.frombytes(packed[: len(packed) - len(packed) % numbers.itemsize])
            self.descriptors += numbers
        self.data += data
        return self._messages() if data else None

    def _messages(self) -> "Iterator[Message]":
        while len(self.data) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self.data)[0]
            if len(self.data) < end:
                return
            message: Message = json.loads(self.data[LENGTH.size : end])
            self.data = self.data[end:]
            count = message.get("count", 0)
            message["descriptors"], self.descriptors = self.descriptors[:count], self.descriptors[count:]
            yield message


def packed(error: "OcirunError | TypeError") -> "Message":
    """An error as JSON."""
    if isinstance(error, TypeError):
        return {"code": MISUSE, "message": str(error)}
    problems = [problem.as_dict() for problem in error.problems] if isinstance(error, InvalidConfig) else []
    members = {name: getattr(error, name) for name in ("code", "message", "pointer", "line", "errno")}
    members["problems"] = problems
    if isinstance(error, TimeoutExpired):
        members |= {"cmd": error.cmd, "timeout": error.timeout}
    return members


def unpacked(members: "Message") -> "OcirunError | TypeError":
    """The same error again."""
    from oci_spec import Problem

    if members["code"] == MISUSE:
        return TypeError(members["message"])
    if members["code"] == TimeoutExpired.code:
        return TimeoutExpired(members["cmd"], members["timeout"])
    kind = ERRORS.get(members["code"], OcirunError)
    error = kind(members["message"], members["pointer"], members["line"], members["errno"])
    if isinstance(error, InvalidConfig):
        error.problems = [Problem(**problem) for problem in members["problems"]]
    return error
