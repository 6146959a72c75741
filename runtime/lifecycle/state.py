"""The state of a container: its status, from the record and /proc, the operations that a status allows, and the state
document.

The record says how far the runtime got, /proc whether init is alive. A process is identified by its pid **and** its
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
    """runtime.md "Start": an error unless created."""
    return status == CREATED


def can_kill(status: str) -> bool:
    """runtime.md "Kill": an error unless created or running. A paused container is a running one."""
    return status in (CREATED, RUNNING, PAUSED)


def can_delete(status: str) -> bool:
    """runtime.md "Delete": an error unless stopped."""
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
        # The name, in parentheses, may itself contain blanks and parentheses: split after the last one.
        fields = posix.read(descriptor, 4096).rpartition(b")")[2].split()
    except ProcessLookupError:
        return None
    finally:
        posix.close(descriptor)
    return int(fields[19]) if fields and (zombie or fields[0] not in (b"Z", b"X", b"x")) else None


def is_alive(record: "Record") -> bool:
    """Whether init is alive: the process of the record, not another with its pid."""
    pid: int = record["pid"]
    return pid > 0 and start_time(pid) == record["start_time"]


def note_pid(record: "Record", pid: int) -> None:
    """Put init's current pid and start time into the record."""
    record["pid"] = pid
    record["start_time"] = start_time(pid) or 0


def open_process(record: "Record") -> int | None:
    """A pidfd of init, which the caller closes. None when it has ended.

    The start time is compared after the open: from then on the descriptor cannot refer to another process.
    """
    if record["pid"] <= 0:
        return None
    try:
        descriptor = posix.pidfd_open(record["pid"])
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:  # reaped, but the number still names a session or a process group
            return None
        raise system_failure(f"pidfd_open process {record['pid']}", error) from None
    if is_alive(record):
        return descriptor
    posix.close(descriptor)
    return None


def status_of(handle: int, record: "Record", locked: bool) -> str:
    """The status. ``locked``: the caller holds the container's lock through ``handle``.

    A record that says "creating" while nobody holds the lock was left by a create that was killed: init died with it.
    """
    if record["status"] == CREATING:
        return CREATING if not locked and store.is_locked(handle) else STOPPED
    if not is_alive(record):
        return STOPPED
    if record["cgroups"] and frozen(record["cgroups"]):
        return PAUSED
    return CREATED if store.exists(handle, store.START_SOCKET) else RUNNING


def read(handle: int, id: str) -> "tuple[Record, str]":
    """The record and the status, without the lock: another process may be changing the container."""
    record = store.read_state(handle, id)
    status = status_of(handle, record, locked=False)
    if record["status"] == CREATING and status == STOPPED:  # or create finished between the two reads
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


def query(root: str, id: str, why: bool = False) -> "StateDocument":
    """The state document with ``owner``, as the state and list commands print it. NotFound when there is no container.

    ``why``: also with the ``reason`` of a stopped container, if it is known.
    """
    handle = store.open_unlocked(root, id)
    try:
        record, status = read(handle, id)
        result: StateDocument = {**document(record, status), "owner": _owner(handle)}
        if why and status == STOPPED and record["pid"] > 0:
            from runtime.lifecycle import reasons

            reason = reasons.of_stopped(store.read_file(handle, store.CONFIG), record["pid"], record["start_time"])
            if reason:
                result["reason"] = reason
        return result
    finally:
        posix.close(handle)


def _owner(handle: int) -> str:
    """The name of the user who made the container, or the uid if it has no name."""
    uid = posix.fstat(handle).st_uid
    if uid == 0:  # saves a look into the user database
        return "root"
    from runtime.host.users import name_of

    return name_of(uid) or str(uid)
