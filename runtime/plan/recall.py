"""An operation of the record back from its names, as far as a message about it needs. Pure and cold."""

from .ops import CONTAINER, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import TailRow

    from .ops import Operation

CODES = {name: code for code, (name, _, _) in enumerate(TABLE)}


def recall(row: "TailRow") -> "Operation | None":
    """The operation; None if this release has none of that name.

    An argument that the row lacks is 0 or "": it was, or the release that wrote the row had no such argument.
    """
    code = CODES.get(row["name"])
    if code is None:
        return None
    _, numbers, strings = TABLE[code]
    given = row.get("arguments", {})
    return (
        code,
        CONTAINER,
        row.get("origin"),
        tuple(int(given.get(name, 0)) for name in numbers),
        tuple(str(given.get(name, "")) for name in strings),
    )
