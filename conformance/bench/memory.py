"""What containers take of the machine's memory: by /proc/meminfo, and by what cgroups are charged for.

MemAvailable has everything in it, also what other programs do meanwhile. The charge has only what the bench's commands
and containers allocated, less what the kernel counts for nobody, such as the cgroups themselves.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.integration import snapshot

KINDS = ("AnonPages", "Shmem", "Slab", "PageTables", "KernelStack", "Percpu")
"""Of /proc/meminfo, in which most of a container's memory is counted."""
USAGE = "memory.usage_in_bytes"
STEADY_MIB = 0.5
"""Between two looks at the machine's memory, when what was freed has arrived."""


def meminfo() -> dict[str, float]:
    """MemAvailable and KINDS, MiB."""
    with open("/proc/meminfo") as file:
        values = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in file}
    return {kind: values[kind] for kind in ("MemAvailable", *KINDS)}


def settled(patience: float) -> dict[str, float]:
    """The same when it no longer changes, or after so many seconds: the kernel frees cgroups later."""
    deadline = time.monotonic() + patience
    before = meminfo()
    while True:
        time.sleep(min(0.5, patience))
        now = meminfo()
        if abs(now["MemAvailable"] - before["MemAvailable"]) < STEADY_MIB or time.monotonic() > deadline:
            return now
        before = now


def hierarchy() -> Path | None:
    """The v1 hierarchy of the memory controller. In v2 a process cannot leave its cgroup for one controller alone."""
    mounts = snapshot.cgroup_hierarchies()
    return next((mount for mount, kind in mounts if kind == "cgroup" and (mount / USAGE).exists()), None)


@contextlib.contextmanager
def charged_to(name: str) -> Iterator[None]:
    """Charges this process and its commands to a memory cgroup of that name, where there is v1."""
    mount = hierarchy()
    if mount is None:
        yield
        return
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    home = next(path for _, names, path in (line.split(":", 2) for line in lines) if "memory" in names.split(","))
    (mount / name).mkdir(exist_ok=True)
    (mount / name / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (mount / home.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))


def charge(token: str) -> float | None:
    """MiB charged to the cgroups whose name holds the token: the one above, and the containers' beside or below it."""
    mount = hierarchy()
    if mount is None:
        return None
    held = [Path(path) for path in snapshot.cgroups(token) if mount in Path(path).parents]
    tops = [path for path in held if token not in str(path.parent)]  # a count has what is below in it
    return sum(int((path / USAGE).read_text()) for path in tops) / 2**20
