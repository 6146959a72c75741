"""A container without a container: a record on disk, and a real process that plays init's part on a real start channel."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from runtime.lifecycle import document, state, store
from runtime.plan import encode, ops

# Accepts on descriptor 0, sends what it was told to ("hex:descriptors"), and then ends, or goes on as the user's program
# would. Instead of a number of descriptors: "output:TEXT", a pipe with the text; "word:ERRNO", a memfd of csrc/last_word.c;
# "reply", a descriptor, after which it waits for the answer.
INIT = """
import os, socket, sys
listener = socket.socket(fileno=0)
channel, _ = listener.accept()
listener.close()
def descriptors(kind, value):
    if kind == "output":
        reader, writer = os.pipe()
        os.write(writer, value.encode())
        os.close(writer)
        return [reader]
    if kind == "word":
        memfd = os.memfd_create("word")
        os.truncate(memfd, 131072)
        os.pwrite(memfd, bytes(1), 0)
        os.pwrite(memfd, int(value).to_bytes(4, sys.byteorder), 65536)
        return [memfd]
    return [2] * (1 if kind == "reply" else int(kind))
for message in sys.argv[2:]:
    data, kind, *value = message.split(":")
    socket.send_fds(channel, [bytes.fromhex(data)], descriptors(kind, *value or [""]))
    if kind == "reply":
        channel.recv(8)
channel.close()
if sys.argv[1] == "run":
    os.execv("/bin/sleep", ["sleep", "60"])
"""


def record(id: str, **changes: Any) -> dict[str, Any]:
    """A record as create writes it, of a container without cgroups."""
    return {
        "version": document.VERSION,
        "ociVersion": state.VERSION,
        "id": id,
        "status": state.CREATED,
        "pid": 0,
        "start_time": 0,
        "bundle": "/bundle",
        "rootfs": "/bundle/rootfs",
        "created": "2026-01-02T03:04:05.000000006Z",
        "annotations": {},
        "cgroups": [],
        "hooks": {},
        "tail": encode.tail([ops.wait_start(), ops.exec("/bin/true", "/process/args")]),
    } | changes


class StandIn:
    """A created container of this root; ``end()`` must be called. A message may have a number of descriptors with it."""

    def __init__(
        self, root: Path, id: str, then: str = "run", *messages: bytes | tuple[bytes, int | str], **changes: Any
    ) -> None:
        self.root, self.id, self.path = str(root), id, root / id
        handle = store.reserve(self.root, id)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(f"/proc/self/fd/{handle}/start.sock")
        listener.listen(1)
        pairs = [(one, 0) if isinstance(one, bytes) else one for one in messages]
        words = [f"{data.hex()}:{count}" for data, count in pairs]
        command = [sys.executable, "-I", "-S", "-c", INIT, then, *words]
        self.process = subprocess.Popen(command, stdin=listener)
        listener.close()
        began = state.start_time(self.process.pid)
        store.write_state(handle, {**record(id, **changes), "pid": self.process.pid, "start_time": began})
        os.close(handle)

    def end(self) -> None:
        """End the process, if it has not ended, and reap it."""
        self.process.kill()
        self.process.wait(10)

    def status(self) -> str:
        return str(state.query(self.root, self.id)["status"])
