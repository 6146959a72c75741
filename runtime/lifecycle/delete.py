"""The end of a container: its processes, its cgroups, its poststop hooks, its directory, in this order.

Each step may be repeated, and the record goes last: after a SIGKILL at any point, ``delete --force`` finds what is
left to do. (A kill between the hooks and the record's removal makes the hooks run again; better twice than never.)
Hot: imports only builtins.
"""

import posix

from runtime.errors import NotFound, OcirunError, WrongState
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shapes import Record


def delete(root: str, id: str, force: bool, warn: "Callable[[str], None]", interruptible: bool = False) -> None:
    """Remove a stopped container, so that its id is free again.

    WrongState, and nothing happens, unless it is stopped (runtime.md "Delete"). ``force`` kills it first, clears what
    a killed create or delete left behind, and finds nothing wrong with a container that does not exist. ``interruptible``:
    what asks the process to end ends a poststop hook.
    """
    ends = True
    try:
        if force:
            ends = _kill_first(root, id)
        handle = store.open_locked(root, id)
    except NotFound:
        if force:
            return
        raise
    try:
        record = _record(root, id, handle, force, warn)
        if record is None:
            return
        status = state.status_of(handle, record, locked=True)
        if not force and not state.can_delete(status):
            raise WrongState(f'cannot delete container "{id}" that is not stopped: {status}')
        if interruptible and record["hooks"].get("poststop"):
            from runtime.process.interruption import catch

            catch()
        destroy(root, id, handle, record, warn, kill=force, ends=ends)
    finally:
        posix.close(handle)
    if interruptible and record["hooks"].get("poststop"):
        from runtime.process.interruption import release

        release()  # for the next container


def _kill_first(root: str, id: str) -> bool:
    """Kill init without the lock: a start that hangs holds it, and gives it back when init is dead. False when it does not end."""
    from runtime.lifecycle.kill import end_init

    handle = store.open_unlocked(root, id)
    try:
        if store.exists(handle, store.STATE):
            end_init(store.read_state(handle, id))
    except OcirunError:
        return False  # said later, under the lock, if it is still so
    finally:
        posix.close(handle)
    return True


def _record(root: str, id: str, handle: int, force: bool, warn: "Callable[[str], None]") -> "Record | None":
    """The record; None when there was none or a broken one, and the directory was removed for ``force``."""
    try:
        return store.read_state(handle, id)
    except OcirunError as error:
        if not force:
            raise
        if not isinstance(error, NotFound):
            warn(str(error))
        if store.exists(handle, store.NETWORK):
            from runtime.lifecycle.net_devices import unpin

            unpin(handle)
        store.remove(root, id, handle)
        return None


def destroy(
    root: str,
    id: str,
    handle: int,
    record: "Record",
    warn: "Callable[[str], None]",
    kill: bool = True,
    ends: bool = True,
) -> None:
    """Undo what create made, run the poststop hooks, and remove the container; the caller holds the lock.

    ``kill``: whether it may have processes left, and ``ends``: whether they are known to end when they are killed.
    OcirunError when a process or a cgroup stays; then the record stays too.
    """
    if kill:
        _end_processes(record, ends)
    if "net_devices" in record:
        from runtime.lifecycle.net_devices import give_back

        give_back(record, handle, warn)
    if record.get("systemd"):
        from runtime.cgroups.systemd import scope

        scope.remove(record["systemd"], record["cgroups"], warn)
    if record["cgroups"]:
        from runtime.cgroups import tree

        tree.remove(record["cgroups"])
    if record.get("resctrl"):
        from runtime import resctrl

        resctrl.remove(record["resctrl"]["made"])
    poststop = record["hooks"].get("poststop")
    if poststop:
        from runtime.lifecycle.hooks import run_all

        run_all(poststop, state.document(record, state.STOPPED), "/hooks/poststop", warn)
    store.remove(root, id, handle)


def _end_processes(record: "Record", ends: bool) -> None:
    from runtime.lifecycle.kill import WAIT, end_init

    if record["cgroups"]:
        from runtime.cgroups import members

        members.kill_all(record["cgroups"])
    end_init(record, WAIT if ends else 0)
