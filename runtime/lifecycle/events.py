"""The state side of `events`: a container's statistics, once or as a stream, and its out-of-memory events. Not hot."""

import posix
import select
import time
from errno import ENODEV

from runtime import files
from runtime.cgroups import stats
from runtime.cgroups import update as limits
from runtime.errors import WrongState, system_failure
from runtime.host import cgroups as host
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NotRequired, TypedDict

    from runtime.shapes import Location, Record

    class Event(TypedDict):
        """One line of `events`."""

        type: str  # stats or oom
        id: str
        data: NotRequired[stats.Data]


# runc's names for columns of /proc/PID/net/dev
RECEIVED = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped")
SENT = ("tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
SENT_FROM = 8


def _opened(root: str, id: str) -> "tuple[Record, list[Location]]":
    handle = store.open_unlocked(root, id)
    try:
        record, status = state.read(handle, id)
    finally:
        posix.close(handle)
    if not state.can_kill(status):
        raise WrongState(f'container "{id}" has no statistics: container not running: it is {status}')
    return record, limits.locations(record["cgroups"], host.read())


def statistics(root: str, id: str) -> "stats.Data":
    """The ``data`` of a "stats" event (see runtime.cgroups.stats). WrongState unless created, running or paused."""
    record, locations = _opened(root, id)
    return _data(record, locations)


def _data(record: "Record", locations: "list[Location]") -> "stats.Data":
    return {**stats.collect(locations), "network_interfaces": _interfaces(record["pid"])}


def _interfaces(pid: int) -> "list[stats.Interface]":
    """The traffic of each interface except lo; [] if the container shares the caller's network namespace."""
    try:
        if posix.stat(f"/proc/{pid}/ns/net").st_ino == posix.stat("/proc/self/ns/net").st_ino:
            return []
    except OSError:
        return []
    interfaces: list[stats.Interface] = []
    for line in files.read_or_empty(f"/proc/{pid}/net/dev").decode().splitlines()[2:]:
        name, _, rest = line.partition(":")
        columns = [int(count) for count in rest.split()]
        if name.strip() != "lo":
            sent = dict(zip(SENT, columns[SENT_FROM:], strict=False))
            interfaces.append({"name": name.strip(), **dict(zip(RECEIVED, columns, strict=False)), **sent})
    return interfaces


def stream(root: str, id: str, interval: float) -> "Iterator[Event]":
    """A "stats" event every ``interval`` seconds, and an "oom" event when the OOM killer strikes in the container's cgroup.

    Ends when the container does.
    """
    record, locations = _opened(root, id)
    process = state.open_process(record)
    if process is None:
        return
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    watch = _watch(locations)
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
                    # The cgroup is gone: systemd removes it after its last process.
                    waiting.unregister(watch.descriptor)
            if process in ready:
                return
            if time.monotonic() >= due:
                due += interval
                yield {"type": "stats", "id": id, "data": _data(record, locations)}
    finally:
        posix.close(process)
        if watch:
            watch.close()


class _Eventfd:
    """v1: an eventfd registered with memory.oom_control (cgroup-v1/memory, "OOM Control")."""

    events = select.POLLIN

    def __init__(self, path: str) -> None:
        self.descriptor = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        self.directory = path
        try:
            control = posix.open(f"{path}/memory.oom_control", posix.O_RDONLY | posix.O_CLOEXEC)
            try:
                files.write(f"{path}/cgroup.event_control", b"%d %d" % (self.descriptor, control))
            finally:
                posix.close(control)
        except OSError:
            posix.close(self.descriptor)
            raise

    def happened(self) -> bool:
        """Whether memory ran out. The removal of the cgroup also signals the eventfd."""
        posix.eventfd_read(self.descriptor)
        return posix.access(f"{self.directory}/memory.oom_control", posix.F_OK)

    def close(self) -> None:
        posix.close(self.descriptor)


class _Events:
    """v2: poll(2) reports changes of memory.events, and oom_kill is the counter (cgroup-v2, "memory.events")."""

    events = select.POLLPRI

    def __init__(self, path: str) -> None:
        self.descriptor = posix.open(f"{path}/memory.events", posix.O_RDONLY | posix.O_CLOEXEC)
        self.path = f"{path}/memory.events"
        self.count = 0
        self.happened()

    def happened(self) -> bool:
        """Whether the OOM killer struck since the last call."""
        posix.pread(self.descriptor, 4096, 0)  # poll reports the next change only after a read
        before, self.count = self.count, stats.pairs(self.path).get("oom_kill", 0)
        return self.count > before

    def close(self) -> None:
        posix.close(self.descriptor)


def _watch(locations: "list[Location]") -> "_Eventfd | _Events | None":
    for location in locations:
        path, hierarchy = location["path"], location["hierarchy"]
        if "memory" in hierarchy["controllers"]:
            try:
                return _Eventfd(path) if hierarchy["version"] == 1 else _Events(path)
            except OSError as error:
                raise system_failure(f"watch the memory of cgroup {path}", error) from None
    return None
