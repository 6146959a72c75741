"""What the tests of resources share: bundles with limits, the counters of the kernel, and things to limit.

Everything runs on v1, on v2 and under systemd: a container's cgroup is found by what /proc says of its first process.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller

MEGABYTE = 1 << 20
BUSY = "while :; do :; done"
FORKS = "for i in 1 2 3 4 5 6 7 8; do sleep 2 & done 2>&1; wait"
REFUSED = "can't fork"
# Takes so many bytes of memory in one system call, and says so when it was let.
TAKE = "dd if=/dev/zero of=/dev/null bs={0} count=1 2>/dev/null && echo {0}"


def limited(runtime: Caller, script: str, **resources: Any) -> Bundle:
    """A bundle whose shell is under the given /linux/resources."""
    return runtime.shell(script, {"linux": {"resources": resources}})


def with_python(bundle: Bundle, program: str, *arguments: str) -> Bundle:
    """The bundle with this Python program as its process, run by the host's interpreter."""
    for name in ("lib", "lib64"):
        (bundle.rootfs / name).symlink_to(f"usr/{name}")
    options = ["rbind", "ro", "nosuid", "nodev"]
    bundle.config["mounts"].append({"destination": "/usr", "type": "none", "source": "/usr", "options": options})
    (bundle.rootfs / "program").write_text(program)
    bundle.process["args"] = ["/usr/bin/python3", "-I", "-S", "-B", "/program", *arguments]
    return bundle.save()


def on_v1(controller: str) -> bool:
    """Whether the controller is mounted as one of v1."""
    return any(kind == "cgroup" and controller in path.name.split(",") for path, kind in snapshot.cgroup_hierarchies())


def on_v2(controller: str) -> bool:
    return any(controller in (path / "cgroup.controllers").read_text().split() for path in unified_mounts())


def unified_mounts() -> list[Path]:
    return [path for path, kind in snapshot.cgroup_hierarchies() if kind == "cgroup2"]


class Counters:
    """The cgroups of a container that is there."""

    def __init__(self, runtime: Caller, id: str) -> None:
        self.lines = [
            line.split(":", 2) for line in Path(f"/proc/{runtime.first_pid(id)}/cgroup").read_text().splitlines()
        ]

    def directory(self, controller: str) -> Path:
        """Where the controller's files are; v2's for one that v1 has not."""
        for number, names, path in self.lines:
            if controller in names.split(",") and number != "0":
                mount = next(mount for mount in snapshot.cgroup_mounts() if mount.name == names)
                return mount / path.lstrip("/")
        return self.unified()

    def unified(self) -> Path:
        path = next((path for number, _, path in self.lines if number == "0"), None)
        if path is None:
            pytest.skip("the machine has no cgroup v2")
        return unified_mounts()[0] / path.lstrip("/")

    def text(self, controller: str, v1: str, v2: str) -> str:
        directory = self.directory(controller)
        name = v1 if on_v1(controller) else v2
        return (directory / name).read_text().strip()

    def number(self, controller: str, v1: str, v2: str) -> int:
        """Of a file that holds it alone, or, named as "file:key", of the line with this key."""
        file, _, key = (v1 if on_v1(controller) else v2).partition(":")
        text = (self.directory(controller) / file).read_text()
        return counted(text, key) if key else int(text)

    def processor_seconds(self) -> float:
        if on_v1("cpuacct"):
            return self.number("cpuacct", "cpuacct.usage", "") / 1e9
        return self.number("cpu", "", "cpu.stat:usage_usec") / 1e6

    def throttled(self) -> int:
        """How often the quota stopped it."""
        return self.number("cpu", "cpu.stat:nr_throttled", "cpu.stat:nr_throttled")


def counted(text: str, name: str) -> int:
    """A number of lines "name number"; 0 without one."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[0] == name), 0)


def stats(runtime: Caller, id: str) -> dict[str, Any]:
    """The data of `events --stats`."""
    event = json.loads(runtime.call("events", "--stats", id).ok().out)
    assert (event["type"], event["id"]) == ("stats", id)
    data: dict[str, Any] = event["data"]
    return data


def processor() -> str:
    """One that may be used."""
    return str(max(os.sched_getaffinity(0)))


def disk(directory: Path) -> tuple[int, int]:
    """The numbers of the disk that the directory is on."""
    number = os.stat(directory).st_dev
    path = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not path.exists():
        pytest.skip(f"{directory} is not on a disk")
    if (path / "partition").exists():
        path = path.resolve().parent
    major, minor = (path / "dev").read_text().split(":")
    return int(major), int(minor)


def written(path: Path, size: int) -> Path:
    """The path of a new file of this size that is on the disk and not in memory."""
    with open(path, "wb") as file:
        for _ in range(size // MEGABYTE):
            file.write(os.urandom(MEGABYTE))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def said(command: list[str]) -> str:
    """The output of a program of the host; skips the test where it is missing or refuses."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    if done.returncode != 0:
        pytest.skip(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def value(runtime: Caller, id: str, controller: str, v1: str, v2: str) -> str:
    """The contents of the container's cgroup file, whichever version its controller is on."""
    return Counters(runtime, id).text(controller, v1, v2)
