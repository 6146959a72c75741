"""From created to running: tell init to go, and hear whether the user's program was reached.

Init keeps its end of the start channel open, close-on-exec: the end of file means that execve succeeded, a report
that it, or a startContainer hook before it, failed. Nobody else is there to tell. Hot: imports only builtins.
"""

import posix
from _socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_TRUNC,
    SCM_RIGHTS,
    SOCK_CLOEXEC,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
)
from _struct import Struct
from sys import byteorder

from runtime.errors import Interrupted, InvalidConfig, OcirunError, WrongState, system_failure, system_words
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.plan.ops import Operation
    from runtime.shapes import Record

# struct report, struct reply and their kinds, of csrc/plan.h; tests/runtime/lifecycle/test_start.py compares them.
REPORT, REPLY = Struct("=IIiIqq"), Struct("=II")
REPORT_FAILED, REPORT_TRACE, REPORT_WARNING, REPORT_LISTENER, REPLY_CONTINUE = 2, 5, 6, 7, 1


def start(root: str, id: str, warn: "Callable[[str], None]", interruptible: bool = False) -> None:
    """Let the program of a created container run, then run the poststart hooks.

    WrongState unless created (runtime.md "Start"). When a startContainer or poststart hook fails the container is
    destroyed and its poststop hooks run (runtime.md "Lifecycle", since 1.3 for poststart); when the program cannot be
    executed it is stopped. A container that was created with NOTIFY_SOCKET is waited for until it says that it is ready.
    ``interruptible``: what asks the process to end is an error while hooks run.
    """
    notification = None
    handle = store.open_locked(root, id)
    try:
        record = store.read_state(handle, id)
        if record.get("notify"):
            from runtime.lifecycle.notify import bound

            notification = bound(handle, record)
        if interruptible and _has_hooks(record):
            from runtime.process.interruption import catch

            catch()
        start_locked(root, id, handle, record, warn)
    except BaseException:
        if notification:
            notification.close()
        raise
    finally:
        posix.close(handle)
    if notification:  # without the lock, since it may take long
        if _has_hooks(record):
            from runtime.process.interruption import release

            release()
        notification.wait(warn)


def _has_hooks(record: "Record") -> bool:
    """Whether any runs at start, startContainer's among them, or when that fails."""
    return bool(record["hooks"]) or any((one[2] or "").startswith("/hooks/") for one in record["tail"][1])


def _attend(record: "Record", call: "Callable[..., object]", *arguments: "Any") -> None:
    """``call(*arguments)``, which may hang: what asks us to end is an error there, where there are hooks."""
    if _has_hooks(record):
        from runtime.process.interruption import attend

        attend(call, *arguments)
    else:
        call(*arguments)


def start_locked(root: str, id: str, handle: int, record: "Record", warn: "Callable[[str], None]") -> None:
    """As start(), for a caller that holds the lock and has the record."""
    status = state.status_of(handle, record, locked=True)
    if not state.can_start(status):
        raise _wrong_state(status)
    if len(record["tail"][1]) < 2:  # the wait alone
        failure = InvalidConfig("the container has nothing to start, since its config has no process", "/process")
        _locate(failure, handle)
        raise failure
    channel = _connect(handle, record)
    try:
        store.unlink_start_socket(handle)
        _attend(record, _listen, channel, root, id, handle, record, warn)
    except Interrupted:
        _destroy(root, id, handle, record, warn)
        raise
    finally:
        channel.close()
    poststart = record["hooks"].get("poststart")
    if not poststart:
        return
    from runtime.lifecycle.hooks import run

    try:
        run(poststart, state.document(record, state.RUNNING), "/hooks/poststart")
    except OcirunError as error:
        _locate(error, handle)
        _destroy(root, id, handle, record, warn)
        raise


def _wrong_state(status: str) -> WrongState:
    if status == state.STOPPED:
        return WrongState("cannot start a container that has stopped")
    if status == state.RUNNING:
        return WrongState("cannot start an already running container")
    if status == state.PAUSED:
        return WrongState("cannot start a paused container: resume it first")
    return WrongState(f"cannot start a container in the {status} state")


def _connect(handle: int, record: "Record") -> socket:
    """The start channel. A path over /proc, since that of the state directory may be longer than a socket address."""
    channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
    try:
        channel.connect(f"/proc/self/fd/{handle}/{store.START_SOCKET}")
    except ConnectionRefusedError:
        # Nobody listens: init died just now, or a start was killed after it had connected.
        channel.close()
        if not state.is_alive(record):
            raise _wrong_state(state.STOPPED) from None
        store.unlink_start_socket(handle)
        raise _wrong_state(state.RUNNING) from None
    except OSError as error:
        channel.close()
        raise system_failure("connect to the container's start.sock", error) from None
    return channel


