"""Deciding on a document: the fast checker, the rules, and (only when one of them says no) the words.

The fast checker reads the shapes of `_checker.py`, which are made from the schema. A shape is

    str, bool, int, dict        a value of just that type
    (low, high)                 an integer within bounds, both included
    {"a", "b"}                  one of these strings
    function                    a string for which it is true (a pattern)
    [shape] or [shape, least]   an array, of at least so many items
    {"name": shape, ...}        an object; None: required names, 0: the shape of every property without its own
    b"windows"                  a shape of `_checker_rare.py`, loaded when it is met
"""

from oci_spec._checker import config, process
from oci_spec.document import BadDocument, complete, load_known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from oci_spec.problem import Problem

    # pointer, severity, message, hint, rule: a problem whose place in the text has not been looked for.
    Row = tuple[str, str, str, str | None, str]
    # Further checks on a document, such as those that need the host.
    More = Callable[[Any], Iterable[Row]]

_STRINGS = [str]
_ONLY_STR = {str}


def holds(value: "Any", shape: "Any") -> bool:
    """Whether a value has a shape. Properties that the shape does not name may be anything."""
    kind = type(shape)
    if kind is type:
        return type(value) is shape
    if kind is dict:
        return type(value) is dict and _object_holds(value, shape)
    if kind is list:
        if type(value) is not list or (len(shape) > 1 and len(value) < shape[1]):
            return False
        item_shape = shape[0]
        if item_shape is str:
            return not value or set(map(type, value)) == _ONLY_STR
        for item in value:  # noqa: SIM110, all() would add a generator to each level
            if not holds(item, item_shape):
                return False
        return True
    if kind is tuple:
        return type(value) is int and shape[0] <= value <= shape[1]
    if kind is bytes:
        return holds(value, rare(shape.decode()))
    return type(value) is str and (value in shape if kind is set else shape(value))


def _object_holds(value: "dict[str, Any]", shape: "dict[Any, Any]") -> bool:
    if None in shape:
        for name in shape[None]:
            if name not in value:
                return False
    others = shape.get(0)
    for name, item in value.items():
        inner = shape.get(name, others)
        if inner is str:
            if type(item) is not str:
                return False
        elif inner is not None and not holds(item, inner):
            return False
    return True


def rare(name: str) -> "Any":
    """The shape of a part that is seldom met: another platform, "state" or "features"."""
    from oci_spec._checker_rare import RARE

    return RARE[name]


def shape_of(kind: str) -> "Any":
    if kind == "config":
        return config
    return process if kind == "process" else rare(kind)


def verify(spec: "Any", kind: str = "config") -> bool:
    """Whether a document's value satisfies the schema of its kind. Says no more than that."""
    return holds(spec, shape_of(kind))


def load_checked(
    data: bytes, kind: str = "config", more: "More | None" = None, unknown: bool = False
) -> "tuple[Any, list[Problem]]":
    """A document of "config" or "process" kind for use, with what is wrong with it by schema, rules and `more`.

    Properties that are null are not in it, and its process has a uid and a gid.

    The list is empty for a good document, and then nothing was imported but this package's hot modules. It can hold
    warnings only: the caller refuses when one of the problems is an error. Advice on style, repeated keys and, unless
    ``unknown``, properties that the spec does not have are left to `check`. When the text is no JSON the value is {}.
    """
    try:
        spec = load_known(data, kind)
    except BadDocument:
        return {}, check(data, kind, more)
    if not verify(spec, kind):
        return spec, check(data, kind, more)
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


def rule_rows(spec: "Any", kind: str = "config") -> "list[Row]":
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


def check(data: bytes, kind: str = "config", more: "More | None" = None) -> "list[Problem]":
    """Every problem of a document, in the order of its text: JSON, schema, rules, advice. See `oci_spec.reporting`."""
    from oci_spec.reporting import check as report

    return report(data, kind, more)
