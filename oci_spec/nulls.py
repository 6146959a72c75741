"""A property that is ``null`` counts as absent, as it does for the other runtimes' JSON readers.

This holds only for properties that the schema lists by name. A null map entry (an annotation, a sysctl, a network device)
or list item stays, and the schema refuses it. Cold: loaded only if the text contains "null".
"""

from oci_spec.shape import elsewhere, shape_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import Json


def remove(value: "Json", kind: str) -> "list[str]":
    """Remove the null properties from a document, in place. Returns their pointers."""
    return list(_remove(value, shape_of(kind), ""))


def _remove(value: "Json", shape: "Json", pointer: str) -> "Iterator[str]":
    from oci_spec.rules import escape

    if type(shape) is bytes:
        shape = elsewhere(shape.decode())
    if type(shape) is list and type(value) is list:
        for index, item in enumerate(value):
            yield from _remove(item, shape[0], f"{pointer}/{index}")
    elif type(shape) is dict and type(value) is dict:
        for name, item in list(value.items()):
            inner = f"{pointer}/{escape(name)}"
            if item is None and type(name) is str and name in shape:
                del value[name]
                yield inner
            else:
                yield from _remove(item, shape.get(name, shape.get(0)), inner)
