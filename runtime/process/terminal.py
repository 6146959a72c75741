"""Joining the user's terminal to the container's: bytes both ways, window size, signals. Cold."""

import _signal as signal
import errno
import fcntl
import posix
import select
import termios

from runtime.kernel import TIOCGPTPEER
from runtime.process.foreground import forward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

CHUNK = 1 << 16


class Session:
    """``terminal``: the master end of the terminal of process ``pid``."""

    def __init__(self, pid: int, terminal: int, waited: "Iterable[int]") -> None:
        self.pid = pid
        self.terminal = terminal
        self.waited = waited
        self.status: int | None = None  # the wait status
        self.attributes: list[int | list[bytes | int]] | None = None  # as termios.tcgetattr
        self.typed = memoryview(b"")  # read, but not yet taken by the terminal
        self.within_line = False  # whether the last input ended inside a line
        posix.set_blocking(terminal, False)
        self.wake, self.waker = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _hold_open(terminal)

    def run(self) -> int:
        """Copy until the program has ended and its output is read. Returns the wait status."""
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
        return self.status if self.status is not None else posix.waitpid(self.pid, 0)[1]

    def _raw(self) -> None:
        """Set our terminal raw, as cfmakeraw(3): the container's terminal does the editing."""
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
        if posix.isatty(1):  # otherwise other programs print on it, such as the reader of our output
            raw[1] &= ~termios.OPOST
        raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(0, termios.TCSANOW, raw)

    def _serve(self) -> None:
        """Copy both ways. Never blocks on the terminal: a program that does not read its input may wait for us to read its output."""
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
                return  # a process that outlived the program may hold the terminal open

    def _read_input(self) -> bool:
        """Copy input to the terminal; False at the end. The end becomes control-D, twice inside a line: there the first one
        only flushes the line.
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
        """Copy the program's output to ours; False at the end."""
        try:
            data = posix.read(self.terminal, CHUNK)
        except OSError as error:
            return error.errno == errno.EAGAIN  # EIO: nobody has the terminal open
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[posix.write(1, rest) :]
            except BlockingIOError:
                select.select([], [1], [])
            except OSError:
                break  # nobody reads it; the program goes on
        return bool(data)

    def _type(self, data: bytes) -> None:
        """Write what the terminal takes now, and keep the rest."""
        self.typed = memoryview(bytes(self.typed) + data)
        try:
            while self.typed:
                self.typed = self.typed[posix.write(self.terminal, self.typed) :]
        except BlockingIOError:
            pass
        except OSError:
            self.typed = memoryview(b"")  # nobody has the terminal open

    def _signals(self) -> None:
        for number in posix.read(self.wake, 256):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGWINCH:
                copy_size(self.terminal)
            elif self.status is None:  # once reaped, its pid may be reused
                forward(self.pid, number)

    def _reap(self) -> None:
        if self.status is None:
            ended, status = posix.waitpid(self.pid, posix.WNOHANG)
            if ended:
                self.status = status


def prepare(terminal: int) -> None:
    """Before the program runs, give the container's terminal the size of ours, and decide which one turns \\n into \\r\\n.

    If our input and output are a terminal, `Session` makes it raw, and the container's converts: a program that draws can
    switch that off. Otherwise the container's adds nothing: a terminal that only prints our output converts by itself, and a
    pipe or a file wants the program's own line ends.
    """
    copy_size(terminal)
    if not (posix.isatty(0) and posix.isatty(1)):
        attributes = termios.tcgetattr(terminal)
        attributes[1] &= ~termios.ONLCR
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def copy_size(terminal: int) -> None:
    """Give the container's terminal the size of ours, which may be any of the three streams; without one it keeps the config's."""
    for descriptor in (0, 1, 2):
        try:
            size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8)
        except OSError:
            continue
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
        return


def _hold_open(terminal: int) -> None:
    """Open the other end, until this process ends.

    A program may close its terminal and open it again later, as systemd does for each message on /dev/console, and vhangup(2)
    does for getty. While nobody has it open, reading fails with EIO.
    """
    try:
        fcntl.ioctl(terminal, TIOCGPTPEER, posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)
    except OSError:
        pass  # its devpts is not mounted any more: then nobody can open it again


def _nothing(*_: object) -> None:
    """A handler: the wake-up descriptor reports the signal."""


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])
