"""A person's terminal joined to the container's: bytes both ways, the window's size, signals. Cold."""

import _signal as signal
import errno
import fcntl
import posix
import select
import termios

from runtime.process.foreground import exit_status, forward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

CHUNK = 1 << 16


class Session:
    """``terminal`` is the other end of the terminal of process ``pid``."""

    def __init__(self, pid: int, terminal: int, waited: "Iterable[int]") -> None:
        self.pid = pid
        self.terminal = terminal
        self.waited = waited
        self.status: int | None = None
        self.attributes: list[Any] | None = None
        self.typed = memoryview(b"")  # read, and not yet taken by the terminal
        self.within_line = False  # whether what was typed last has no end of a line
        posix.set_blocking(terminal, False)
        self.wake, self.waker = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)

    def run(self) -> int:
        """Serve until the program has ended and its output is read; the exit status."""
        try:
            self._raw()
            copy_size(self.terminal)
            for number in self.waited:
                signal.signal(number, _nothing)
            signal.set_wakeup_fd(self.waker)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.waited)
            self._reap()  # it may have ended while signals were blocked
            self._serve()
        finally:
            if self.attributes is not None:
                termios.tcsetattr(0, termios.TCSADRAIN, self.attributes)
        return self.status if self.status is not None else exit_status(posix.waitpid(self.pid, 0)[1])

    def _raw(self) -> None:
        """What cfmakeraw(3) sets: the container's terminal does the editing."""
        try:
            self.attributes = termios.tcgetattr(0)
            raw = termios.tcgetattr(0)
        except termios.error:
            return
        raw[0] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        if posix.isatty(1):  # else others print on it, what reads our output among them
            raw[1] &= ~termios.OPOST
        raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(0, termios.TCSANOW, raw)

    def _serve(self) -> None:
        """Never blocks on the terminal: a program that does not read what is typed may wait for us to read its output."""
        open_ends = {0, self.terminal}
        while self.terminal in open_ends:
            poll = select.poll()
            poll.register(self.wake, select.POLLIN)
            poll.register(self.terminal, select.POLLIN | (select.POLLOUT if self.typed else 0))
            if 0 in open_ends and not self.typed:
                poll.register(0, select.POLLIN)
            for descriptor, events in poll.poll(200 if self.status is not None else None):
                if descriptor == self.wake:
                    self._signals()
                elif descriptor == 0:
                    if not self._read_input():
                        open_ends.discard(0)
                else:
                    self._type(b"")
                    if events != select.POLLOUT and not self._read_terminal():
                        open_ends.discard(descriptor)
            if self.status is not None and not _readable(self.terminal):
                return  # something that outlived the program may hold the terminal open

    def _read_input(self) -> bool:
        """Take what is typed; False at the end, which a terminal says by control-D: the first one after a part of a line
        only hands that over.
        """
        try:
            data = posix.read(0, CHUNK)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return True
            data = b""  # EIO: the caller's terminal is gone
        if data:
            self.within_line = not data.endswith((b"\n", b"\r"))
        self._type(data or (b"\4\4" if self.within_line else b"\4"))
        return bool(data)

    def _read_terminal(self) -> bool:
        """Print what the program has written; False at the end."""
        try:
            data = posix.read(self.terminal, CHUNK)
        except OSError as error:
            return error.errno == errno.EAGAIN  # EIO: nobody has the terminal open any more
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[posix.write(1, rest) :]
            except BlockingIOError:
                select.select([], [1], [])
            except OSError:
                break  # nobody reads it: the program goes on all the same
        return bool(data)

    def _type(self, data: bytes) -> None:
        """Give the terminal what it takes now; the rest waits."""
        self.typed = memoryview(bytes(self.typed) + data)
        try:
            while self.typed:
                self.typed = self.typed[posix.write(self.terminal, self.typed) :]
        except BlockingIOError:
            pass
        except OSError:
            self.typed = memoryview(b"")  # nobody has the terminal open any more

    def _signals(self) -> None:
        for number in posix.read(self.wake, 256):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGWINCH:
                copy_size(self.terminal)
            elif self.status is None:  # once it was waited for, its pid may be another's
                forward(self.pid, number)

    def _reap(self) -> None:
        if self.status is None:
            ended, status = posix.waitpid(self.pid, posix.WNOHANG)
            if ended:
                self.status = exit_status(status)


def prepare(terminal: int) -> None:
    """Before the program runs: the container's terminal has the size of the caller's, and where what prints the output
    ends lines itself, or wants no ends but a program's (a pipe, a file), the container's terminal adds nothing to them.

    On a terminal that `Session` makes raw, the container's own turns \\n into \\r\\n, as it says to programs, and ours
    changes nothing more: a program that draws, and switches that off, must see its line feeds go down and not to the left.
    """
    copy_size(terminal)
    if not (posix.isatty(0) and posix.isatty(1)):
        attributes = termios.tcgetattr(terminal)
        attributes[1] &= ~termios.ONLCR
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def copy_size(terminal: int) -> None:
    """Give the container's terminal the size of the caller's, of which not every stream need be; without one it keeps
    that of the config.
    """
    for descriptor in (0, 1, 2):
        try:
            size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8)
        except OSError:
            continue
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
        return


def _nothing(*_: object) -> None:
    """The wake-up descriptor tells of the signal."""


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])
