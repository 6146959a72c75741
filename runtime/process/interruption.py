"""What asks us to end while a hook may hang: SIGHUP, SIGINT, SIGQUIT and SIGTERM are an error then, as the hook's failure is.

Only for commands, by `catch`: the signals of a program that uses the API are its own. Cold: without hooks nobody loads it.
"""

import _signal as signal

from runtime.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_before: "dict[int, Any]" = {}  # what was done about each, once they are caught


def catch() -> None:
    """From now on these signals wait, for `allow` or for `release`. One that the caller ignores stays ignored."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    for number in ENDING:
        if _before.setdefault(number, signal.getsignal(number)) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def release() -> None:
    """Nothing hangs any more that would have to be undone: they end us again, also those that have waited."""
    if _before:
        for number in ENDING:
            signal.signal(number, _before.pop(number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def allow() -> None:
    """Until `hold`, the first of these signals is Interrupted, where they are caught."""
    if _before:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def hold() -> "set[int]":
    """They wait again. Returns what was held before, for `restore`."""
    before: set[int] = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING if _before else ())
    return before


def restore(before: "set[int]") -> None:
    """As it was before a `hold`."""
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def attend(call: "Callable[..., object]", *arguments: "Any") -> None:
    """``call(*arguments)``, which may hang, between `allow` and `hold`."""
    try:
        allow()
        call(*arguments)
    finally:
        hold()


def _interrupt(number: int, _: object) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # once is enough: what was made is unmade now
    raise Interrupted(f"interrupted by signal {number}; the container is removed")
