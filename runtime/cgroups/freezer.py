"""Suspending the processes of a container: the v1 freezer controller, or cgroup.freeze of v2. Hot: imports only builtins.

A hybrid host uses v1's, as runc and crun do: other programs look for the state there.
"""

import errno
import posix
import time

from runtime import files
from runtime.cgroups.intent import entered
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.intent import Intent
    from runtime.shapes import CgroupRow

# How long the kernel may take to stop every process, and how long v1 may be stuck before it is thawed and frozen again
# (a process that forks without end can stay ahead of it). Seconds.
LIMIT, STUCK = 10.0, 0.5
PAUSE = 0.001


def freezable(intent: "Intent") -> "CgroupRow | None":
    """The row of the container's cgroup that has a freezer; None where there is none."""
    unified = None
    for row in entered(intent):
        if row["version"] == 2:
            unified = row
        elif "freezer" in row["path"] and posix.access(f"{row['path']}/freezer.state", posix.F_OK):
            return row
    return unified if unified and posix.access(f"{unified['path']}/cgroup.freeze", posix.F_OK) else None


def frozen(intent: "Intent") -> bool:
    """Whether the container's processes are suspended, or about to be."""
    row = freezable(intent)
    if row is None:
        return False
    if row["version"] == 1:
        return files.read_page(f"{row['path']}/freezer.state").strip() in (b"FROZEN", b"FREEZING")
    return files.read_page(f"{row['path']}/cgroup.freeze").strip() == b"1"


def freeze(intent: "Intent") -> None:
    """Suspend every process; returns when all are. When that takes longer than LIMIT: OcirunError, and all go on."""
    row = _needed(intent, "pause")
    path = row["path"]
    try:
        _freeze_v1(path) if row["version"] == 1 else _freeze_v2(path)
    except OSError as error:
        raise system_failure(f"freeze cgroup {path}", error) from None
    except OcirunError:
        thaw(intent)
        raise


def thaw(intent: "Intent") -> None:
    """Let every process go on. No error where none is suspended."""
    row = _needed(intent, "resume")
    try:
        _thaw(row)
    except OSError as error:
        raise system_failure(f"thaw cgroup {row['path']}", error) from None


def let_end(intent: "Intent") -> None:
    """Thaw after SIGKILL: on v1 a suspended process ends only when it goes on.

    On v2 it ends at once, and systemd may remove the cgroup meanwhile.
    """
    row = freezable(intent)
    if row is None:
        return
    try:
        _thaw(row)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise system_failure(f"thaw cgroup {row['path']}", error) from None


def _thaw(row: "CgroupRow") -> None:
    if row["version"] == 1:
        files.write(f"{row['path']}/freezer.state", b"THAWED")
    else:
        files.write(f"{row['path']}/cgroup.freeze", b"0")


def _needed(intent: "Intent", verb: str) -> "CgroupRow":
    row = freezable(intent)
    if row is None:
        message = f"{verb} needs a cgroup with a freezer (the v1 controller, or cgroup v2), and the container has none"
        raise OcirunError(message, None, None, errno.EOPNOTSUPP)
    return row


def _freeze_v1(path: str) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        again = time.monotonic() + STUCK
        while time.monotonic() < again:
            # Write it each time: only that stops a process which came in after the last write.
            files.write(f"{path}/freezer.state", b"FROZEN")
            if files.read_page(f"{path}/freezer.state").strip() == b"FROZEN":
                return
            time.sleep(PAUSE)
        files.write(f"{path}/freezer.state", b"THAWED")
    raise _too_slow(path)


def _freeze_v2(path: str) -> None:
    files.write(f"{path}/cgroup.freeze", b"1")
    end = time.monotonic() + LIMIT
    while b"frozen 1" not in files.read_page(f"{path}/cgroup.events"):
        if time.monotonic() > end:
            raise _too_slow(path)
        time.sleep(PAUSE)


def _too_slow(path: str) -> OcirunError:
    message = f"freeze cgroup {path}: some process does not stop within {LIMIT:g} seconds (it may wait for a disk)"
    return OcirunError(message, None, None, errno.EBUSY)
