"""Hooks that run on the host: prestart, createRuntime, poststart, poststop (config.md "POSIX-platform Hooks").

Each hook gets the state document on standard input and exactly its own environment, or the caller's where it has none,
as with runc and crun. It starts with an empty signal mask, default dispositions (Python ignores SIGPIPE and SIGXFSZ, and
exec would keep that) and none of our descriptors. Its working directory is the caller's, as with runc; the spec leaves it
open. Its output goes to the files of `runtime.process.hook_output`, or is quoted in the error. Init itself runs
createContainer and startContainer hooks.
"""

import posix
import select
import time

from runtime.errors import Interrupted, OcirunError, system_failure
from runtime.lifecycle import state, store
from runtime.lifecycle.document import dumps
from runtime.process import interruption
from runtime.process.hook_output import ANNOTATIONS, KEPT, PIPE, open_file
from runtime.shim import spawn_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal  # the same names; at run time it would import enum
    from collections.abc import Callable, Iterable, Sequence

    from oci_spec.types import Hook, HookKind
    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake
    from runtime.shapes import HostContext, StateDocument
else:
    import _signal

LONGEST = 1 << 30  # milliseconds: poll(2) takes an int
NO_FILES = (-1, -1)  # for standard output and error


def run_before_start(context: "HostContext", handshake: "Handshake", operation: "Operation") -> None:
    """Run prestart or createRuntime hooks while init waits. Its pid is in the state that they read, on standard input and on disk.

    Raises OcirunError.
    """
    record = context["record"]
    state.note_pid(record, handshake.pid)
    store.write_state(context["handle"], record)
    _, _, _, _, (name,) = operation
    kind: HookKind = name  # type: ignore[assignment]  # a plan has no other names
    run(context["hooks"][kind], state.document(record, state.CREATING), f"/hooks/{kind}")


def send_state(context: "HostContext", handshake: "Handshake", _: "Operation") -> None:
    """Give init the state documents for the hooks that it runs, "creating" and "created". Raises OcirunError."""
    from runtime.process import host_side

    record = context["record"]
    state.note_pid(record, handshake.pid)
    creating = dumps(state.document(record, state.CREATING)).encode()
    host_side.send_state(handshake, creating, dumps(state.document(record, state.CREATED)).encode())


def run(hooks: "list[Hook]", document: "StateDocument", pointer: str) -> None:
    """Run hooks in order.

    OcirunError for the first that fails, with its pointer below ``pointer`` ("/hooks/poststart").
    """
    files = _open_files(document)
    try:
        for index, hook in enumerate(hooks):
            _run_one(hook, document, f"{pointer}/{index}", files)
    finally:
        _close(files)


def run_all(hooks: "list[Hook]", document: "StateDocument", pointer: str, warn: "Callable[[str], None]") -> None:
    """Run every hook (poststop). A failure is a warning, an interruption too, and the rest still run."""
    files: Sequence[int] = NO_FILES
    try:
        files = _open_files(document)
    except OcirunError as error:
        warn(str(error))
    for index, hook in enumerate(hooks):
        try:
            _run_one(hook, document, f"{pointer}/{index}", files)
        except OcirunError as error:
            warn(str(error))
        except OSError as error:  # no descriptor is left, say
            warn(str(system_failure(_name(f"{pointer}/{index}", hook), error)))
    _close(files)


def _open_files(document: "StateDocument") -> "Sequence[int]":
    files: list[int] = []
    try:
        for stream in ANNOTATIONS:
            files.append(open_file(document, stream))
    except OcirunError:
        _close(files)
        raise
    return files


def _close(files: "Sequence[int]") -> None:
    for descriptor in files:
        if descriptor >= 0:
            posix.close(descriptor)


