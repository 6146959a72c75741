"""The functions of `runtime.api.images`, to be awaited. One that is cancelled ends its process, which cleans up first."""

import asyncio

from runtime.api import bundling
from runtime.api.aio.waiting import ended
from runtime.api.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from runtime.api.bundling import Answer, Given, Question

__all__ = ["changes", "commit", "prune", "unpack"]


def _answered(ask: "Callable[Given, Question[Answer]]") -> "Callable[Given, Coroutine[Any, Any, Answer]]":
    """The coroutine function that asks, and waits for the answer."""

    async def function(*given: "Given.args", **options: "Given.kwargs") -> "Answer":
        words, read = ask(*given, **options)
        with Command(words) as command:
            try:
                await ended(command.process)
            except asyncio.CancelledError:
                command.end()
                await ended(command.process)  # cancelled here, it is killed by the end of the with statement
                raise
            command.wait()
            return read(command.result())

    return bundling.named(function, ask)


unpack = _answered(bundling.unpack)
changes = _answered(bundling.changes)
commit = _answered(bundling.commit)
prune = _answered(bundling.prune)
