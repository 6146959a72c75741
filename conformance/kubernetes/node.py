"""A node: daemons in namespaces and cgroups of their own, which all go when it is closed.

The node has mount, network, pid, IPC, UTS and cgroup namespaces. What its daemons write below /run, /var/lib and /var/log is on
private file systems, and the cgroup hierarchies that they see begin at the node's own cgroup. Process 1 is first_process.py; when the
process that made the node ends, however it ends, process 1 is killed, and the kernel kills the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import cgroups

CNI_PLUGINS = Path("/usr/lib/cni")
NAMESPACES = ("mount", "net", "pid", "ipc", "uts", "cgroup")
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START_S = 120

# A command joins the node's cgroups before it enters the namespaces: from outside of a cgroup namespace nothing can move into it.
JOIN = 'for group in $1; do echo 0 > "$group/cgroup.procs"; done; shift; exec "$@"'


def missing(*more: str) -> list[str]:
    """What a node needs and is not here, after what else is missing."""
    programs = [name for name in ("ip", "iptables", "nsenter", "unshare") if shutil.which(name) is None]
    plugins = [] if (CNI_PLUGINS / "bridge").exists() else ["the plugins of CNI"]
    root = [] if os.geteuid() == 0 else ["root"]
    return [*more, *root, *programs, *plugins]


@dataclass
class Daemon:
    """A daemon, and where it listens when it is ready: a path, or a host and a port."""

    command: list[str]
    address: str | tuple[str, int]


@dataclass
class Done:
    code: int
    out: str
    err: str


@dataclass
class Node:
    """A running node. `programs`: where programs are looked for first. `number`: its address is 10.89.0.NUMBER."""

    directory: Path
    daemons: Sequence[Daemon]
    programs: Path | None = None
    number: int = 1
    token: str = field(default_factory=lambda: f"{cgroups.PREFIX}{os.getpid()}-{secrets.token_hex(3)}")
    process: subprocess.Popen[bytes] | None = None
    pid: int = 0
    spawned: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"10.89.0.{self.number}"

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.programs}:{PLACES}" if self.programs else PLACES
        return {**{key: value for key, value in os.environ.items() if key != "PYTHONPATH"}, "PATH": path}

    def start(self) -> None:
        cgroups.make(self.token)
        ours, theirs = socket.socketpair()
        settings = {
            "token": self.token,
            "namespaces": NAMESPACES,
            "hostname": f"node{self.number}",
            "address": self.address,
            "daemons": [asdict(daemon) for daemon in self.daemons],
            "channel": theirs.fileno(),
        }
        (self.directory / "node.json").write_text(json.dumps(settings))
        command = [sys.executable, Path(__file__).with_name("first_process.py"), self.directory]
        with ours, theirs, open(self.directory / "node.log", "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, pass_fds=[theirs.fileno()]
            )  # fmt: skip
            theirs.close()
            ours.settimeout(START_S)
            said = ours.recv(16)
        if said != b"ready":
            raise RuntimeError(f"the node did not start: {self.log()[-3000:]}")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.pid = int(children[0])
        for group in cgroups.of_daemons(self.token):  # unshare, which waits for process 1
            (group / "cgroup.procs").write_text(str(self.process.pid))

    def log(self) -> str:
        """What the daemons said."""
        return (self.directory / "node.log").read_text(errors="replace")

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """The command that runs `command` in the node."""
        spaces = [f"--{name}" for name in NAMESPACES]
        join = ["sh", "-c", JOIN, "sh", " ".join(map(str, cgroups.of_daemons(self.token)))]
        return [*join, "nsenter", f"--target={self.pid}", *spaces, "--wdns=/", "--", *map(str, command)]

    def call(self, *command: str | Path, timeout: float = 120, input: str | None = None) -> Done:
        done = subprocess.run(
            self.inside(command), capture_output=True, text=True, timeout=timeout, check=False, input=input,
            env=self.environment,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def spawn(self, *command: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """Start a process in the node, which ends with the node."""
        with open(log, "wb") as stream:
            process = subprocess.Popen(
                self.inside(command), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=self.environment
            )
        self.spawned.append(process)
        return process

    def connect(self, other: Node) -> None:
        """Put both nodes on one network, with a cable between their bridges."""
        here = ["nsenter", f"--target={self.pid}", "--net"]
        ends = ["ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable0", "netns", str(other.pid)]
        subprocess.run([*here, *ends], check=True)
        for node in (self, other):
            done = node.call("ip", "link", "set", "cable0", "master", "node0", "up")
            if done.code:
                raise RuntimeError(done.err)

    def cgroup(self, controller: str, path: str) -> Path:
        """The directory on the host of a cgroup that has this path in the node."""
        return cgroups.find(self.token, controller) / path.lstrip("/")

    def close(self) -> list[str]:
        """End everything in the node; cgroups that stayed."""
        if self.process:
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            self.process.kill()
            for process in (self.process, *self.spawned):
                process.wait()
        left = cgroups.remove(self.token)
        shutil.rmtree(self.directory, ignore_errors=True)
        return left


@contextlib.contextmanager
def running(node: Node) -> Iterator[Node]:
    """The node, started; everything in it ends with the context."""
    cgroups.remove_old()
    try:
        node.start()
        yield node
    finally:
        left = node.close()
        if left:
            raise RuntimeError(f"the node left cgroups behind: {left}")
