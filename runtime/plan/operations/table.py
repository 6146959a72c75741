"""The decorators that add a function to the table of operations, by who performs it.

``origin``: the config pointer of every operation of that name; without one, the constructor may take it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Sentence = TypeVar("Sentence", bound=Callable[..., str])

# By code: the function, who performs the operation, its origin.
ROWS: "list[tuple[Callable[..., str], str, str | None]]" = []


def _row(side: str, origin: str | None) -> "Callable[[Sentence], Sentence]":
    def add(function: "Sentence") -> "Sentence":
        ROWS.append((function, side, origin))
        return function

    return add


def container(origin: str | None = None) -> "Callable[[Sentence], Sentence]":
    """Init performs it."""
    return _row("container", origin)


def host(origin: str | None = None) -> "Callable[[Sentence], Sentence]":
    """The parent performs it, while init waits."""
    return _row("host", origin)


def either(origin: str | None = None) -> "Callable[[Sentence], Sentence]":
    """Its constructor takes the side."""
    return _row("either", origin)