def _receive(channel: socket) -> "tuple[tuple[int, ...], int] | None":
    """The fields of the next report and the descriptor that came with it, or -1; None at the end.

    OcirunError for a message that is no report; no descriptor of that one stays open.
    """
    try:
        data, ancillary, flags, _ = channel.recvmsg(REPORT.size, CMSG_SPACE(4), MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # init was killed before it had accepted
        raise OcirunError("the container was killed before its program ran") from None
    except OSError as error:
        raise system_failure("read from the container's start.sock", error) from None
    given = [
        int.from_bytes(packed[at : at + 4], byteorder)
        for level, kind, packed in ancillary
        if level == SOL_SOCKET and kind == SCM_RIGHTS
        for at in range(0, len(packed) - 3, 4)
    ]
    if not data and not given:
        return None
    whole = len(data) == REPORT.size and not flags & (MSG_TRUNC | MSG_CTRUNC)
    if whole and len(given) == (REPORT.unpack(data)[0] == REPORT_LISTENER):
        return REPORT.unpack(data), given[0] if given else -1
    for descriptor in given:
        posix.close(descriptor)
    words = f"{len(data)} bytes with {len(given)} descriptors are no report"
    raise OcirunError(f"read from the container's start.sock: {words}")


def _listen(channel: socket, root: str, id: str, handle: int, record: "Record", warn: "Callable[[str], None]") -> None:
    """Read reports until the end of file. Raises what a REPORT_FAILED says."""
    while (received := _receive(channel)) is not None:
        (kind, index, number, step, detail, _), listener = received
        if kind == REPORT_TRACE:
            continue
        first, operations = record["tail"]
        operation = operations[index - first] if first <= index < first + len(operations) else None
        if kind == REPORT_LISTENER:
            _give_listener(channel, handle, record, operation, listener)
            continue
        if kind not in (REPORT_WARNING, REPORT_FAILED):
            raise OcirunError(f"read from the container's start.sock: report {kind}, which cannot be")
        failure = _worded(operation, number, step, detail)
        _locate(failure, handle)
        if kind == REPORT_WARNING:
            warn(str(failure))
        else:
            _end(root, id, handle, record, warn, operation)
            raise failure


def _give_listener(
    channel: socket, handle: int, record: "Record", operation: "Operation | None", listener: int
) -> None:
    """Send the filter's listener where the config says, and let init go on. Ends init when that fails."""
    from runtime.lifecycle.kill import end_init
    from runtime.lifecycle.seccomp_listener import send
    from runtime.plan.ops import OP_SECCOMP_NOTIFY

    try:
        if operation is None or operation[0] != OP_SECCOMP_NOTIFY:
            posix.close(listener)
            raise OcirunError("read from the container's start.sock: a listener that no operation made")
        send(operation, record, state.CREATED, record["pid"], listener)
        channel.send(REPLY.pack(REPLY_CONTINUE, 0))
    except OSError as error:
        end_init(record)
        raise system_failure("answer on the container's start.sock", error) from None
    except BaseException as error:
        end_init(record)
        if isinstance(error, OcirunError):
            _locate(error, handle)
        raise


def _worded(operation: "Operation | None", error: int, step: int, detail: int) -> OcirunError:
    if operation is None:
        return OcirunError(f"init: {system_words(error)}", None, None, error)
    from runtime.plan.failures import failure

    return failure(operation, error, step, detail)


def _locate(error: OcirunError, handle: int) -> None:
    """Its line, from the config that the container was made of; before the container is destroyed, and that with it."""
    from runtime.lifecycle.config import locate

    try:
        locate(error, store.read_file(handle, store.CONFIG))
    except (OSError, OcirunError):
        return  # the copy is gone: the pointer must do


def _end(
    root: str, id: str, handle: int, record: "Record", warn: "Callable[[str], None]", operation: "Operation | None"
) -> None:
    """Init has failed: wait for its end. When a startContainer hook was the reason, undo the container too."""
    from runtime.lifecycle.kill import end_init
    from runtime.plan.ops import OP_RUN_HOOK

    end_init(record)
    if operation is not None and operation[0] == OP_RUN_HOOK:
        _destroy(root, id, handle, record, warn)


def _destroy(root: str, id: str, handle: int, record: "Record", warn: "Callable[[str], None]") -> None:
    """Destroy after a failed hook; what goes wrong with that is a warning, so that the hook's own failure is
    reported.
    """
    from runtime.lifecycle.delete import destroy

    try:
        destroy(root, id, handle, record, warn)
    except OcirunError as error:
        warn(str(error))
