"""Run a program on a pseudo terminal, as a person at a shell does."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.integration.console import Terminal


class Session:
    """A program with a terminal as its controlling terminal and its three standard streams.

    ``streams``: descriptors, or what subprocess takes, in place of some of the three.
    """

    def __init__(
        self,
        command: Sequence[str],
        rows: int,
        columns: int,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **streams: int,
    ) -> None:
        master, slave = pty.openpty()
        self.terminal = Terminal(master)
        self.terminal.resize(rows, columns)
        # preexec: TIOCSCTTY needs the new session, which subprocess makes just before.
        self.child = subprocess.Popen(
            command,
            **{"stdin": slave, "stdout": slave, "stderr": slave, **streams},
            start_new_session=True,
            cwd=cwd,
            env=environment,
            preexec_fn=_take_terminal,
        )
        os.close(slave)

    def finish(self, timeout: float = 30) -> tuple[int, str]:
        """Wait for the end: exit code (negative for a signal) and everything printed, without carriage returns."""
        deadline = time.monotonic() + timeout
        try:
            text = self.terminal.read_until(None, timeout)
            code = self.child.wait(max(deadline - time.monotonic(), 1))
        finally:
            if self.child.poll() is None:
                self.child.kill()
                self.child.wait()
            self.terminal.close()
        return code, text.replace("\r", "")


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(next(stream for stream in (0, 1, 2) if os.isatty(stream)), termios.TIOCSCTTY, 0)


def run(
    command: Sequence[str],
    rows: int,
    columns: int,
    timeout: float,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    return Session(command, rows, columns, cwd, environment).finish(timeout)
