"""What comes from the handshake while a program is started, before it runs."""

import _signal as signal
import posix

from runtime.api.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import PublishOptions


class Taken:
    """The terminal's master end, if the caller wants it, and a pidfd where the program's end may be missed otherwise."""

    def __init__(self, terminal: bool, options: "PublishOptions") -> None:
        """Asks for both in ``options``."""
        self.terminal: Terminal | None = None
        self.pidfd = -1
        if terminal:
            options["take_terminal"] = self._take_terminal
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # the kernel reaps it at once
            options["take_pidfd"] = self._take_pidfd

    def _take_terminal(self, descriptor: int) -> None:
        self.terminal = Terminal(posix.dup(descriptor))

    def _take_pidfd(self, descriptor: int) -> None:
        self.pidfd = descriptor

    def drop(self) -> None:
        """The program was not started after all."""
        if self.terminal:
            self.terminal.close()
        if self.pidfd >= 0:
            posix.close(self.pidfd)
