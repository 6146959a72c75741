"""Whether a document has the shape its schema requires: a fast yes or no. `report` says what is wrong.

The shapes are in `_shapes.py`, generated from the schema. A shape is

    str, bool, int, dict        a value of exactly that type
    (low, high)                 an integer within bounds, inclusive
    {"a", "b"}                  one of these strings
    function                    a string for which it returns True (a pattern)
    [shape] or [shape, least]   an array, with at least that many items
    {"name": shape, ...}        an object; None: required names, 0: the shape of all other properties
    b"windows"                  a shape of `_shapes_elsewhere.py`, loaded on first use
"""

from oci_spec._shapes import config, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json, JsonObject

_ONLY_STR = {str}


def holds(value: "Json", shape: "Json") -> bool:
    """Whether a value has a shape. Properties that the shape does not name are not checked."""
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
        return holds(value, elsewhere(shape.decode()))
    return type(value) is str and (value in shape if kind is set else shape(value))


def _object_holds(value: "JsonObject", shape: "dict[Json, Json]") -> bool:
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


def elsewhere(name: str) -> "Json":
    """A shape that a good Linux config does not use: another platform's section, or "state" or "features"."""
    from oci_spec._shapes_elsewhere import ELSEWHERE

    return ELSEWHERE[name]


def shape_of(kind: str) -> "Json":
    if kind == "config":
        return config
    return process if kind == "process" else elsewhere(kind)


def verify(spec: "Json", kind: str = "config") -> bool:
    """Whether a document satisfies the schema of its kind. Does not say why not."""
    return holds(spec, shape_of(kind))
