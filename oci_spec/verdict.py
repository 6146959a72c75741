"""The verdict on a document, for a command that uses it: shape, rules, and (only when one of them says no) the report."""

from oci_spec.document import BadDocument, complete, load_known
from oci_spec.shape import verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oci_spec.problem import Problem, Row
    from oci_spec.types import Json

    # Further checks on a document, such as those that need the host.
    More = Callable[[Json], Iterable[Row]]


def load_checked(
    data: bytes, kind: str = "config", more: "More | None" = None, unknown: bool = False
) -> "tuple[Json, list[Problem]]":
    """A document of "config" or "process" kind for use, with what is wrong with it by schema, rules and `more`.

    Properties that are null are not in it, and its process has a uid and a gid.

    The list is empty for a good document, and then nothing was imported but this package's hot modules. It can hold
    warnings only: the caller refuses when one of the problems is an error. Advice on style, repeated keys and, unless
    ``unknown``, properties that the spec does not have are left to `check`. When the text is no JSON the value is {}.
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
    if more is not None and not nul:  # no system call takes such a path
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
    """What the rules say on a document that the schema accepts."""
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
