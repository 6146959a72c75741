"""Suspending the processes of a container: the v1 freezer controller, or cgroup.freeze of v2. Hot: imports only builtins.

On a hybrid host v1's is used, as the peers do: whoever else looks finds the state there.
"""

import errno
import posix
import time

from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.tree import Intent

# How long the kernel may take to stop every process, and how long v1 may be stuck before it is thawed and asked again
# (a process that forks without end can stay ahead of it). Seconds.
LIMIT, STUCK = 10.0, 0.5
PAUSE = 0.001
NOT_OURS = -2  # of runtime.cgroups.tree, which `state` has no other need to load


def read(path: str) -> bytes:
    """A file's content, at most a page; b"" where it is absent, or goes with its cgroup in the meantime."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return posix.read(descriptor, 4096)
    except OSError:
        return b""
    finally:
        posix.close(descriptor)


def write(path: str, value: bytes) -> None:
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, value)
    finally:
        posix.close(descriptor)


def place(intent: "Intent") -> tuple[str, int] | None:
    """(directory, version) of the container's cgroup with a freezer; None where it has none."""
    unified = None
    for path, made, version in intent:
        if made == NOT_OURS:
            continue
        if version == 2:
            unified = str(path)
        elif "freezer" in str(path) and posix.access(f"{path}/freezer.state", posix.F_OK):
            return str(path), 1
    return (unified, 2) if unified and posix.access(f"{unified}/cgroup.freeze", posix.F_OK) else None


def frozen(intent: "Intent") -> bool:
    """Whether the container's processes are suspended, or about to be."""
    found = place(intent)
    if found is None:
        return False
    path, version = found
    if version == 1:
        return read(f"{path}/freezer.state").strip() in (b"FROZEN", b"FREEZING")
    return read(f"{path}/cgroup.freeze").strip() == b"1"


def freeze(intent: "Intent") -> None:
    """Suspend every process; returns when all are. OcirunError, and all go on, when that takes longer than LIMIT."""
    path, version = _needed(intent, "pause")
    try:
        _freeze_v1(path) if version == 1 else _freeze_v2(path)
    except OSError as error:
        raise system_failure(f"freeze cgroup {path}", error) from None
    except OcirunError:
        thaw(intent)
        raise


def thaw(intent: "Intent") -> None:
    """Let every process go on; one that was not suspended does anyway."""
    path, version = _needed(intent, "resume")
    try:
        _thaw(path, version)
    except OSError as error:
        raise system_failure(f"thaw cgroup {path}", error) from None


def let_end(intent: "Intent") -> None:
    """After SIGKILL: v1 ends a suspended process only when it goes on. v2 ends it at once, and systemd may remove the cgroup."""
    found = place(intent)
    if found is None:
        return
    try:
        _thaw(*found)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise system_failure(f"thaw cgroup {found[0]}", error) from None


def _thaw(path: str, version: int) -> None:
    write(f"{path}/freezer.state", b"THAWED") if version == 1 else write(f"{path}/cgroup.freeze", b"0")


def _needed(intent: "Intent", verb: str) -> tuple[str, int]:
    found = place(intent)
    if found is None:
        words = f"{verb} needs a cgroup with a freezer (the v1 controller, or cgroup v2), and the container has none"
        raise OcirunError(words, None, None, errno.EOPNOTSUPP)
    return found


def _freeze_v1(path: str) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        again = time.monotonic() + STUCK
        while time.monotonic() < again:
            # Written again and again: a process that came in meanwhile is stopped only then.
            write(f"{path}/freezer.state", b"FROZEN")
            if read(f"{path}/freezer.state").strip() == b"FROZEN":
                return
            time.sleep(PAUSE)
        write(f"{path}/freezer.state", b"THAWED")
    raise _too_slow(path)


def _freeze_v2(path: str) -> None:
    write(f"{path}/cgroup.freeze", b"1")
    end = time.monotonic() + LIMIT
    while b"frozen 1" not in read(f"{path}/cgroup.events"):
        if time.monotonic() > end:
            raise _too_slow(path)
        time.sleep(PAUSE)


def _too_slow(path: str) -> OcirunError:
    words = f"freeze cgroup {path}: some process does not stop within {LIMIT:g} seconds (it may wait for a disk)"
    return OcirunError(words, None, None, errno.EBUSY)
