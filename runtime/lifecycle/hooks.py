"""Hooks that run on the host: prestart, createRuntime, poststart, poststop (config.md "POSIX-platform Hooks").

Each hook gets the state document on standard input and exactly its own environment, or the caller's where it has none,
as with runc and crun. It starts with an empty signal mask, default dispositions and no descriptor of ours; Python
ignores SIGPIPE and SIGXFSZ, and what is ignored stays so across exec. Its working directory is the caller's, as with
runc; the spec leaves it open. createContainer and startContainer hooks are init's own work.
"""

import posix
import select
import time

from runtime.errors import Interrupted, OcirunError, system_failure
from runtime.lifecycle.document import dumps
from runtime.process import interruption
from runtime.shim import spawn_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal  # the same names; at run time it would import enum
    from collections.abc import Callable
    from typing import Any

    Hook = dict[str, Any]
else:
    import _signal

LONGEST = 1 << 30  # milliseconds: poll(2) takes an int
KEPT_OUTPUT = 4096  # bytes of a hook's output that an error may quote


def run(hooks: "list[Hook]", document: "dict[str, Any]", pointer: str) -> None:
    """Run hooks in order.

    The first that fails is an OcirunError with its pointer, below ``pointer`` ("/hooks/poststart").
    """
    for index, hook in enumerate(hooks):
        _run_one(hook, document, f"{pointer}/{index}")


def run_all(hooks: "list[Hook]", document: "dict[str, Any]", pointer: str, warn: "Callable[[str], None]") -> None:
    """Run every hook; one that fails is a warning and does not keep the rest from running (poststop). So is one that hangs
    until a signal asks us to end.
    """
    for index, hook in enumerate(hooks):
        try:
            _run_one(hook, document, f"{pointer}/{index}")
        except OcirunError as error:
            warn(str(error))


def _run_one(hook: "Hook", document: "dict[str, Any]", pointer: str) -> None:
    limit = hook.get("timeout")
    held = interruption.hold()  # but where it can be ended
    theirs_in, ours_in = posix.pipe2(posix.O_CLOEXEC)
    ours_out, theirs_out = posix.pipe2(posix.O_CLOEXEC)
    ours = [ours_in, ours_out]
    try:
        try:
            pid = _spawn(hook, theirs_in, theirs_out)
        except OSError as error:
            raise system_failure(_name(pointer, hook), error, pointer) from None
        finally:
            posix.close(theirs_in)
            posix.close(theirs_out)
        output, in_time = _attend(pid, ours, dumps(document).encode(), limit)
    except Interrupted as error:
        error.pointer = pointer
        raise
    finally:
        for descriptor in ours:
            posix.close(descriptor)
    status = posix.waitpid(pid, 0)[1]
    interruption.restore(held)
    if not in_time:
        raise OcirunError(
            f"{_name(pointer, hook)}: not finished after its timeout of {limit} s, killed{_quoted(output)}", pointer
        )
    if status:
        raise OcirunError(f"{_name(pointer, hook)}: {_ending(status)}{_quoted(output)}", pointer)


def _name(pointer: str, hook: "Hook") -> str:
    from runtime.plan.failures import hook_name

    return hook_name(pointer, hook["path"])


def _spawn(hook: "Hook", standard_input: int, output: int) -> int:
    path = hook["path"]
    return spawn_hook(path, hook.get("args") or [path], hook.get("env"), standard_input, output)


def _attend(pid: int, ours: list[int], document: bytes, limit: float | None) -> tuple[bytes, bool]:
    """Feed the hook, keep its first output, wait until it ends. Returns the output, and whether it ended in time;
    else it was killed.

    ``ours``: our ends of its input and its output; the first is closed and taken out when the hook has the whole
    document.
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
    except BaseException:  # interrupted: a hook does not outlive us
        _signal.pidfd_send_signal(process, _signal.SIGKILL)
        posix.waitpid(pid, 0)
        raise
    finally:
        interruption.hold()
        posix.close(process)


def _feed(descriptor: int, rest: memoryview) -> memoryview:
    """Write what fits. A hook that does not read is free to do so."""
    try:
        return rest[posix.write(descriptor, rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]


def _collect(waiting: "select.poll", descriptor: int, output: bytes) -> bytes:
    """Read all there is; beyond KEPT_OUTPUT it is read and dropped, so that the hook does not block."""
    try:
        while True:
            data = posix.read(descriptor, 65536)
            if not data:
                waiting.unregister(descriptor)
                return output
            output = (output + data)[:KEPT_OUTPUT]
    except BlockingIOError:
        return output


def _ending(status: int) -> str:
    if posix.WIFSIGNALED(status):
        return f"killed by signal {posix.WTERMSIG(status)}"
    return f"exit status {posix.WEXITSTATUS(status)}"


def _quoted(output: bytes) -> str:
    text = " ".join(output.decode(errors="replace").split())
    return f": {text}" if text else ""
