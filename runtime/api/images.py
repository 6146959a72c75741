"""Images and bundles: what `ocirun bundle` does. The command runs in a process of its own, since it changes its umask and, for
an ordinary user, becomes another in a user namespace.
"""

from runtime.api import bundling
from runtime.api.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.api.bundling import Answer, Given, Question

__all__ = ["changes", "commit", "prune", "unpack"]


def _answered(ask: "Callable[Given, Question[Answer]]") -> "Callable[Given, Answer]":
    """The function that asks, and waits for the answer."""

    def function(*given: "Given.args", **options: "Given.kwargs") -> "Answer":
        words, read = ask(*given, **options)
        with Command(words) as command:
            command.wait()
            return read(command.result())

    return bundling.named(function, ask)


unpack = _answered(bundling.unpack)
changes = _answered(bundling.changes)
commit = _answered(bundling.commit)
prune = _answered(bundling.prune)
