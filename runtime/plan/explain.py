"""An operation as a sentence, as `ocirun plan` prints it. Pure and cold: only a failure or a report imports it."""

from . import ops
from .operations import ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ops import Operation, String

# String arguments that are bytes in the plan itself.
BINARY = ("program",)


def text_of(value: "String") -> str:
    """A string argument as text: bytes if it came from the wire, None if it is absent."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else ""


def sentence(operation: "Operation") -> str:
    code, side, origin, numbers, strings = operation
    name, number_names, string_names = ops.TABLE[code]
    given: dict[str, object] = {"side": side, "origin": origin, **dict(zip(number_names, numbers, strict=True))}
    for name, value in zip(string_names, strings, strict=True):
        given[name] = text_of(value) if isinstance(value, bytes) and name not in BINARY else value
    function = ROWS[code][0]
    code_object = function.__code__
    return function(*(given[name] for name in code_object.co_varnames[: code_object.co_argcount]))
