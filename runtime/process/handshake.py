"""The parent's half of a plan: doing the host's side when init reaches it, and wording failures.

    init                          parent
     │ operations …                 │
     ├── REACHED n ────────────────▶│ every operation of the host's side up to n
     │◀─────────── TREE, STATE ─────┤ (descriptors that it waits for)
     │◀─────────────── CONTINUE ────┤
     ├── FORKED ───────────────────▶│ the process that continues; its credentials have the pid
     ├── CONSOLE ──────────────────▶│ (the terminal's master end)
     ├── LISTENER n ───────────────▶│ the filter's listener, for its agent; CONTINUE
     ├── OUTPUT n ─────────────────▶│ (a pipe that hook n writes to, twice)
     ├── WORD ─────────────────────▶│ (a memfd to read after end of file, if a filter forbids reports)
     ├── FAILED n errno step ──────▶│ raises, worded by `runtime.plan.failures`
     x end of file                  │ execve happened, or init died

Hot.
"""

import posix
from _signal import SIGKILL

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.shapes import Record

    from .hook_output import Output

    Perform = Callable[["Handshake", ops.Operation], None]

REACHED, FAILED, FORKED, CONSOLE, TRACE, _, LISTENER, OUTPUT, WORD = range(1, 10)
CONTINUE, TREE, STATE = range(1, 4)


class Handshake:
    """One run of a plan. ``pid``: the current process of init. ``console``: the terminal's master end. ``listener``: the seccomp
    filter's. ``word``: the memfd of `runtime.process.last_word`. Descriptors are -1 until they come.

    ``network``: the container's network namespace, opened when the first device moves there. ``tell`` is called with the
    index of each operation and the nanoseconds that init took (0 on the host's side). ``state``: the container's record,
    which says where the output of hooks goes. ``inode``: of init's program; 0 if that is another's too. ``meanwhile``: called
    once init has its last pid, while it goes on.
    """

    __slots__ = (
        *("console", "done", "inode", "listener", "meanwhile", "network", "operations", "output", "pid", "socket"),
        *("state", "tell", "trace", "word"),
    )

    def __init__(self, pid: int, socket: int, operations: "Sequence[ops.Operation]", inode: int = 0) -> None:
        self.pid = pid
        self.socket = socket
        self.operations = operations
        self.inode = inode
        self.done = 0
        self.console = self.listener = self.network = self.word = -1
        self.trace: list[shim.Report] = []
        self.tell: Callable[[int, int], None] | None = None
        self.meanwhile: Callable[[], None] | None = None
        self.state: Record = {}
        self.output: Output | None = None  # of hooks that init runs

    def follow(self, perform: "Perform") -> bool:
        """Do the host's side with ``perform`` until `created` is reached (True) or the channel ends (False).

        Raises OcirunError when an operation failed on either side.
        """
        while (report := self._receive()) is not None:
            if report.kind == REACHED:
                if self._catch_up(report.index, perform):
                    return True
                self.reply(CONTINUE)
            elif report.kind == FORKED:
                self._forked(report)
                self.reply(CONTINUE)
                if self.meanwhile:
                    self.meanwhile()
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
        self._raise_last_word()
        return False

    def _forked(self, report: "shim.Report") -> None:
        before, self.pid = self.pid, report.pid  # set first: `end` may be called at any point
        try:
            posix.waitpid(before, 0)
        except ChildProcessError:
            pass  # the calling program ignores SIGCHLD, or waits for any child
        self.done = report.index + 1

    def _raise_last_word(self) -> None:
        """Raise what init left for us to read, where a seccomp filter kept it from reporting."""
        if self.word < 0:
            return
        from runtime.process import last_word

        failure = last_word.failure(self.word, lambda: self.operations[-1])
        if failure:
            raise failure

    def _receive(self) -> "shim.Report | None":
        """The next report; None at the end. OcirunError for an unexpected one, whose descriptor is closed."""
        if self.output:
            self.output.relay(self.socket)
        try:
            report = shim.receive(self.socket)
        except OSError as error:
            raise system_failure("read from the init program", error) from None
        if self.output and (report is None or report.kind != OUTPUT):
            self.output.finish()
        if report is None or self._is_expected(report):
            return report
        if report.fd >= 0:
            posix.close(report.fd)
        raise OcirunError(f"the init program sent an unexpected report {report.kind} about operation {report.index}")

    def _is_expected(self, report: shim.Report) -> bool:
        """Whether init can send this now. Trusting a false FORKED, say, we would wait for and kill a process that is not ours."""
        kind, index, given = report.kind, report.index, report.fd >= 0
        if kind == FAILED:  # init may fail before it has read the plan
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
        """Let init continue past `created`."""
        self.reply(CONTINUE)

    def reply(self, kind: int, length: int = 0, fd: int = -1) -> None:
        """Answer init, which waits. OcirunError if it was killed meanwhile."""
        try:
            shim.reply(self.socket, kind, length, fd)
        except (BrokenPipeError, ConnectionResetError):
            raise self.died() from None

    def take_listener(self) -> int:
        """Hand the listener to the caller, who closes it."""
        listener, self.listener = self.listener, -1
        return listener

    def close(self) -> None:
        """Close our descriptors. Init exits then, unless it was released."""
        if self.output:
            self.output.close()
        for descriptor in (self.socket, self.console, self.listener, self.network, self.word):
            if descriptor >= 0:
                posix.close(descriptor)
        self.socket = self.console = self.listener = self.network = self.word = -1

    def end(self) -> int:
        """Kill init and reap it. Returns the wait status; 0 if it was reaped before."""
        if any(operation[0] == ops.OP_FORK for operation in self.operations[self.done :]):
            return self._end_before_fork()
        try:
            ended, status = posix.waitpid(self.pid, posix.WNOHANG)
            if ended:
                return status
            posix.kill(self.pid, SIGKILL)  # not reaped yet: the pid is still its own
            return posix.waitpid(self.pid, 0)[1]
        except (ProcessLookupError, ChildProcessError):
            return 0

    def _end_before_fork(self) -> int:
        """As `end`, where `fork` may have a child that has not reported its pid yet: it is in init's process group.

        Left as a zombie of ours, it would keep its pid namespace from ending.
        """
        status = 0
        try:
            posix.waitid(posix.P_PID, self.pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)  # it is a child of ours
            posix.kill(self.pid, SIGKILL)
            # It forks no more, and its pid stays its own.
            posix.waitid(posix.P_PID, self.pid, posix.WEXITED | posix.WNOWAIT)
            posix.kill(-self.pid, SIGKILL)  # no such group if it had not come to `fork`
            while True:
                ended, code = posix.waitpid(-self.pid, 0)
                status = status if ended == self.pid and status else code
        except (ProcessLookupError, ChildProcessError):
            pass
        try:
            return posix.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            return status

    def died(self, memory: str | None = None) -> OcirunError:
        """The error for an init that ended without a report. ``memory``: the pointer of the container's memory limit."""
        status = self.end()
        code = posix.waitstatus_to_exitcode(status)
        if code < 0:
            from runtime.plan.failures import signal_words

            how = signal_words(-code)
        else:
            how = f"ended with status {code}"
        starved = memory is not None and code == -SIGKILL
        hint = "; if it was out of memory, raise the limit" if starved else ""
        return OcirunError(
            f"the init program ended before the container was ready: {how}{hint}", memory if starved else None
        )
