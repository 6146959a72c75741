"""The parent's half of a plan: doing the host's side when init has reached it, and wording what failed.

    init                          parent
     │ operations …                 │
     ├── REACHED n ────────────────▶│ every operation of the host's side up to n
     │◀─────────── TREE, STATE ─────┤ (descriptors that it asked for)
     │◀─────────────── CONTINUE ────┤
     ├── FORKED ───────────────────▶│ the process that goes on; its pid comes as credentials
     ├── CONSOLE ──────────────────▶│ (the terminal's other end)
     ├── LISTENER n ───────────────▶│ the filter's listener, to be given away; CONTINUE
     ├── OUTPUT n ─────────────────▶│ (a pipe that hook n writes to, twice)
     ├── WORD ─────────────────────▶│ (where to look after the end of file, if a filter forbids init to speak)
     ├── FAILED n errno step ──────▶│ raises, worded by `runtime.plan.failures`
     x end of file                  │ execve happened, or init died

Hot.
"""

import posix
from _signal import SIGKILL

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.plan import ops
from runtime.process import last_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .hook_output import Output

    Perform = Callable[["Handshake", ops.Operation], None]

REACHED, FAILED, FORKED, CONSOLE, TRACE, _, LISTENER, OUTPUT, WORD = range(1, 10)
CONTINUE, TREE, STATE = range(1, 4)


