"""An operation as a sentence: what `ocirun plan` prints. Pure, and cold: no good path imports it."""

from . import ops
from .operations import ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ops import Operation

# The strings that are bytes as planned, too.
BINARY = ("program",)


def words(value: "Any") -> str:
    """A string of a plan that came from the wire, or that no operation has."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value or ""


def sentence(operation: "Operation") -> str:
    code, side, origin, numbers, strings = operation
    name, number_names, string_names = ops.TABLE[code]
    given: dict[str, Any] = {"side": side, "origin": origin, **dict(zip(number_names, numbers, strict=True))}
    for name, value in zip(string_names, strings, strict=True):
        given[name] = words(value) if isinstance(value, bytes) and name not in BINARY else value
    function = ROWS[code][0]
    code_object = function.__code__
    return function(*(given[name] for name in code_object.co_varnames[: code_object.co_argcount]))
