"""The state side of `delete`: kill the processes, remove the cgroups, run the poststop hooks, remove the directory.

Each step can be repeated, and the record is removed last: after a SIGKILL at any point, ``delete --force`` knows what is
left to do. (After a SIGKILL between the hooks and the removal of the record the hooks run again: better twice than never.)
Hot: imports only builtins.
"""

import posix

from runtime.errors import Foreign, NotFound, OcirunError, WrongState
from runtime.lifecycle import document, init_program, state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shapes import Record


def delete(root: str, id: str, force: bool, warn: "Callable[[str], None]", interruptible: bool = False) -> None:
    """Remove a stopped container, so that its id is free again.

    Raises WrongState, and changes nothing, unless it is stopped (runtime.md "Delete"). ``force`` kills it first,
    removes what a killed create or delete left behind, and ignores a container that does not exist. ``interruptible``:
    a signal that ends a process ends a poststop hook.
    """
    ends, caught = True, False
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
        caught = interruptible and bool(record["hooks"].get("poststop"))
        if caught:
            from runtime.process.interruption import catch

            catch("; the container is removed")
        destroy(root, id, handle, record, warn, kill=force, ends=ends)
    finally:
        posix.close(handle)
        if caught:
            from runtime.process.interruption import release

            release()  # for the next container


def _kill_first(root: str, id: str) -> bool:
    """Kill init without the lock: a `start` that hangs holds it, and releases it once init is dead. False if init does not end."""
    from runtime.lifecycle.kill import end_init

    handle = store.open_unlocked(root, id)
    try:
        if store.exists(handle, store.STATE):
            end_init(store.read_state(handle, id, force=True))
    except OcirunError:
        return False  # reported later, under the lock, if it persists
    finally:
        posix.close(handle)
    return True


def _record(root: str, id: str, handle: int, force: bool, warn: "Callable[[str], None]") -> "Record | None":
    """The record. None if it was missing or damaged, and ``force`` removed the directory. Foreign is never removed.

    With ``force`` also of a newer release, as far as it is known.
    """
    try:
        record = store.read_state(handle, id, force)
        if record["version"] > document.VERSION:
            from runtime.lifecycle.versions import kept

            return kept(record, warn)
        return record
    except OcirunError as error:
        if not force or isinstance(error, Foreign):
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

    ``kill``: it may have processes left. ``ends``: init is expected to die when killed. OcirunError when a process or a
    cgroup remains; then the record remains too.
    """
    if kill:
        _end_processes(record, ends)
    if record["pid"] > 0 and all(row["made"] < 0 for row in record["cgroups"]):  # SHARED or NOT_OURS
        _warn_of_survivors(handle, warn)
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
    if record["pid"] > 0:
        init_program.withdraw(root, record["pid"])
    if "restoring" in record:
        from runtime.lifecycle.leftovers import remove_empty

        remove_empty(handle, store.CRIU_ROOT)
    store.remove(root, id, handle)


def _warn_of_survivors(handle: int, warn: "Callable[[str], None]") -> None:
    """Warn that processes may still run, where neither a cgroup nor a pid namespace identifies them."""
    from runtime.lifecycle.processes import outlive

    if outlive(handle):
        warn(
            "other processes of the container may still be running: "
            "it has no cgroup or pid namespace of its own that would identify them"
        )


def _end_processes(record: "Record", ends: bool) -> None:
    from runtime.lifecycle.kill import WAIT, end_init

    if record["cgroups"]:
        from runtime.cgroups import members

        members.kill_all(record["cgroups"])
    end_init(record, WAIT if ends else 0)
