"""Parses the bytes of a document. Positions are not kept: `positions` scans the text again when one is needed.

The scanner is the standard library's C one, used without the `json` package, whose import costs more than the scan.
"""

from _json import make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from oci_spec.types import Json

# No real config is larger, or nests deeper: deeper nesting is an attack on the reader's stack.
SIZE_LIMIT = 16 * 1024 * 1024
DEPTH_LIMIT = 256
STRINGS_LIMIT = 65_536  # different ones in a document; no real config has a hundredth of it (see oci_spec/strings.py)

NULLABLE = ("config", "process")  # kinds in which a null property counts as absent

_WHITESPACE = " \t\n\r"


class BadDocument(ValueError):
    """The bytes are not a JSON document that we accept. `positions.explain` says why, and where."""


def _refuse_constant(name: str) -> "NoReturn":
    raise BadDocument(f"{name} is not a JSON value")


class _Context:
    """The C scanner's settings."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_refuse_constant)


# The scanner takes any object with these attributes; its stub says otherwise.
_scan = make_scanner(_Context)  # type: ignore[arg-type]


def load(data: bytes) -> "Json":
    """The value of a JSON text. Raises BadDocument, without a position: `positions.explain(data)` has it.

    The last value of a repeated key wins, as in the other runtimes. Escaped lone surrogates are refused: they cannot
    be encoded as UTF-8, so no path or argument can hold them.
    """
    if len(data) > SIZE_LIMIT:
        raise BadDocument("too large")
    try:
        text = data.decode()
        if too_many_strings(text):
            raise BadDocument("too many strings")
        value, end = _scan(text, 0 if text[:1] in "{[" else _skip(text))
    except BadDocument:
        raise
    # ValueError: bad UTF-8, bad JSON or a long number. SystemError: bad JSON while json.decoder, which defines the
    # scanner's exception, is not imported, as in every command that has not met an error yet.
    except (ValueError, StopIteration, RecursionError, SystemError) as error:
        raise BadDocument(str(error)) from None
    if text[end:].strip(_WHITESPACE):
        raise BadDocument("text after the document")
    if data.count(b"{") + data.count(b"[") > DEPTH_LIMIT and _depth_exceeded(value):
        raise BadDocument("too deep")
    if (b"\\ud" in data or b"\\uD" in data) and _has_surrogate(value):
        raise BadDocument("lone surrogate")
    return value


def too_many_strings(text: str) -> bool:
    """Whether there are more different strings than the limit."""
    if text.count('"') <= 2 * STRINGS_LIMIT:
        return False
    from oci_spec.strings import different

    return different(text) > STRINGS_LIMIT


def load_known(data: bytes, kind: str) -> "Json":
    """As load(), but without the null properties of a "config" or "process" document."""
    value = load(data)
    if b"null" in data and kind in NULLABLE:
        from oci_spec.nulls import remove

        remove(value, kind)
    return value


def complete(document: "Json", kind: str) -> None:
    """Set a missing uid or gid of a checked config's process to 0; the rule user_ids_required warns about it."""
    process = document if kind == "process" else document.get("process")
    if process and kind in NULLABLE:
        user = process.setdefault("user", {})
        user.setdefault("uid", 0)
        user.setdefault("gid", 0)


def load_accepted(data: bytes) -> "Json":
    """A config accepted earlier, as `load_checked` returned it."""
    value = load_known(data, "config")
    complete(value, "config")
    return value


def _skip(text: str) -> int:
    return len(text) - len(text.lstrip(_WHITESPACE))


def _depth_exceeded(value: "Json") -> bool:
    """Whether containers nest deeper than the limit. Goes level by level, without recursion."""
    level = [value]
    for _ in range(DEPTH_LIMIT):
        inner: list[Json] = []
        for item in level:
            if type(item) is dict:
                inner.extend(item.values())
            elif type(item) is list:
                inner.extend(item)
        if not inner:
            return False
        level = inner
    return any(type(item) in (dict, list) for item in level)


def _has_surrogate(value: "Json") -> bool:
    todo = [value]
    while todo:
        item = todo.pop()
        if type(item) is dict:
            todo.extend(item)
            todo.extend(item.values())
        elif type(item) is list:
            todo.extend(item)
        elif type(item) is str and not item.isascii():
            try:
                item.encode()
            except UnicodeEncodeError:
                return True
    return False