class Handshake:
    """One run of a plan. ``pid`` is the process that goes on; ``console`` the terminal's other end, ``listener`` the seccomp filter's,
    ``word`` the memfd for init's last word, or -1.

    ``network``: the container's network namespace, open once a device was moved there, or -1. ``tell``, where it is set,
    hears of each operation, by its index, and how many nanoseconds init took for it (0 for one of ours).
    ``state``: the container's record, which says where the output of hooks goes.
    """

    __slots__ = (
        *("console", "done", "listener", "network", "operations", "output", "pid", "socket", "state", "tell", "trace"),
        "word",
    )

    def __init__(self, pid: int, socket: int, operations: "Sequence[ops.Operation]") -> None:
        self.pid = pid
        self.socket = socket
        self.operations = operations
        self.done = 0
        self.console = self.listener = self.network = self.word = -1
        self.trace: list[shim.Report] = []
        self.tell: Callable[[int, int], None] | None = None
        self.state: Mapping[str, Any] = {}
        self.output: Output | None = None  # of hooks that init runs

    def follow(self, perform: "Perform") -> bool:
        """Do the host's side, by ``perform``, until `created` is reached (True) or the channel ends (False).

        Raises OcirunError when an operation failed on either side.
        """
        while (report := self._receive()) is not None:
            if report.kind == REACHED:
                if self._catch_up(report.index, perform):
                    return True
                self.reply(CONTINUE)
            elif report.kind == FORKED:
                before, self.pid = self.pid, report.pid  # first: `end` may be called from any point
                posix.waitpid(before, 0)
                self.done = report.index + 1
                self.reply(CONTINUE)
            elif report.kind == CONSOLE:
                self.console = report.fd
            elif report.kind == WORD:
                self.word = report.fd
            elif report.kind == LISTENER:
                self.listener = report.fd
                perform(self, self.operations[report.index])
                self.reply(CONTINUE)
            elif report.kind == OUTPUT:
                self._listen(report)
            elif report.kind == TRACE:
                self.trace.append(report)
                if self.tell:
                    self.tell(report.index, report.end - report.start)
            else:
                raise self._failure(report)
        if self.word >= 0 and (failure := last_word.failure(self.word, self.operations)):
            raise failure
        return False

    def _receive(self) -> "shim.Report | None":
        """The next report; None at the end. OcirunError for what init cannot have sent here: nothing of it stays open."""
        if self.output:
            self.output.relay(self.socket)
        try:
            report = shim.receive(self.socket)
        except OSError as error:
            raise system_failure("read from the init program", error) from None
        if self.output and (report is None or report.kind != OUTPUT):
            self.output.finish()
        if report is None or self._can_be(report):
            return report
        if report.fd >= 0:
            posix.close(report.fd)
        raise OcirunError(f"the init program sent report {report.kind} about operation {report.index}, which cannot be")

    def _can_be(self, report: shim.Report) -> bool:
        """Believing the rest would be to wait for, and to kill, a process that is not ours: FORKED without credentials is pid 0."""
        kind, index, given = report.kind, report.index, report.fd >= 0
        if kind == FAILED:  # also before the plan is read
            return not given
        if index >= len(self.operations):
            return False
        code, side = self.operations[index][:2]
        if kind == REACHED:
            return side == ops.HOST and index >= self.done and not given
        if kind == FORKED:
            return code == ops.OP_FORK and index >= self.done and 0 < report.pid != self.pid and not given
        if kind == CONSOLE:
            return code == ops.OP_CONSOLE and self.console < 0 and given
        if kind == LISTENER:
            return code == ops.OP_SECCOMP_NOTIFY and self.listener < 0 and given
        if kind == OUTPUT:
            known = self.output is not None and self.output.has(index, report.start)
            return code == ops.OP_RUN_HOOK and report.start in (1, 2) and not known and given
        if kind == WORD:
            return code == ops.OP_PLACE_DESCRIPTORS and self.word < 0 and given
        return kind == TRACE and not given

    def _listen(self, report: shim.Report) -> None:
        if self.output is None:
            from .hook_output import Output

            self.output = Output(self.state)
        self.output.add(report.index, report.start, report.fd)

    def _failure(self, report: shim.Report) -> OcirunError:
        from runtime.plan.failures import failure, of_plan

        said = self.output.said(report.index) if self.output else b""
        return failure(of_plan(self.operations, report.index), report.error, report.step, report.start, said)

    def _catch_up(self, index: int, perform: "Perform") -> bool:
        created = False
        for number in range(self.done, index + 1):
            operation = self.operations[number]
            if operation[1] != ops.HOST:
                continue
            if self.tell:
                self.tell(number, 0)
            if operation[0] == ops.OP_CREATED:
                created = True
            else:
                perform(self, operation)
        self.done = index + 1
        return created

    def release(self) -> None:
        """Let init go on past `created`."""
        self.reply(CONTINUE)

    def reply(self, kind: int, length: int = 0, fd: int = -1) -> None:
        """Answer init, which waits. OcirunError when it was killed meanwhile."""
        try:
            shim.reply(self.socket, kind, length, fd)
        except (BrokenPipeError, ConnectionResetError):
            raise self.died() from None

    def take_listener(self) -> int:
        """The listener, which the caller closes."""
        listener, self.listener = self.listener, -1
        return listener

    def close(self) -> None:
        """Close our descriptors. An init that has not been released ends by that."""
        if self.output:
            self.output.close()
        for descriptor in (self.socket, self.console, self.listener, self.network, self.word):
            if descriptor >= 0:
                posix.close(descriptor)
        self.socket = self.console = self.listener = self.network = self.word = -1

    def end(self) -> int:
        """Kill init and wait for it; its wait status, 0 when it was reaped before: the pid may be another's by then."""
        try:
            ended, status = posix.waitpid(self.pid, posix.WNOHANG)
            if ended:
                return status
            posix.kill(self.pid, SIGKILL)  # a child that nobody has waited for keeps its pid
            return posix.waitpid(self.pid, 0)[1]
        except (ProcessLookupError, ChildProcessError):
            return 0

    def died(self, memory: str | None = None) -> OcirunError:
        """The error for an init that went without a word. ``memory``: the pointer of the container's memory limit."""
        status = self.end()
        code = posix.waitstatus_to_exitcode(status)
        how = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
        starved = memory is not None and code == -SIGKILL
        hint = "; if it was out of memory, raise the limit" if starved else ""
        return OcirunError(
            f"the init program ended before the container was ready ({how}){hint}", memory if starved else None
        )
