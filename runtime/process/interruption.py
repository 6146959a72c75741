"""Signals that end a process (SIGHUP, SIGINT, SIGQUIT, SIGTERM) while a command waits for a hook: an error, as a failed hook is.

Once caught, they stay blocked except where the command waits, so that it can always undo what it did. Only a command
calls `catch`: a program that uses the API handles its signals itself. Loaded only with hooks, and for exec.
"""

import _signal as signal

from runtime.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_before: "dict[int, Any]" = {}  # the handler of each, once they are caught


def catch(undone: str = "") -> None:
    """Block the signals until `allow` or `release`. ``undone`` ends the error's message. An ignored signal stays ignored."""

    def interrupt(number: int, _: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # once is enough: the clean-up begins
        raise Interrupted(f"interrupted by signal {number}{undone}")

    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    for number in ENDING:
        if _before.setdefault(number, signal.getsignal(number)) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def release() -> None:
    """The signals end us again, also those that came meanwhile: there is nothing to undo."""
    if _before:
        for number in ENDING:
            signal.signal(number, _before.pop(number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def allow() -> None:
    """Until `hold`, the first of the caught signals raises Interrupted."""
    if _before:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def hold() -> None:
    """Block the caught signals again."""
    if _before:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def attend(wait: "Callable[[], object]") -> None:
    """Call ``wait`` between `allow` and `hold`."""
    try:
        allow()
        wait()
    finally:
        hold()
