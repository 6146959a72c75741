"""A person's terminal: what becomes of signals."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from runtime.process import terminal


def test_no_signal_to_a_program_that_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of signals that are read together, those behind the one that tells of the end go to nobody: the pid may be another's."""
    forwarded: list[tuple[int, int]] = []
    monkeypatch.setattr(terminal, "forward", lambda *what: forwarded.append(what))
    ours, theirs = os.openpty()
    program = subprocess.Popen(["true"])
    session = terminal.Session(program.pid, ours, ())
    try:
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        os.write(session.waker, bytes([signal.SIGUSR1, signal.SIGCHLD, signal.SIGTERM]))
        session._signals()
        os.write(session.waker, bytes([signal.SIGUSR2]))
        session._signals()
        assert session.status == 0
        assert forwarded == [(program.pid, signal.SIGUSR1)]
    finally:
        program.returncode = 0  # it was waited for
        for descriptor in (ours, theirs, session.wake, session.waker):
            os.close(descriptor)
