"""The verdict on a document, for commands that use it: shape and rules, and the report only if one of them fails."""

from oci_spec.document import BadDocument, complete, load_known
from oci_spec.shape import verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.problem import More, Problem, Row
    from oci_spec.types import Json


def load_checked(
    data: bytes, kind: str = "config", more: "More | None" = None, unknown: bool = False
) -> "tuple[Json, list[Problem]]":
    """Load a "config" or "process" document for use, with the problems that schema, rules and `more` find.

    Null properties are removed, and a missing uid or gid is filled in.

    A good document has no problems, and imports only this package's hot modules. The problems may all be warnings: the
    caller refuses only if one is an error. `check` also reports style, repeated keys and unknown properties (the last
    here too with ``unknown``). If the text is not JSON, the value is {}.
    """
    try:
        spec = load_known(data, kind)
    except BadDocument:
        return {}, _report(data, kind, more)
    if not verify(spec, kind):
        return spec, _report(data, kind, more)
    rows = rule_rows(spec, kind)
    nul: list[Row] = []
    if b"\\u0000" in data:
        from oci_spec.rules.text import nul_in_string

        nul = [(*finding, "nul_in_string") for finding in nul_in_string(spec)]
    if more is not None and not nul:  # no system call accepts a path with a NUL
        rows += more(spec)
    rows += nul
    if unknown:
        from oci_spec.rules.unknown import unknown_property

        rows += [(*finding, "unknown_property") for finding in unknown_property(spec, kind)]
    complete(spec, kind)
    if not rows:
        return spec, []
    from oci_spec.problem import located

    return spec, located(data, rows)


def rule_rows(spec: "Json", kind: str = "config") -> "list[Row]":
    """The rules' findings on a document that the schema accepts."""
    from oci_spec.rules import rules_for

    document = {"process": spec} if kind == "process" else spec
    rows: list[Row] = []
    for rule in rules_for(document, kind):
        for pointer, severity, message, hint in rule(document):
            rows.append((pointer, severity, message, hint, rule.__name__))
    if kind == "process":
        rows = [(row[0].removeprefix("/process"), *row[1:]) for row in rows]
    return rows


def _report(data: bytes, kind: str, more: "More | None") -> "list[Problem]":
    from oci_spec.report import check

    return check(data, kind, more)
