"""What a container's init and a program of exec have in common: a pid, an end, and streams."""

import posix
from _thread import allocate_lock

from runtime.api import pidfd, streams
from runtime.api.outcome import TimeoutExpired
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from runtime.api.taken import Taken
    from runtime.api.terminal import Terminal

COLLECTED = "it is not a child of this process, or was waited for before, such as by a handler of SIGCHLD or where that is ignored"


class Child:
    """A process, usually a child of this one. Safe to wait for from several threads."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._owner = posix.getpid()  # a process that this one forks has a copy, and no say
        self._status: int | None = None
        self._over = False
        self._lock = allocate_lock()
        self._files: dict[str, IO[Any]] = {}
        self._mode: dict[str, str] = {}
        self._conversation: streams.Conversation | None = None
        self._terminal: Terminal | None = None
        self._held = -1  # a pidfd, where the kernel reaps

    def _take(self, ends: streams.Streams, taken: "Taken") -> None:
        """What the caller gets of a program that has been started."""
        self._files, self._mode = ends.files(), ends.mode
        self._terminal, self._held = taken.terminal, taken.pidfd

    def __del__(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, -1
        if held >= 0:
            pidfd.close(held)

    @property
    def pid(self) -> int:
        """The pid in the caller's pid namespace, kept after the end; 0 if it had ended before `Container.load`."""
        return self._pid

    @property
    def returncode(self) -> "int | None":
        """The exit status, 128 + N for a signal; None before `wait` or `poll` has seen the end, or if it is not known."""
        return self._status

    @property
    def stdin(self) -> "IO[Any]":
        """The pipe to the program's standard input. OcirunError unless ``stdin=PIPE`` was given; likewise the next two."""
        return self._file("stdin")

    @property
    def stdout(self) -> "IO[Any]":
        """The pipe from its standard output: bytes, or text with ``text=True``. Iterate over it for lines as they come."""
        return self._file("stdout")

    @property
    def stderr(self) -> "IO[Any]":
        """The pipe from its standard error."""
        return self._file("stderr")

    @property
    def terminal(self) -> "Terminal":
        """Its terminal. OcirunError unless ``terminal=True`` was given."""
        if self._terminal is None:
            raise OcirunError("the program has no terminal here; give terminal=True")
        return self._terminal

    def _file(self, name: str) -> "IO[Any]":
        if name not in self._files:
            raise OcirunError(f"{name} of the program is not a pipe; give {name}=PIPE")
        return self._files[name]

    def _what(self) -> str:
        return f"process {self._pid}"

    def poll(self) -> "int | None":
        """The exit status if it has ended, else None. Does not wait."""
        if self._over:
            return self._status
        try:
            return self._await(0)
        except TimeoutExpired:
            return None

    def _await(self, timeout: "float | None", asked: "float | None" = None) -> "int | None":
        """Wait for the end, and reap. The exit status, None if it is not known. Raises OcirunError, also TimeoutExpired.

        ``asked``: the timeout that the error tells, if part of it has passed already.
        """
        if self._over:
            return self._status
        descriptor = self._open()
        if descriptor < 0:
            with self._lock:
                self._over = True
            return self._status
        try:
            if not pidfd.ended(descriptor, timeout):
                raise TimeoutExpired(self._what(), asked or timeout or 0)
            with self._lock:
                if not self._over:
                    self._status = pidfd.reap(descriptor)
                    self._over = True
                    self._let_go()
        finally:
            pidfd.close(descriptor)
        return self._status

    def _open(self) -> int:
        """A pidfd of a child of ours, which the caller closes; -1 if another thread has waited for it. Raises OcirunError."""
        if self._held >= 0:
            return pidfd.copy(self._held)
        descriptor = pidfd.opened(self._pid) if self._pid > 0 else -1
        if descriptor >= 0 and pidfd.is_child(descriptor):
            return descriptor
        if descriptor >= 0:
            pidfd.close(descriptor)
        with self._lock:
            if self._over:
                return -1
        raise OcirunError(f"wait for process {self._pid}: {COLLECTED}")

    def pidfd(self) -> int:
        """A new pidfd of it, which the caller closes; readable once it has ended. OcirunError if it was waited for."""
        descriptor = -1 if self._over else self._open()
        if descriptor < 0:
            raise OcirunError(f"{self._what()} has ended")
        return descriptor

    def communicate(self, input: "str | bytes | None" = None, timeout: "float | None" = None) -> "tuple[Any, Any]":
        """Write ``input``, read stdout and stderr to their ends, and wait. Returns both; None for what is not a pipe.

        `TimeoutExpired` after ``timeout`` seconds: the program goes on, nothing is lost, and the call may be repeated.
        """
        left = streams.until(timeout)
        if self._conversation is None:
            self._conversation = streams.Conversation(self._files, self._mode)
            self._conversation.give(input)
        talk = self._conversation
        done = talk.carry_on(left())
        try:
            if not done:
                raise TimeoutExpired(self._what(), timeout or 0)
            self._await(left(), timeout)
        except TimeoutExpired as error:
            error.output, error.stderr = talk.result("stdout"), talk.result("stderr")
            raise
        return talk.result("stdout"), talk.result("stderr")

    def _close_streams(self) -> None:
        for file in self._files.values():
            streams.quietly_close(file)
        if self._terminal:
            self._terminal.close()
