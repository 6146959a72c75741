#!/usr/bin/env python3
"""The node's own side: enters its namespaces, and is process 1 there, which starts the daemons and reaps.

Usage: first_process.py DIRECTORY; node.py writes DIRECTORY/node.json, and passes a socket that is told when the node is ready.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import cgroups

PR_SET_PDEATHSIG = 1
PATIENCE_S = 60


def enter(directory: str, settings: dict[str, Any]) -> None:
    """Join the node's cgroups, and become unshare, which starts process 1 in the new namespaces and ends it when it ends itself."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    cgroups.join(settings["token"])
    spaces = [f"--{name}" for name in settings["namespaces"]]
    own = [sys.executable, __file__, directory]
    os.execvp("unshare", ["unshare", *spaces, "--fork", "--kill-child", "--mount-proc", *own])


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def set_up_mounts() -> None:
    """Private file systems where daemons keep their state, and the cgroup hierarchies as seen from the node's cgroup."""
    found = cgroups.hierarchies()
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    if not any(point == Path("/sys/fs/cgroup") for point, _, _ in found):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for point, kind, options in found:
        point.mkdir(exist_ok=True)
        words = [word for word in options.split(",") if word not in ("rw", "ro") and "=" not in word]
        if named := re.search(r"name=[^,]+", options):
            words = ["none", named[0]]
        chosen = ["-o", ",".join(words)] if kind == "cgroup" else []
        run("mount", "-t", kind, *chosen, kind, point)
    for directory in ("/run", "/var/lib", "/var/log"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
    for directory in ("/run/lock", "/run/containerd"):
        os.makedirs(directory, exist_ok=True)
    run("mount", "--make-rshared", "/")
    run("mount", "--make-private", "/proc")  # so that a process may have files of its own below it


def set_up_cgroups() -> None:
    """On v2 a cgroup with processes cannot have limits below it: the daemons have one of their own."""
    for point in {point for point, kind, _ in cgroups.hierarchies() if kind == "cgroup2"}:
        (point / "daemons").mkdir()
        (point / "daemons/cgroup.procs").write_text("0")


def set_up_network(address: str) -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "node0", "type", "bridge")
    run("ip", "address", "add", f"{address}/24", "dev", "node0")
    run("ip", "link", "set", "node0", "up")
    run("ip", "route", "add", "default", "dev", "node0")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def wait_for(address: Any, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens: on a path, or on [host, port]."""
    end = time.monotonic() + PATIENCE_S
    while True:
        kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(kind) as attempt, contextlib.suppress(OSError):
            attempt.connect(address if isinstance(address, str) else tuple(address))
            return
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"nothing answers on {address}")
        time.sleep(0.1)


def serve(settings: dict[str, Any]) -> None:
    """Start the daemons, say that the node is ready, reap, and start a daemon again that has ended."""
    socket.sethostname(settings["hostname"])
    set_up_mounts()
    set_up_cgroups()
    set_up_network(settings["address"])
    running = {}
    for daemon in settings["daemons"]:
        process = subprocess.Popen(daemon["command"], close_fds=True)
        running[process.pid] = process, daemon
        wait_for(daemon["address"], process)
    with socket.socket(fileno=settings["channel"]) as channel:
        channel.send(b"ready")
    while True:
        pid, status = os.wait()
        if pid in running:
            process, daemon = running.pop(pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            process = subprocess.Popen(daemon["command"], close_fds=True)
            running[process.pid] = process, daemon


def main() -> None:
    directory = sys.argv[1]
    settings = json.loads(Path(directory, "node.json").read_text())
    if os.getpid() == 1:
        serve(settings)
    enter(directory, settings)


if __name__ == "__main__":
    main()
