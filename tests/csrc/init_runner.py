"""Runs a plan with the real init program, without the shim, and lets a test look into the mount namespace it made.

Init reports and stops at the operation `created`, so that what it did can be seen through /proc/PID/root.
"""

import os
import re
import signal
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

from runtime.plan import ops
from runtime.plan.encode import encode

TREE = Path(__file__).resolve().parent.parent.parent
INIT = TREE / "runtime" / "init"
REPORT = struct.Struct("<IIiIqq")
REPLY = struct.Struct("<II")
REACHED, FAILED, FORKED = 1, 2, 3
CONTINUE, REPLY_TREE = 1, 2
CLONE_NEWNS, MS_SLAVE = 0x20000, 1 << 19
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000


def plan_steps() -> list[str]:
    """The names of enum plan_step, in order."""
    body = (TREE / "csrc" / "operations.h").read_text().split("enum plan_step {")[1].split("}")[0]
    return re.findall(r"STEP_\w+", body)


STEPS = plan_steps()


@dataclass
class Mount:
    """A line of mountinfo; ``path`` is below the container's root."""

    path: str
    root: str
    options: set[str]
    type: str
    source: str
    superblock: set[str]
    propagation: str


@dataclass
class Started:
    """Init, stopped at `created` or ended by a failure: then ``failure`` is (index of the operation, errno, step)."""

    pid: int
    rootfs: Path
    channel: socket.socket
    failure: "tuple[int, int, str] | None" = None
    mounts: list[Mount] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """A path of the container as the test can open it."""
        return Path(f"/proc/{self.pid}/root{self.rootfs}{inside}")

    def read_mounts(self) -> None:
        """The mounts below the root, in order."""
        for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines():
            left, right = line.split(" - ")
            fields, (kind, source, superblock) = left.split(" "), right.split(" ", 2)
            place = fields[4].encode().decode("unicode_escape")
            if place == str(self.rootfs) or place.startswith(f"{self.rootfs}/"):
                inside = place[len(str(self.rootfs)) :] or "/"
                tags = " ".join(fields[6:])
                self.mounts.append(
                    Mount(inside, fields[3], set(fields[5].split(",")), kind, source, set(superblock.split(",")), tags)
                )

    def at(self, inside: str) -> Mount:
        """The topmost mount at ``inside``."""
        return [mount for mount in self.mounts if mount.path == inside][-1]

    def stop(self) -> None:
        self.channel.close()
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        os.waitpid(self.pid, 0)


def _spawn(plan: bytes) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    memory = os.memfd_create("plan")
    os.write(memory, plan)
    pid = os.fork()
    if pid == 0:
        moved = [os.dup2(memory, 200), os.dup2(theirs.fileno(), 201)]
        os.dup2(moved[0], 3)
        os.dup2(moved[1], 4)
        os.closerange(5, 256)
        try:
            os.execv(INIT, ["ocirun-init"])
        finally:
            os._exit(127)
    os.close(memory)
    theirs.close()
    return pid, ours


def _answer(started: Started, operation: "ops.Operation", opened: "list[int]") -> None:
    """The host's side: trees are opened by the caller of `run`, in order."""
    channel = started.channel
    if operation[0] == ops.OP_ID_MAPS:
        for name, text in zip(("uid_map", "gid_map"), operation[4], strict=True):
            Path(f"/proc/{started.pid}/{name}").write_text(str(text))
    elif operation[0] == ops.OP_OPEN_TREE:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", opened.pop(0)))
        channel.sendmsg([REPLY.pack(REPLY_TREE, 0)], [rights])
    channel.send(REPLY.pack(CONTINUE, 0))


def run(
    rootfs: Path,
    operations: "list[ops.Operation]",
    before: "list[ops.Operation] | None" = None,
    propagation: int = MS_SLAVE,
    opened: "list[int] | None" = None,
) -> Started:
    """Run ``operations`` with ``rootfs`` attached as the root in a new mount namespace.

    ``before``: operations ahead of all others, such as a user namespace. ``opened``: descriptors for the host's open_tree.
    """
    head = [
        *(before or []),
        ops.unshare(CLONE_NEWNS, None),
        ops.propagation(propagation, None),
        ops.root(str(rootfs), True, True),
        ops.proc_handle(False),
    ]
    plan = [*head, *operations, ops.created()]
    pid, channel = _spawn(encode(plan))
    started = Started(pid, rootfs, channel)
    channel.settimeout(20)
    while True:
        data = channel.recv(4096)
        if not data:
            raise AssertionError("init ended without a report")
        kind, index, error, step, _, _ = REPORT.unpack(data)
        if kind == FAILED:
            started.failure = (index - len(head), error, STEPS[step])
            os.waitpid(pid, 0)
            break
        if kind == REACHED and index == len(plan) - 1:
            started.read_mounts()
            break
        if kind == REACHED:
            _answer(started, plan[index], opened or [])
    return started
