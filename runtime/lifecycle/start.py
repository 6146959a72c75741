"""From created to running: release init, and learn whether the user's program runs.

Init keeps its end of the start channel open, close-on-exec: end of file means that execve succeeded, a report that it
or a startContainer hook failed. If a seccomp filter may forbid the report, the end of file only means that it is time
to look at what init left behind (`runtime.process.last_word`). Hot: imports only builtins.
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

from runtime.errors import UNEXECUTED, Interrupted, InvalidConfig, OcirunError, WrongState, system_failure, system_words
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.plan.ops import Operation
    from runtime.process.hook_output import Output
    from runtime.shapes import Record, TailRow

# struct report, struct reply and their kinds, of csrc/plan.h; tests/runtime/lifecycle/test_start.py compares them.
REPORT, REPLY = Struct("=IIiIqq"), Struct("=II")
REPORT_FAILED, REPORT_TRACE, REPORT_WARNING, REPORT_LISTENER, REPORT_OUTPUT, REPORT_WORD = 2, 5, 6, 7, 8, 9
REPLY_CONTINUE = 1
RUN_HOOK = "run_hook"
WITH_DESCRIPTOR = (REPORT_LISTENER, REPORT_OUTPUT, REPORT_WORD)


def start(root: str, id: str, warn: "Callable[[str], None]", interruptible: bool = False) -> None:
    """Let the program of a created container run, then run the poststart hooks.

    WrongState unless created (runtime.md "Start"). When a startContainer or poststart hook fails the container is
    destroyed and its poststop hooks run (runtime.md "Lifecycle", since 1.3 for poststart); when the program cannot be
    executed it is stopped. If the container was created with NOTIFY_SOCKET, `start` waits until it says that it is ready.
    ``interruptible``: while hooks run, a signal that ends a process is an error, as a failed hook is.
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

            catch("; the container is removed")
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
    """Whether any hook may run: after the program has started, if that fails, or before it (startContainer)."""
    return bool(record["hooks"]) or any(row["name"] == RUN_HOOK for row in _rows(record))


def _rows(record: "Record") -> "list[TailRow]":
    """The plan's operations from the wait for `start` on; [] for a container that was never created."""
    tail = record.get("tail")
    return tail["operations"] if tail else []


def start_locked(root: str, id: str, handle: int, record: "Record", warn: "Callable[[str], None]") -> None:
    """As start(), for a caller that holds the lock and has the record."""
    status = state.status_of(handle, record, locked=True)
    if not state.can_start(status):
        raise _wrong_state(status)
    if len(_rows(record)) < 2:  # only the wait for `start`
        failure = InvalidConfig("the container has nothing to start, since its config has no process", "/process")
        _locate(failure, handle)
        raise failure
    if any(row["name"] == RUN_HOOK for row in _rows(record)):
        from runtime.process.hook_output import check

        check(record)
    channel = _connect(handle, record)
    try:
        store.unlink_start_socket(handle)
        if _has_hooks(record):
            from runtime.process import interruption

            interruption.attend(lambda: _listen(channel, root, id, handle, record, warn))
        else:
            _listen(channel, root, id, handle, record, warn)
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
    """The start channel. The path goes through /proc, since the state directory's may be too long for a socket address."""
    channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
    try:
        channel.connect(f"/proc/self/fd/{handle}/{store.START_SOCKET}")
    except ConnectionRefusedError:
        # Nobody listens: init has just died, or an earlier `start` was killed after connecting.
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

    OcirunError for anything but a report; its descriptors are closed.
    """
    try:
        data, ancillary, flags, _ = channel.recvmsg(REPORT.size, CMSG_SPACE(4), MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # init was killed before it accepted
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
    if whole and len(given) == (REPORT.unpack(data)[0] in WITH_DESCRIPTOR):
        return REPORT.unpack(data), given[0] if given else -1
    for descriptor in given:
        posix.close(descriptor)
    message = f"not a report: {len(data)} bytes with {len(given)} descriptors"
    raise OcirunError(f"read from the container's start.sock: {message}")


def _listen(channel: socket, root: str, id: str, handle: int, record: "Record", warn: "Callable[[str], None]") -> None:
    """Read reports until end of file. Raises what a REPORT_FAILED says, or what init left where it could not report."""
    output: Output | None = None
    word = -1
    try:
        while (received := _next(channel, handle, record, output)) is not None:
            (kind, index, number, step, detail, _), given = received
            row = _row(record, index)
            if kind == REPORT_WORD and word < 0:
                word = given
            elif kind == REPORT_OUTPUT:
                output = _hear(output, handle, record, row, (index, detail, given))
            elif kind == REPORT_LISTENER:
                _give_listener(channel, handle, record, row, given)
            elif kind in (REPORT_WARNING, REPORT_FAILED):
                failure = _worded(row, number, step, detail, output.said(index) if output else b"")
                _locate(failure, handle)
                if kind == REPORT_FAILED:
                    _end(root, id, handle, record, warn, row)
                    _explain(failure, handle, record)
                    raise failure
                warn(str(failure))
            elif kind != REPORT_TRACE:
                if given >= 0:
                    posix.close(given)
                raise OcirunError(f"read from the container's start.sock: unexpected report {kind}")
        if word >= 0:
            from runtime.process import last_word

            unspoken = last_word.failure(word, lambda: _recalled(_rows(record)[-1]))
            if unspoken:
                _end(root, id, handle, record, warn, None)
                _explain(unspoken, handle, record)
                _locate(unspoken, handle)
                raise unspoken
    finally:
        if word >= 0:
            posix.close(word)


def _row(record: "Record", index: int) -> "TailRow | None":
    """The operation of the plan with this index."""
    rows = _rows(record)
    at = index - record["tail"]["first"] if rows else -1
    return rows[at] if 0 <= at < len(rows) else None


def _next(
    channel: socket, handle: int, record: "Record", output: "Output | None"
) -> "tuple[tuple[int, ...], int] | None":
    """The next report. Relays the output of hooks until it comes."""
    if output is None:
        return _receive(channel)
    try:
        output.relay(channel.fileno())
        received = _receive(channel)
        if received is None or received[0][0] != REPORT_OUTPUT:
            output.finish()
    except BaseException as error:
        _give_up(output, handle, record, error)
        raise
    return received


def _hear(
    output: "Output | None", handle: int, record: "Record", row: "TailRow | None", given: "tuple[int, int, int]"
) -> "Output":
    """Listen to a hook that is about to start. ``given``: its index, the stream, and the pipe for that stream."""
    from runtime.process.hook_output import Output

    output = output or Output(record)
    index, stream, pipe = given
    try:
        if row is None or row["name"] != RUN_HOOK or stream not in (1, 2) or output.has(index, stream):
            posix.close(pipe)
            raise OcirunError("read from the container's start.sock: output of an unknown hook")
        output.add(index, stream, pipe)
    except BaseException as error:
        _give_up(output, handle, record, error)
        raise
    return output


def _give_up(output: "Output", handle: int, record: "Record", error: BaseException) -> None:
    """End init, since the output of its hooks would be lost."""
    from runtime.lifecycle.kill import end_init

    output.close()
    end_init(record)
    if isinstance(error, OcirunError):
        _locate(error, handle)


def _give_listener(channel: socket, handle: int, record: "Record", row: "TailRow | None", listener: int) -> None:
    """Send the filter's listener to its agent, and let init go on. Ends init when that fails."""
    from runtime.lifecycle.kill import end_init
    from runtime.lifecycle.seccomp_listener import send

    try:
        operation = _recalled(row) if row is not None and row["name"] == "seccomp_notify" else None
        if operation is None:
            posix.close(listener)
            raise OcirunError("read from the container's start.sock: an unexpected seccomp listener")
        send(operation, record, state.CREATING, record["pid"], listener)
        channel.send(REPLY.pack(REPLY_CONTINUE, 0))
    except OSError as error:
        end_init(record)
        raise system_failure("answer on the container's start.sock", error) from None
    except BaseException as error:
        end_init(record)
        if isinstance(error, OcirunError):
            _locate(error, handle)
        raise


