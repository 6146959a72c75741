"""The rule on properties that the spec does not define: for `validate`, and for the documents of `exec` and `update`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.rules import Finding
    from oci_spec.types import Config, Json


def unknown_property(spec: "Config", kind: str = "config") -> "Iterator[Finding]":
    """config.md#extensibility: a property that the spec does not define is ignored, so it may be a typo."""
    from oci_spec.shape import shape_of

    return _unknown(spec, shape_of(kind), "")


def _unknown(value: "Json", shape: "Json", pointer: str) -> "Iterator[Finding]":
    from oci_spec.rules import escape
    from oci_spec.shape import elsewhere

    if type(shape) is bytes:
        shape = elsewhere(shape.decode())
    if type(shape) is list and type(value) is list:
        for index, item in enumerate(value):
            yield from _unknown(item, shape[0], f"{pointer}/{index}")
    elif type(shape) is dict and type(value) is dict:
        for name, item in value.items():
            inner = f"{pointer}/{escape(name)}"
            if name in shape or 0 in shape:
                yield from _unknown(item, shape.get(name, shape.get(0)), inner)
            else:
                known = [other for other in shape if type(other) is str]
                message = f"{name} is not a property of the spec, it has no effect"
                yield inner, "warning", message, _hint(name, known)


def _hint(name: str, known: "list[str]") -> "str | None":
    from oci_spec.nearest import nearest

    near = nearest(name, known)
    return f"did you mean {near}?" if near else None