def _run_one(hook: "Hook", document: "StateDocument", pointer: str, files: "Sequence[int]") -> None:
    from runtime.plan.failures import quoted

    limit = hook.get("timeout")
    theirs_in, ours_in = posix.pipe2(posix.O_CLOEXEC)
    ours_out, theirs_out = posix.pipe2(posix.O_CLOEXEC)
    ours = [ours_in, ours_out]
    # No signal may end us between the start of the hook and the code that makes sure it ends.
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        try:
            pid = _spawn(hook, theirs_in, *(theirs_out if file < 0 else file for file in files))
        except OSError as error:
            raise system_failure(_name(pointer, hook), error, pointer) from None
        finally:
            posix.close(theirs_in)
            posix.close(theirs_out)
        output, in_time = _attend(pid, ours, dumps(document).encode(), limit, mask)
        status = posix.waitpid(pid, 0)[1]
    except Interrupted as error:
        error.pointer = pointer
        raise
    finally:
        for descriptor in ours:
            posix.close(descriptor)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    if not in_time:
        raise OcirunError(
            f"{_name(pointer, hook)}: not finished after its timeout of {limit} s, killed{quoted(output)}", pointer
        )
    if status:
        raise OcirunError(f"{_name(pointer, hook)}: {_ending(status)}{quoted(output)}", pointer)


def _name(pointer: str, hook: "Hook") -> str:
    from runtime.plan.failures import hook_name

    return hook_name(pointer, hook["path"])


def _spawn(hook: "Hook", *stdio: int) -> int:
    path = hook["path"]
    return spawn_hook(path, hook.get("args") or [path], hook.get("env"), stdio)


def _attend(
    pid: int, ours: list[int], document: bytes, limit: float | None, mask: "Iterable[int]"
) -> tuple[bytes, bool]:
    """Feed the hook, keep its last output, wait until it ends. Returns the output, and False if the hook was killed for
    exceeding ``limit`` seconds.

    ``ours``: our ends of its input and output; the first is closed and removed once the hook has the whole document.
    ``mask``: the signals blocked before it started.
    """
    feeding, collecting = ours
    process = posix.pidfd_open(pid)
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    waiting.register(feeding, select.POLLOUT)
    waiting.register(collecting, select.POLLIN)
    for descriptor in ours:
        posix.set_blocking(descriptor, False)
    end = None if limit is None else time.monotonic() + limit
    rest, output, ready = memoryview(document), b"", {-1}
    try:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        interruption.allow()
        while process not in ready:  # not the end of the output: descendants may keep the pipe open
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                _signal.pidfd_send_signal(process, _signal.SIGKILL)
                return output, False
            pause = None if left is None else min(left * 1000 + 1, LONGEST)
            ready = {descriptor for descriptor, _ in waiting.poll(pause)}
            if feeding in ready:
                rest = _feed(feeding, rest)
                if not rest:
                    waiting.unregister(feeding)
                    ours.remove(feeding)
                    posix.close(feeding)
            if collecting in ready:
                output = _collect(waiting, collecting, output)
        return output, True
    except BaseException:  # interrupted: the hook must not outlive us
        _signal.pidfd_send_signal(process, _signal.SIGKILL)
        posix.waitpid(pid, 0)
        raise
    finally:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
        posix.close(process)


def _feed(descriptor: int, rest: memoryview) -> memoryview:
    """Write what fits, and return the rest. A hook need not read its input."""
    try:
        return rest[posix.write(descriptor, rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]


def _collect(waiting: "select.poll", descriptor: int, output: bytes) -> bytes:
    """Read once, and keep the last KEPT bytes. A child that outlives the hook may write forever."""
    try:
        data = posix.read(descriptor, PIPE)
    except BlockingIOError:
        return output
    if not data:
        waiting.unregister(descriptor)
    return (output + data)[-KEPT:]


def _ending(status: int) -> str:
    if posix.WIFSIGNALED(status):
        from runtime.plan.failures import signal_words

        return signal_words(posix.WTERMSIG(status))
    return f"exit status {posix.WEXITSTATUS(status)}"
