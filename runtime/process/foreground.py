"""Waiting for a program in the foreground: signals are passed on, and a terminal's bytes and size. Hot, but for a terminal."""

import _signal as signal
import posix

from runtime.errors import OcirunError

# What is not passed on: what cannot be caught, what is about us, and what a terminal's reader would be stopped by.
KEPT = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGURG,
    signal.SIGSEGV,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGBUS,
}
KEPT |= {signal.SIGTTIN, signal.SIGTTOU, signal.SIGXFSZ}
ENDING = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}  # what asks a program to end
FORWARDED = [number for number in range(1, signal.NSIG) if number not in KEPT and number not in (32, 33)]


def exit_status(wait_status: int) -> int:
    """As a shell has it: 128 + N for a signal."""
    code = posix.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


class Foreground:
    """Made before the program is started, so that no signal is lost: from then on they wait until `wait` takes them.

    ``hangs``: what comes before the program may, as hooks do. What asks to end interrupts us, as OcirunError, until `hold`.
    ``undone`` ends its words.
    """

    def __init__(self, hangs: bool = False, undone: str = "; the container is removed") -> None:
        self.waited = {*FORWARDED, signal.SIGCHLD}
        self.undone = undone
        self.ending = ENDING if hangs else set()
        for number in self.ending:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._interrupt)
        signal.pthread_sigmask(signal.SIG_BLOCK, self.waited - self.ending)

    def hold(self) -> None:
        """From now on every signal is the program's."""
        if self.ending:
            signal.pthread_sigmask(signal.SIG_BLOCK, self.ending)

    def yield_to_signals(self) -> None:
        """Until `hold`, what asks to end interrupts us."""
        if self.ending:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.ending)

    def _interrupt(self, number: int, _: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # once is enough: what was made is unmade now
        raise OcirunError(f"interrupted by signal {number} before the program ran{self.undone}")

    def wait(self, pid: int, terminal: int) -> int:
        """The program's exit status when it has ended. ``terminal``: the other end of its terminal, or -1."""
        if terminal >= 0:
            from runtime.process.terminal import Session  # a circle: it waits by the rules of this module

            return Session(pid, terminal, self.waited).run()
        while True:
            number = signal.sigwait(self.waited)
            if number == signal.SIGCHLD:
                ended, status = posix.waitpid(pid, posix.WNOHANG)
                if ended:
                    return exit_status(status)
            elif number != signal.SIGWINCH:
                forward(pid, number)


def forward(pid: int, number: int) -> None:
    try:
        posix.kill(pid, number)
    except ProcessLookupError:
        pass  # it ends: SIGCHLD is on its way
