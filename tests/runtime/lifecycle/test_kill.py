"""Signals: their names, and where they go."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from runtime.errors import NotFound, OcirunError, WrongState
from runtime.lifecycle.kill import end_init, kill, parse_signal
from runtime.lifecycle.store import open_unlocked, read_state
from tests.runtime.lifecycle.stand_in import StandIn


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15), ("SIGTERM", 15), ("sigterm", 15), ("Kill", 9), ("9", 9), ("0", 0), ("64", 64), ("RTMIN", 34),
        ("SIGRTMIN+3", 37), ("RTMAX", 64), ("RTMAX-14", 50), ("WINCH", 28), ("CLD", 17),
    ],
)  # fmt: skip
def test_signals(text: str, number: int) -> None:
    """Names with and without SIG in any case, numbers, real-time signals."""
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "SIG", "NOSUCH", "65", "-1", "1x", "0x9", "_DFL", "SIG_DFL", "_BLOCK", "RTMIN-1", "RTMIN+31", "RTMAX-31", "RTMAX+1",
     "RTMIN+", "RTMIN+ 1", "²", "SIGSIGTERM"],
)  # fmt: skip
def test_no_signals(text: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(OcirunError, match="unknown signal"):
        parse_signal(text)


def test_init_gets_the_signal(made: Callable[..., StandIn]) -> None:
    """The container's first process, also before start."""
    one = made()
    kill(one.root, "one", "USR1")
    assert one.process.wait(10) == -signal.SIGUSR1


def test_a_missing_container(made: Callable[..., StandIn]) -> None:
    """The words that managers match."""
    with pytest.raises(NotFound, match="does not exist"):
        kill(made().root, "two")


@pytest.mark.parametrize("reaped", [True, False])
def test_a_stopped_container(made: Callable[..., StandIn], reaped: bool) -> None:
    """An error with the words that managers match, whether the process is gone or a zombie."""
    one = made()
    one.process.kill()
    os.waitid(os.P_PID, one.process.pid, os.WEXITED | (0 if reaped else os.WNOWAIT))
    with pytest.raises(WrongState, match="container not running"):
        kill(one.root, "one", "TERM")


def test_all_of_a_stopped_container(made: Callable[..., StandIn]) -> None:
    """No error: managers sweep with it."""
    one = made()
    one.end()
    kill(one.root, "one", "KILL", all=True)


def test_all_without_cgroups_is_init(made: Callable[..., StandIn]) -> None:
    """With --cgroup-manager disabled, in the caller's pid namespace, init is all that is known: the error says that it got the signal."""
    for word in ("TERM", "KILL"):
        one = made(word)
        with pytest.raises(OcirunError, match="only the first process was signalled"):
            kill(one.root, word, word, all=True)
        assert one.process.wait(10) == -getattr(signal, f"SIG{word}")


def test_end_init_waits_for_the_death(made: Callable[..., StandIn]) -> None:
    """On return the process is dead (a zombie here), and again is no error."""
    one = made()
    handle = open_unlocked(one.root, "one")
    record = read_state(handle, "one")
    os.close(handle)
    end_init(record)
    assert os.waitid(os.P_PID, one.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    end_init(record)


def test_no_descriptor_is_left(made: Callable[..., StandIn]) -> None:
    """Nor on failure."""
    one = made()
    before = sorted(os.listdir("/proc/self/fd"))
    kill(one.root, "one", "0")
    one.process.kill()
    one.process.wait()
    with pytest.raises(WrongState):
        kill(one.root, "one")
    assert sorted(os.listdir("/proc/self/fd")) == before
