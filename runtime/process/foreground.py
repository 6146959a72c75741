"""Waiting for a program in the foreground: forwards signals, and a terminal's bytes and size. Hot without a terminal."""

import _signal as signal
import posix

# Not forwarded: signals that cannot be caught, that concern us, or that would stop us at a terminal.
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
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGXFSZ,
}
FORWARDED = [number for number in range(1, signal.NSIG) if number not in KEPT and number not in (32, 33)]

# The exit statuses of a program that its seccomp filter has ended, or that ended because of what the filter refused: not found, and
# SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGSEGV and SIGSYS.
FAULTS = (127, 132, 133, 134, 135, 139, 159)


def exit_status(wait_status: int) -> int:
    """The exit status as a shell has it: 128 + N for a signal."""
    code = posix.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


class Foreground:
    """Made before the program starts, so that no signal is lost: they stay blocked until `wait` takes them.

    What may hang before that, such as a hook, is interrupted by `runtime.process.interruption`.
    """

    def __init__(self) -> None:
        self.ended = 0  # the wait status
        self.waited = {*FORWARDED, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, self.waited)

    def wait(self, pid: int, terminal: int) -> int:
        """Wait for the program to end. Returns its exit status. ``terminal``: the master end of its terminal, or -1."""
        if terminal >= 0:
            from runtime.process.terminal import Session  # in the function: terminal imports this module, for `forward`

            self.ended = Session(pid, terminal, self.waited).run()
            return exit_status(self.ended)
        while True:
            number = signal.sigwait(self.waited)
            if number == signal.SIGCHLD:
                ended, status = posix.waitpid(pid, posix.WNOHANG)
                if ended:
                    self.ended = status
                    return exit_status(status)
            elif number != signal.SIGWINCH:
                forward(pid, number)


def forward(pid: int, number: int) -> None:
    try:
        posix.kill(pid, number)
    except ProcessLookupError:
        pass  # it has ended: SIGCHLD is pending
