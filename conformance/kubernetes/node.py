#!/usr/bin/env python3
"""A node: containerd with its CRI plugin, in namespaces and cgroups of its own, which all go when it is closed.

The node has mount, network, pid, IPC, UTS and cgroup namespaces. What its daemons write below /run, /var/lib and /var/log is on
private file systems, and the cgroup hierarchies that they see begin at the node's own cgroup. Process 1 is this file; when the process
that made the node ends, however it ends, process 1 is killed, and the kernel kills the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from images import PAUSE

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
PREFIX = "ocirun-node-"
REGISTRY_PORT = 5000
SOCKET = Path("/run/containerd/containerd.sock")
CNI_PLUGINS = Path("/usr/lib/cni")
NAMESPACES = ("mount", "net", "pid", "ipc", "uts", "cgroup")
PR_SET_PDEATHSIG = 1
# Into the node's own cgroups. On v2 alone, a cgroup with processes cannot have limits below it: the daemons have one of their own.
JOIN = """for group in /sys/fs/cgroup/daemons /sys/fs/cgroup/*; do
  [ ! -e "$group/cgroup.procs" ] || [ -e "$group/../cgroup.controllers" -a "$group" != /sys/fs/cgroup/daemons ] || echo 0 > "$group/cgroup.procs"
done
exec "$@"
"""

NETWORK = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.88.0.0/16"}]]},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

CONFIG = """version = 2
root = "{directory}/root"
imports = ["{directory}/ocirun.toml"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{directory}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{directory}/certs.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "{default}"
{runtimes}
"""

RUNTIME = """[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
runtime_type = "io.containerd.runc.v2"
privileged_without_host_devices = false
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]
BinaryName = "{path}"
"""


# The host's side


def hierarchies() -> list[tuple[Path, str, str]]:
    """(mount point, type, options of the file system) of each cgroup hierarchy."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            found.append((Path(left.split()[4]), kind, options))
    return found


def missing(*more: str) -> list[str]:
    """What a node needs and is not here, after what else is missing."""
    programs = [name for name in ("ip", "iptables", "nsenter", "unshare") if shutil.which(name) is None]
    plugins = [] if (CNI_PLUGINS / "bridge").exists() else ["the plugins of CNI"]
    root = [] if os.geteuid() == 0 else ["root"]
    return [*more, *root, *programs, *plugins]


def make_cgroups(name: str) -> None:
    for mount, kind, _ in hierarchies():
        group = mount / name
        group.mkdir()
        if kind == "cgroup2":
            continue
        for file in ("cpuset.cpus", "cpuset.mems"):  # empty in a new cgroup, which then takes no process
            if (mount / file).exists():
                (group / file).write_text((mount / file).read_text())


def remove_cgroups(name: str, patience: float = 20) -> list[str]:
    """Remove these cgroups and all below; what could not be removed, since a process is still in it."""
    end = time.monotonic() + patience
    while True:
        left = []
        for mount, _, _ in hierarchies():
            for directory, _, _ in os.walk(mount / name, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    left.append(directory)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def remove_old() -> None:
    """The empty cgroups that a node left whose maker was killed; the maker's pid is in their names."""
    for mount, _, _ in hierarchies():
        for group in mount.glob(f"{PREFIX}*"):
            if not Path("/proc", group.name.split("-")[2]).exists():
                remove_cgroups(group.name, patience=0)


@dataclass
class Done:
    code: int
    out: str
    err: str


@dataclass
class Node:
    """A running node. `runtimes`: name in containerd -> program; the first is the default. `programs`: a directory of built.py."""

    directory: Path
    programs: Path
    runtimes: Mapping[str, str]
    token: str = field(default_factory=lambda: f"{PREFIX}{os.getpid()}-{secrets.token_hex(3)}")
    process: subprocess.Popen[bytes] | None = None
    pid: int = 0
    spawned: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        self.directory.mkdir(parents=True)
        self.write_configs()
        make_cgroups(self.token)
        ours, theirs = socket.socketpair()
        with ours, theirs, open(self.directory / "node.log", "wb") as log:
            command = [
                sys.executable,
                __file__,
                "enter",
                self.token,
                str(theirs.fileno()),
                str(self.directory),
                str(self.programs),
            ]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs.fileno()]
            )
            theirs.close()
            ours.settimeout(90)
            said = ours.recv(16)
        if said != b"ready":
            log_text = (self.directory / "node.log").read_text(errors="replace")
            self.close()
            raise RuntimeError(f"the node did not start: {log_text[-3000:]}")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.pid = int(children[0])

    def write_configs(self) -> None:
        (self.directory / "cni").mkdir()
        (self.directory / "cni/10-pods.conflist").write_text(json.dumps(NETWORK))
        mirror = self.directory / "certs.d/_default"
        mirror.mkdir(parents=True)
        mirror.joinpath("hosts.toml").write_text(f'server = "http://127.0.0.1:{REGISTRY_PORT}"\n')
        shared = (TREE / "contrib/containerd/cri.toml").read_text()
        default = next(iter(self.runtimes))
        others = {name: path for name, path in self.runtimes.items() if name != "ocirun"}
        (self.directory / "ocirun.toml").write_text(
            shared.replace("/usr/local/bin/ocirun", self.runtimes.get("ocirun", "/nonexistent")).replace(
                "SystemdCgroup = true", "SystemdCgroup = false"
            )
        )
        (self.directory / "config.toml").write_text(
            CONFIG.format(
                directory=self.directory,
                socket=SOCKET,
                pause=PAUSE,
                plugins=CNI_PLUGINS,
                default=default,
                runtimes="".join(RUNTIME.format(name=name, path=path) for name, path in others.items()),
            )
        )

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """The command that runs `command` in the node."""
        spaces = [f"--{name}" for name in NAMESPACES]
        join = ["sh", "-c", JOIN, "sh"]
        return ["nsenter", f"--target={self.pid}", *spaces, "--wd=/", "--", *join, *map(str, command)]

    def call(self, *command: str | Path, timeout: float = 120, input: str | None = None) -> Done:
        done = subprocess.run(
            self.inside(command), capture_output=True, text=True, timeout=timeout, check=False, input=input,
            env=environment(self.programs),
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def spawn(self, *command: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """Start a daemon in the node, which ends with the node."""
        with open(log, "wb") as stream:
            process = subprocess.Popen(
                self.inside(command), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                env=environment(self.programs),
            )  # fmt: skip
        self.spawned.append(process)
        return process

    def restart_containerd(self) -> None:
        """Kill containerd and start it again: process 1 does that when it ends."""
        pid = self.call("pidof", "containerd").out.strip()
        self.call("kill", "-KILL", pid)

    def cgroup(self, controller: str, path: str) -> Path:
        """The directory on the host of a cgroup that has this path in the node."""
        for mount, kind, options in hierarchies():
            if kind == "cgroup2" and (mount / "cgroup.controllers").read_text().split().count(controller):
                return mount / self.token / path.lstrip("/")
            if kind == "cgroup" and controller in options.split(","):
                return mount / self.token / path.lstrip("/")
        raise LookupError(controller)

    def close(self) -> list[str]:
        """End everything in the node; cgroups that stayed."""
        if self.process:
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            self.process.kill()
            for process in (self.process, *self.spawned):
                process.wait()
        left = remove_cgroups(self.token)
        shutil.rmtree(self.directory, ignore_errors=True)
        return left


def environment(programs: Path) -> dict[str, str]:
    path = f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**{key: value for key, value in os.environ.items() if key != "PYTHONPATH"}, "PATH": path}


@contextlib.contextmanager
def running(directory: Path, programs: Path, runtimes: Mapping[str, str]) -> Iterator[Node]:
    remove_old()
    node = Node(directory, programs, runtimes)
    try:
        node.start()
        yield node
    finally:
        left = node.close()
        if left:
            raise RuntimeError(f"the node left cgroups behind: {left}")


# The node's own side


def enter(token: str, *arguments: str) -> None:
    """Join the node's cgroups, and become unshare, which starts process 1 in the new namespaces."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for mount, _, _ in hierarchies():
        (mount / token / "cgroup.procs").write_text("0")
    spaces = [f"--{name}" for name in NAMESPACES]
    own = [sys.executable, __file__, "first", *arguments]
    os.execvp("unshare", ["unshare", *spaces, "--fork", "--kill-child", "--mount-proc", *own])


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def set_up_mounts() -> None:
    """Private file systems where daemons keep their state, and the cgroup hierarchies as seen from the node's cgroup."""
    found = hierarchies()
    mount("--make-rprivate", "/")
    pure = any(point == Path("/sys/fs/cgroup") for point, _, _ in found)
    mount("-t", "sysfs", "sysfs", "/sys")
    if not pure:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for point, kind, options in found:
        point.mkdir(exist_ok=True)
        wanted = ",".join(word for word in options.split(",") if word not in ("rw", "ro") and "=" not in word)
        named = re.search(r"name=[^,]+", options)
        words = ",".join(filter(None, [wanted if kind == "cgroup" else "", named[0] if named else ""]))
        mount("-t", kind, *(["-o", ("none," if named else "") + words] if words else []), kind, point)
    for directory in ("/run", "/var/lib", "/var/log"):
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
    for directory in ("/run/lock", "/run/containerd"):
        os.makedirs(directory, exist_ok=True)
    mount("--make-rshared", "/")
    mount("--make-private", "/proc")  # so that a process may have files of its own below it


def set_up_network() -> None:
    for command in (
        "link set lo up",
        "link add node0 type bridge",
        "address add 10.89.0.1/24 dev node0",
        "link set node0 up",
        "route add default dev node0",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def first(channel: str, directory: str, programs: str) -> None:
    """Process 1: set up, start the daemons, say that the node is ready, and reap."""
    socket.sethostname("node")
    set_up_mounts()
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        os.mkdir("/sys/fs/cgroup/daemons")
        Path("/sys/fs/cgroup/daemons/cgroup.procs").write_text("0")
    set_up_network()
    own = environment(Path(programs))
    registry = [
        sys.executable,
        str(HERE / "images.py"),
        f"{programs}/busybox",
        f"{programs}/programs",
        str(REGISTRY_PORT),
    ]
    subprocess.Popen(registry, env=own, close_fds=True)
    command = ["containerd", "--config", f"{directory}/config.toml"]
    containerd = subprocess.Popen(command, env=own, close_fds=True)
    wait_for(("127.0.0.1", REGISTRY_PORT), containerd)
    wait_for(str(SOCKET), containerd)
    with socket.socket(fileno=int(channel)) as channel_socket:
        channel_socket.send(b"ready")
    while True:
        pid, _ = os.wait()
        if pid == containerd.pid:
            containerd = subprocess.Popen(command, env=own, close_fds=True)


def wait_for(address: Any, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(kind) as attempt, contextlib.suppress(OSError):
            attempt.connect(address)
            return
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"nothing answers on {address}")
        time.sleep(0.1)


if __name__ == "__main__":
    {"enter": enter, "first": first}[sys.argv[1]](*sys.argv[2:])
