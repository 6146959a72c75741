"""The state side of `kill`: signal a container's init, or all of its processes. Hot: imports only builtins."""

import posix
import select

from runtime import files
from runtime.cgroups import freezer
from runtime.cgroups.intent import entered
from runtime.errors import OcirunError, WrongState, system_failure
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal  # has the same names, but imports enum at run time

    from runtime.shapes import Record
else:
    import _signal

WAIT = 10.0  # seconds for a process to die after SIGKILL
_LAST = 64  # signal(7): the last real-time signal
_FIRST_REALTIME = 34  # SIGRTMIN of programs: the C library keeps 32 and 33 for itself


def parse_signal(text: str) -> int:
    """The number of a signal, given as a number, a name with or without SIG in any case, RTMIN+N or RTMAX-N.

    OcirunError for anything else.
    """
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= _LAST:
        return int(text)
    name = text.upper().removeprefix("SIG")
    number = getattr(_signal, f"SIG{name}", None) if name.isalnum() else _realtime(name)
    if not isinstance(number, int):
        raise OcirunError(f'unknown signal "{text}"')
    return number


def _realtime(name: str) -> int | None:
    base, sign = (_FIRST_REALTIME, 1) if name.startswith("RTMIN+") else (_LAST, -1)
    offset = name[6:]
    if name[:6] not in ("RTMIN+", "RTMAX-") or not offset.isdigit() or len(offset) > 2:
        return None
    number = base + sign * int(offset)
    return number if _FIRST_REALTIME <= number <= _LAST else None


def kill(root: str, id: str, signal: str = "TERM", all: bool = False) -> None:
    """Send ``signal`` to the container's init; with ``all`` to every process in its cgroups instead.

    WrongState unless created, running or paused (runtime.md "Kill"). With ``all`` a stopped container is no error: if it
    shares a pid namespace, its cgroups may hold processes that outlived init. (Without cgroups it is an error: nothing
    identifies them.) SIGKILL always goes to all processes of such a container, as with runc: nothing else would end
    them. Takes no lock, so it works while a `start` hangs. A paused container gets the signal when it is resumed, but
    SIGKILL ends it at once.
    """
    number = parse_signal(signal)
    handle = store.open_unlocked(root, id)
    try:
        record, status = state.read(handle, id)
        if all and status == state.STOPPED and not entered(record["cgroups"]):
            _refuse_unidentified(handle)
    finally:
        posix.close(handle)
    if all and status != state.CREATING:
        _signal_all(record, number)
        return
    everyone = number == _signal.SIGKILL and state.can_kill(status) and not _first_of_its_namespace(record)
    if not state.can_kill(status) or not _signal_init(record, number):
        raise WrongState(f'container not running: "{id}" is {status if not state.can_kill(status) else state.STOPPED}')
    if everyone and entered(record["cgroups"]):
        from runtime.cgroups import members

        members.kill_all(record["cgroups"])
    elif number == _signal.SIGKILL and status == state.PAUSED:
        freezer.let_end(record["cgroups"])


def _refuse_unidentified(handle: int) -> None:
    """OcirunError if processes may have outlived init that neither a cgroup nor a pid namespace identifies."""
    from runtime.lifecycle.processes import outlive

    if outlive(handle):
        reason = "it has no cgroup or pid namespace of its own that would identify them"
        raise OcirunError(f"the container has stopped; processes that it left behind cannot be signalled: {reason}")


def _first_of_its_namespace(record: "Record") -> bool:
    """Whether init is pid 1 in its namespace, so that the container ends with it. NSpid ends with that number."""
    for line in files.read_page(f"/proc/{record['pid']}/status").split(b"\n"):
        if line.startswith(b"NSpid:"):
            return line.split()[-1] == b"1"
    return True  # init has ended


def _signal_init(record: "Record", number: int) -> bool:
    """False when init has ended."""
    process = state.open_process(record)
    if process is None:
        return False
    try:
        _signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise system_failure(f"send signal {number} to process {record['pid']}", error) from None
    finally:
        posix.close(process)
    return True


def _signal_all(record: "Record", number: int) -> None:
    from runtime.cgroups import members

    if not entered(record["cgroups"]):
        _signal_without_cgroups(record, number)
        return
    if number == _signal.SIGKILL:
        members.kill_all(record["cgroups"])
        _signal_init(record, number)  # init may be in none of them (--cgroup-manager disabled)
        return
    done: set[int] = set()
    present = set(members.processes(record["cgroups"]))  # not what a handler starts meanwhile: new workers, say
    failure = members.signal(record["cgroups"], number, done, present)
    if record["pid"] not in done:
        _signal_init(record, number)
    if failure:
        raise failure


def _signal_without_cgroups(record: "Record", number: int) -> None:
    """Signal all processes of the pid namespace. On SIGKILL they end with its first process.

    OcirunError if the namespace is shared: then only the first process was signalled.
    """
    from runtime.lifecycle.processes import in_namespace, open_in_namespace

    try:
        others = [pid for pid in in_namespace(record) if pid != record["pid"]]
    except OcirunError as error:
        if _signal_init(record, number):
            raise OcirunError(f"only the first process was signalled: {error.message}") from None
        return
    for pid in others if number != _signal.SIGKILL else ():
        process = open_in_namespace(record, pid)
        try:
            if process >= 0:
                _signal.pidfd_send_signal(process, number)
        except ProcessLookupError:
            pass  # ended meanwhile
        finally:
            if process >= 0:
                posix.close(process)
    _signal_init(record, number)


def end_init(record: "Record", wait: float = WAIT) -> None:
    """SIGKILL init and wait up to ``wait`` seconds for it to die; with it die all processes of its own pid namespace."""
    process = state.open_process(record)
    if process is None:
        return
    try:
        _signal.pidfd_send_signal(process, _signal.SIGKILL)
        if freezer.frozen(record["cgroups"]):
            freezer.let_end(record["cgroups"])
        waiting = select.poll()
        waiting.register(process, select.POLLIN)
        if not waiting.poll(wait * 1000):
            reason = (
                "it may be waiting for a disk or frozen by a parent cgroup, or a process of its pid namespace is a zombie"
                " that its parent outside the container has not reaped"
            )
            raise OcirunError(f"process {record['pid']} has not ended {WAIT:g} seconds after SIGKILL; {reason}")
    except ProcessLookupError:
        pass
    except OSError as error:
        raise system_failure(f"kill process {record['pid']}", error) from None
    finally:
        posix.close(process)