def _recalled(row: "TailRow") -> "Operation | None":
    from runtime.plan.recall import recall

    return recall(row)


def _worded(row: "TailRow | None", error: int, step: int, detail: int, output: bytes) -> OcirunError:
    if row is None:
        return OcirunError(f"init: {system_words(error)}", None, None, error)
    operation = _recalled(row)
    if operation is None:  # of another release
        return OcirunError(f"{row['name']}: {system_words(error)}", row.get("origin"), None, error)
    from runtime.plan.failures import failure

    return failure(operation, error, step, detail, output)


def _locate(error: OcirunError, handle: int) -> None:
    """Add the line, from the container's copy of the config. To be called before the copy is removed with the container."""
    from runtime.lifecycle.config import locate

    try:
        locate(error, store.read_file(handle, store.CONFIG))
    except (OSError, OcirunError):
        return  # the copy is gone: the pointer must do


def _explain(error: OcirunError, handle: int, record: "Record") -> None:
    """Add to the kernel's word on the program what is known: a fault of its file, or the filter's rule."""
    if error.pointer not in UNEXECUTED:
        return
    from oci_spec import load_accepted
    from runtime.lifecycle import reasons

    try:
        reasons.explain(error, load_accepted(store.read_file(handle, store.CONFIG)), record["bundle"])
    except Exception:  # the copy is gone, or the file is stranger than we know: the kernel's word must do
        return


def _end(
    root: str, id: str, handle: int, record: "Record", warn: "Callable[[str], None]", row: "TailRow | None"
) -> None:
    """Init has failed: wait for its end. After a failed startContainer hook, destroy the container too."""
    from runtime.lifecycle.kill import end_init

    end_init(record)
    if row is not None and row["name"] == RUN_HOOK:
        _destroy(root, id, handle, record, warn)


def _destroy(root: str, id: str, handle: int, record: "Record", warn: "Callable[[str], None]") -> None:
    """Destroy the container after a failed hook. Failures here are warnings: the hook's own is the one to report."""
    from runtime.lifecycle.delete import destroy
    from runtime.process import interruption

    interruption.hold()  # an interruption is not one of the failures that are warnings
    try:
        destroy(root, id, handle, record, warn)
    except OcirunError as error:
        warn(str(error))
