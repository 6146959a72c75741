"""The processes in a container's cgroups and in those that it has made below: found, signalled, ended. Cold, as `walk` is.

A pid alone names no process for long: each signal goes by a descriptor, after a second look has shown that its process is still in the cgroup.
"""

import errno
import posix
from _signal import SIGKILL, pidfd_send_signal

from runtime.cgroups import tree
from runtime.errors import OcirunError, system_failure
from runtime.host.walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.cgroups.tree import Intent

BATCH = 256  # processes that are signalled at a time: a descriptor each


def processes(intent: "Intent") -> list[int]:
    """The pids (as the caller's pid namespace has them) in the container's cgroups and below, each once, sorted."""
    found: set[int] = set()
    for path, made, _ in intent:
        for directory in _directories(path, made):
            found.update(_listed(directory))
    return sorted(found)


def _directories(path: str | int, made: str | int) -> "Iterator[int]":
    """The container's cgroup and those below it; of one that had some before, itself alone: who is there is nobody's to kill."""
    if made == tree.NOT_OURS:
        return
    for directory in walk(str(path)):
        yield directory
        if made == tree.SHARED:
            return


def below(path: str) -> list[int]:
    """Those of one cgroup and below, as often as they are listed."""
    found: list[int] = []
    for directory in walk(path):
        found += _listed(directory)
    return found


def _listed(directory: int) -> list[int]:
    """A process of a foreign pid namespace reads 0, and is left out."""
    words = tree.read("cgroup.procs", directory).split()
    if not words and (threads := tree.read("cgroup.threads", directory).split()):
        from runtime.cgroups import threaded

        return threaded.processes(threads)  # a threaded cgroup says nothing else
    return [int(word) for word in words if word != b"0"]


def signal(intent: "Intent", number: int, done: set[int]) -> OcirunError | None:
    """Send a signal to each process in the cgroups that is not among ``done``, and add it there. Returns the first failure, after all were tried."""
    failure = None
    for path, made, _ in intent:
        for directory in _directories(path, made):
            pids = [pid for pid in _listed(directory) if pid not in done]
            while pids:
                taken, wrong = _signal_some(directory, pids[:BATCH], number)
                done.update(pids[:taken])
                failure = failure or wrong
                del pids[:taken]
    return failure


def _signal_some(directory: int, pids: list[int], number: int) -> tuple[int, OcirunError | None]:
    """How many of ``pids``, from the first on, were dealt with (as many as descriptors can be had), and the first failure."""
    opened: list[tuple[int, int]] = []
    taken, failure = 0, None
    try:
        for pid in pids:
            try:
                opened.append((pid, posix.pidfd_open(pid)))
            except OSError as error:
                if error.errno == errno.EMFILE and opened:
                    break
                if error.errno not in (errno.ESRCH, errno.EINVAL):  # ended, or by now the number of a thread
                    failure = failure or system_failure(f"send signal {number} to process {pid}", error)
            taken += 1
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
        for _, process in opened:
            posix.close(process)
    return taken, failure


def kill_all(intent: "Intent") -> None:
    """SIGKILL to every process in the cgroups, and to what those start meanwhile. Returns without waiting for the ends.

    v2: cgroup.kill (5.14). What is left, or all of it on v1, is killed one by one until a look finds nobody new. OcirunError for the
    first that cannot be killed, after all the others were.
    """
    for path, made, version in intent:
        if version == 2 and made not in (tree.NOT_OURS, tree.SHARED):
            try:
                tree.write(f"{path}/cgroup.kill", b"1")
            except OSError:
                pass  # Gone, a threaded cgroup or an older kernel: the loop below is the answer.
    killed: set[int] = set()
    before, failure = -1, None
    while before < len(killed):
        before = len(killed)
        failure = signal(intent, SIGKILL, killed) or failure
    for path, made, version in intent if killed else ():
        if version == 1 and "freezer" in str(path):
            _thaw_below(path, made)
    if failure:
        raise failure


def _thaw_below(path: str | int, made: str | int) -> None:
    """v1 ends a suspended process only when it goes on; also one that the container itself has suspended."""
    for directory in _directories(path, made):
        if tree.read("freezer.state", directory).strip() in (b"FROZEN", b"FREEZING"):
            try:
                tree.write("freezer.state", b"THAWED", directory)
            except OSError:
                pass  # gone, or suspended by a parent, whose turn was before


def remove_below(path: str) -> None:
    """rmdir of a cgroup with all below it, children first. OSError as it is."""
    for _ in walk(path, leave=_remove):
        pass
    posix.rmdir(path)


def _remove(parent: int, name: str) -> None:
    posix.rmdir(name, dir_fd=parent)
