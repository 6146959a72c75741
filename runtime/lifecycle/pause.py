"""The state side of `pause` and `resume`: freeze and thaw a container's processes."""

import posix

from runtime.cgroups import freezer
from runtime.errors import WrongState
from runtime.lifecycle import state, store


def pause(root: str, id: str) -> None:
    """Suspend every process of a created or running container, whose status becomes "paused".

    WrongState in any other state. OcirunError if no cgroup of the container has a freezer, or a process does not stop.
    """
    handle = store.open_locked(root, id)
    try:
        record = store.read_state(handle, id)
        status = state.status_of(handle, record, locked=True)
        if status not in (state.CREATED, state.RUNNING):
            raise WrongState(f'cannot pause container "{id}": container not running: it is {status}')
        freezer.freeze(record["cgroups"])
    finally:
        posix.close(handle)


def resume(root: str, id: str) -> None:
    """Resume the processes of a paused container. WrongState when it is not paused."""
    handle = store.open_locked(root, id)
    try:
        record = store.read_state(handle, id)
        status = state.status_of(handle, record, locked=True)
        if status != state.PAUSED:
            raise WrongState(f'cannot resume container "{id}": container not paused: it is {status}')
        freezer.thaw(record["cgroups"])
    finally:
        posix.close(handle)
