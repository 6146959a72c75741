"""What a container is doing: the status from its record and from /proc, the operations that a status allows, and the
state document.

The disk says how far we came, the process table whether it still lives. A process is known by its pid **and** its
start time. Hot: imports only builtins.
"""

import errno
import posix

from runtime.cgroups.freezer import frozen
from runtime.errors import system_failure
from runtime.lifecycle import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import Record, StateDocument

VERSION = "1.3.0"  # of the runtime-spec that the state document follows
CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"


def can_start(status: str) -> bool:
    """runtime.md "Start": anything but created is an error."""
    return status == CREATED


def can_kill(status: str) -> bool:
    """runtime.md "Kill": neither created nor running is an error; paused is a way of running."""
    return status in (CREATED, RUNNING, PAUSED)


def can_delete(status: str) -> bool:
    """runtime.md "Delete": anything but stopped is an error."""
    return status == STOPPED


def start_time(pid: int, zombie: bool = False) -> int | None:
    """When the process started, in clock ticks since boot (field 22 of /proc/PID/stat). None when it is gone or a
    zombie.

    A zombie counts as gone, unless ``zombie``: an init that the manager has not reaped yet is stopped.
    """
    try:
        descriptor = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        # The name, in parentheses, may hold blanks and parentheses; what follows the last one is regular.
        fields = posix.read(descriptor, 4096).rpartition(b")")[2].split()
    except ProcessLookupError:
        return None
    finally:
        posix.close(descriptor)
    return int(fields[19]) if fields and (zombie or fields[0] not in (b"Z", b"X", b"x")) else None


def is_alive(record: "Record") -> bool:
    """Whether init, the very process of the record, has not ended."""
    pid: int = record["pid"]
    return pid > 0 and start_time(pid) == record["start_time"]


def note_pid(record: "Record", pid: int) -> None:
    """Put the pid and the start time of init, as it stands now, into the record."""
    record["pid"] = pid
    record["start_time"] = start_time(pid) or 0


def open_process(record: "Record") -> int | None:
    """A pidfd of init, which the caller closes. None when it has ended.

    The start time is compared after the opening: from then on the descriptor cannot mean another process of the same
    pid.
    """
    if record["pid"] <= 0:
        return None
    try:
        descriptor = posix.pidfd_open(record["pid"])
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:  # waited for, but the number is still that of a session or a process group
            return None
        raise system_failure(f"pidfd_open process {record['pid']}", error) from None
    if is_alive(record):
        return descriptor
    posix.close(descriptor)
    return None


def status_of(handle: int, record: "Record", locked: bool) -> str:
    """The status. ``locked``: the caller holds the container's lock through ``handle``.

    A record that says "creating" while nobody holds the lock was left by a create that was killed: its init ended
    with it.
    """
    if record["status"] == CREATING:
        return CREATING if not locked and store.is_locked(handle) else STOPPED
    if not is_alive(record):
        return STOPPED
    if record["cgroups"] and frozen(record["cgroups"]):
        return PAUSED
    return CREATED if store.exists(handle, store.START_SOCKET) else RUNNING


def read(handle: int, id: str) -> "tuple[Record, str]":
    """The record and the status, of a container that another may be working on at this moment."""
    record = store.read_state(handle, id)
    status = status_of(handle, record, locked=False)
    if record["status"] == CREATING and status == STOPPED:  # or create finished between the two looks
        record = store.read_state(handle, id)
        status = status_of(handle, record, locked=False)
    return record, status


def document(record: "Record", status: str) -> "StateDocument":
    """The state document of runtime.md "State", as hooks get it; pid is 0 when there is no process."""
    result: StateDocument = {
        "ociVersion": VERSION,
        "id": record["id"],
        "pid": 0 if status == STOPPED else record["pid"],
        "status": status,
        "bundle": record["bundle"],
        "rootfs": record["rootfs"],
        "created": record["created"],
    }
    if record.get("annotations"):
        result["annotations"] = record["annotations"]
    return result


def query(root: str, id: str) -> "StateDocument":
    """The state document of a container, with its owner, as the state and list commands print it.

    NotFound when there is none.
    """
    handle = store.open_unlocked(root, id)
    try:
        record, status = read(handle, id)
        return {**document(record, status), "owner": _owner(handle)}
    finally:
        posix.close(handle)


def _owner(handle: int) -> str:
    """The name of the user who made the container; the number where it has no name."""
    uid = posix.fstat(handle).st_uid
    if uid == 0:  # spares the user database
        return "root"
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
