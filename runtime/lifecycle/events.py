"""Statistics of a container, once or as a stream, and its out-of-memory events. Not hot."""

import posix
import select
import time
from errno import ENODEV

from runtime.cgroups import stats, tree
from runtime.cgroups import update as limits
from runtime.errors import WrongState, system_failure
from runtime.host import cgroups as host
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from runtime.cgroups.layout import Place
    from runtime.shapes import Record

    Event = dict[str, Any]

# /proc/PID/net/dev: the columns of received and of sent traffic, as runc names them
RECEIVED = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped")
SENT = ("tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
SENT_FROM = 8


def _opened(root: str, id: str) -> "tuple[Record, list[Place]]":
    handle = store.open_unlocked(root, id)
    try:
        record, status = state.read(handle, id)
    finally:
        posix.close(handle)
    if not state.can_kill(status):
        raise WrongState(f'container "{id}" has no statistics: container not running: it is {status}')
    return record, limits.places(record["cgroups"], host.read())


def statistics(root: str, id: str) -> "dict[str, Any]":
    """The ``data`` of a "stats" event (see runtime.cgroups.stats). WrongState unless created, running or paused."""
    record, places = _opened(root, id)
    return _data(record, places)


def _data(record: "Record", places: "list[Place]") -> "dict[str, Any]":
    return {**stats.collect(places), "network_interfaces": _interfaces(record["pid"])}


def _interfaces(pid: int) -> "list[dict[str, Any]]":
    """The traffic of each interface but lo; [] where the container has the caller's network namespace."""
    try:
        if posix.stat(f"/proc/{pid}/ns/net").st_ino == posix.stat("/proc/self/ns/net").st_ino:
            return []
    except OSError:
        return []
    found = []
    for line in tree.read(f"/proc/{pid}/net/dev").decode().splitlines()[2:]:
        name, _, rest = line.partition(":")
        columns = [int(word) for word in rest.split()]
        if name.strip() != "lo":
            sent = dict(zip(SENT, columns[SENT_FROM:], strict=False))
            found.append({"name": name.strip(), **dict(zip(RECEIVED, columns, strict=False)), **sent})
    return found


def stream(root: str, id: str, interval: float) -> "Iterator[Event]":
    """A "stats" event every ``interval`` seconds, an "oom" event when the kernel kills in the container's memory cgroup.

    Ends when the container does.
    """
    record, places = _opened(root, id)
    process = state.open_process(record)
    if process is None:
        return
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    watch = _watch(places)
    if watch:
        waiting.register(watch.descriptor, watch.events)
    due = time.monotonic() + interval
    try:
        while True:
            ready = {number for number, _ in waiting.poll(max(0.0, due - time.monotonic()) * 1000)}
            if watch and watch.descriptor in ready:
                try:
                    if watch.happened():
                        yield {"type": "oom", "id": id}
                except OSError as error:
                    if error.errno != ENODEV:
                        raise
                    waiting.unregister(watch.descriptor)  # the cgroup is gone: systemd removes it with its last process
            if process in ready:
                return
            if time.monotonic() >= due:
                due += interval
                yield {"type": "stats", "id": id, "data": _data(record, places)}
    finally:
        posix.close(process)
        if watch:
            watch.close()


class _Eventfd:
    """v1: an eventfd that memory.oom_control is told of (cgroup-v1/memory, "OOM Control")."""

    events = select.POLLIN

    def __init__(self, path: str) -> None:
        self.descriptor = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        self.directory = path
        try:
            control = posix.open(f"{path}/memory.oom_control", posix.O_RDONLY | posix.O_CLOEXEC)
            try:
                tree.write(f"{path}/cgroup.event_control", b"%d %d" % (self.descriptor, control))
            finally:
                posix.close(control)
        except OSError:
            posix.close(self.descriptor)
            raise

    def happened(self) -> bool:
        """Whether it was memory: the removal of the cgroup is told too."""
        posix.eventfd_read(self.descriptor)
        return posix.access(f"{self.directory}/memory.oom_control", posix.F_OK)

    def close(self) -> None:
        posix.close(self.descriptor)


class _Events:
    """v2: memory.events, whose changes poll tells; oom_kill counts (cgroup-v2, "memory.events")."""

    events = select.POLLPRI

    def __init__(self, path: str) -> None:
        self.descriptor = posix.open(f"{path}/memory.events", posix.O_RDONLY | posix.O_CLOEXEC)
        self.path = f"{path}/memory.events"
        self.count = 0
        self.happened()

    def happened(self) -> bool:
        """Whether the kernel has killed since the last look."""
        posix.pread(self.descriptor, 4096, 0)  # only a read makes the next change known
        before, self.count = self.count, stats.pairs(self.path).get("oom_kill", 0)
        return self.count > before

    def close(self) -> None:
        posix.close(self.descriptor)


def _watch(places: "list[Place]") -> "_Eventfd | _Events | None":
    for path, _, hierarchy in places:
        if "memory" in hierarchy["controllers"]:
            try:
                return _Eventfd(path) if hierarchy["version"] == 1 else _Events(path)
            except OSError as error:
                raise system_failure(f"watch the memory of cgroup {path}", error) from None
    return None
