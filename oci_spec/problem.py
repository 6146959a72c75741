"""A problem in a document, as `ocirun validate --format json` prints it. Imports nothing, since warnings are hot."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oci_spec.types import Json

    # pointer, severity, message, hint, rule: a problem not yet located in the text.
    Row = tuple[str, str, str, str | None, str]

    # Further checks of a document, such as those that need the host.
    More = Callable[[Json], Iterable[Row]]

ERROR = "error"
WARNING = "warning"


class Problem:
    """One finding.

    pointer   JSON pointer (RFC 6901); for a missing property, the one it would have
    line      from 1: the value's, an unknown property's key's, or a missing property's nearest parent's
    column    from 1, in characters
    severity  "error" or "warning"
    message   lower case, no full stop
    hint      what to do, or None
    rule      "schema:<keyword>", "json", "document", "host:<name>", "plan" or a function's name in `oci_spec.rules`
    """

    __slots__ = ("column", "hint", "line", "message", "pointer", "rule", "severity")

    def __init__(
        self, pointer: str, line: int, column: int, severity: str, message: str, hint: "str | None", rule: str
    ) -> None:
        self.pointer = pointer
        self.line = line
        self.column = column
        self.severity = severity
        self.message = message
        self.hint = hint
        self.rule = rule

    def as_dict(self) -> "dict[str, str | int | None]":
        """The object in the JSON report, with its members in the documented order."""
        return {name: getattr(self, name) for name in FIELDS}

    def order(self) -> "tuple[bool, int, int, str, str, str]":
        """Errors first, then by place."""
        return self.severity != ERROR, self.line, self.column, self.rule, self.pointer, self.message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash(self.order())

    def __repr__(self) -> str:
        return f"Problem({', '.join(f'{name}={getattr(self, name)!r}' for name in FIELDS)})"


FIELDS = ("pointer", "line", "column", "severity", "message", "hint", "rule")

# Located at the key, since the value may be anything.
ABOUT_THE_KEY = ("unknown_property", "platform_section", "annotation_key", "annotation_reserved")


def located(data: bytes, rows: "Iterable[Row]") -> "list[Problem]":
    """Rows as problems with their line and column, in the order of a report, without duplicates."""
    from oci_spec.positions import read

    positions = read(data)[1]
    problems = []
    for pointer, severity, message, hint, rule in rows:
        line, column = positions.find(pointer, rule in ABOUT_THE_KEY)
        problems.append(Problem(pointer, line, column, severity, message, hint, rule))
    return ordered(problems)


def ordered(problems: "Iterable[Problem]") -> "list[Problem]":
    return sorted(set(problems), key=Problem.order)
