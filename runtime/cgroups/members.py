"""The processes in a container's cgroups, and in the cgroups that it has made below: listed, signalled, killed. Cold.

A pid alone does not identify a process for long. So each signal goes to a pidfd, after a second look has shown that the
process is still in the cgroup.
"""

import errno
import posix
from _signal import SIGKILL, pidfd_send_signal

from runtime import files
from runtime.cgroups.intent import SHARED, entered
from runtime.errors import OcirunError, system_failure
from runtime.host.walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.cgroups.intent import Intent
    from runtime.shapes import CgroupRow

BATCH = 256  # processes that are signalled at a time: a descriptor each


def processes(intent: "Intent") -> list[int]:
    """The pids (as the caller's pid namespace has them) in the container's cgroups and below, each once, sorted."""
    pids: set[int] = set()
    for row in entered(intent):
        for directory in _directories(row):
            pids.update(_listed(directory))
    return sorted(pids)


def _directories(row: "CgroupRow") -> "Iterator[int]":
    """The container's cgroup and those below it. Of one that had some before, itself alone: who is there is nobody's to kill."""
    for directory in walk(row["path"]):
        yield directory
        if row["made"] == SHARED:
            return


def processes_below(path: str) -> list[int]:
    """The pids in one cgroup and below it, as often as they are listed."""
    pids: list[int] = []
    for directory in walk(path):
        pids += _listed(directory)
    return pids


def _listed(directory: int) -> list[int]:
    """The pids in one cgroup. A process of a foreign pid namespace reads 0, and is left out."""
    listed = files.read_or_empty("cgroup.procs", directory).split()
    if not listed and (threads := files.read_or_empty("cgroup.threads", directory).split()):
        from runtime.cgroups import threaded

        return threaded.processes(threads)  # a threaded cgroup lists threads only
    return [int(pid) for pid in listed if pid != b"0"]


def signal(intent: "Intent", number: int, done: set[int], among: "set[int] | None" = None) -> OcirunError | None:
    """Send a signal to each process in the cgroups, or to those ``among`` them, that is not in ``done``, and add it there.

    Tries all of them; returns the first failure.
    """
    failure = None
    for row in entered(intent):
        for directory in _directories(row):
            pids = [pid for pid in _listed(directory) if pid not in done and (among is None or pid in among)]
            while pids:
                taken, problem = _signal_some(directory, pids[:BATCH], number)
                done.update(pids[:taken])
                failure = failure or problem
                del pids[:taken]
    return failure


def _signal_some(directory: int, pids: list[int], number: int) -> tuple[int, OcirunError | None]:
    """How many of ``pids``, counted from the first, were dealt with, and the first failure.

    The descriptors that can be had limit the number.
    """
    opened: list[tuple[int, int]] = []
    taken, failure = 0, None
    try:
        spare = posix.dup(directory)  # to read the list again with, when pidfds have taken all others
    except OSError as error:
        return len(pids), system_failure("look at the container's processes again", error)
    try:
        for pid in pids:
            try:
                opened.append((pid, posix.pidfd_open(pid)))
            except OSError as error:
                if error.errno == errno.EMFILE and opened:
                    break
                if error.errno not in (errno.ESRCH, errno.EINVAL):  # ended, or the number is a thread's by now
                    failure = failure or system_failure(f"send signal {number} to process {pid}", error)
            taken += 1
        posix.close(spare)
        spare = -1
        still = set(_listed(directory))
        for pid, process in opened:
            try:
                if pid in still:
                    pidfd_send_signal(process, number)
            except ProcessLookupError:
                continue
            except OSError as error:
                failure = failure or system_failure(f"send signal {number} to process {pid}", error)
    finally:
        for descriptor in (spare, *(process for _, process in opened)):
            if descriptor >= 0:
                posix.close(descriptor)
    return taken, failure


def kill_all(intent: "Intent") -> None:
    """SIGKILL every process in the cgroups, and what those start meanwhile. Does not wait for them to end.

    v2: cgroup.kill (Linux 5.14). What is left, or everything on v1, is killed one by one until a look shows nothing new.
    Raises OcirunError for the first that cannot be killed, after all the others were.
    """
    for row in entered(intent):
        if row["version"] == 2 and row["made"] != SHARED:
            try:
                files.write(f"{row['path']}/cgroup.kill", b"1")
            except OSError:
                pass  # Gone, a threaded cgroup or an older kernel: the loop below handles it.
    killed: set[int] = set()
    before, failure = -1, None
    while before < len(killed):
        before = len(killed)
        failure = signal(intent, SIGKILL, killed) or failure
    for row in entered(intent) if killed else ():
        if row["version"] == 1 and "freezer" in row["path"]:
            _thaw_below(row)
    if failure:
        raise failure


def _thaw_below(row: "CgroupRow") -> None:
    """On v1 a suspended process ends only when it goes on; the container may have suspended some itself."""
    for directory in _directories(row):
        if files.read_or_empty("freezer.state", directory).strip() in (b"FROZEN", b"FREEZING"):
            try:
                files.write("freezer.state", b"THAWED", directory)
            except OSError:
                pass  # gone, or suspended by a parent, which was thawed before


def remove_below(path: str) -> None:
    """rmdir a cgroup and all below it, children first. Raises OSError."""
    for _ in walk(path, leave=_remove):
        pass
    posix.rmdir(path)


def _remove(parent: int, name: str) -> None:
    posix.rmdir(name, dir_fd=parent)
