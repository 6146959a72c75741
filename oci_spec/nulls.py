"""``null`` in the place of a property: as if it were not there, which is how the readers of the other runtimes take it.

Only what the schema lists by name can be null. An entry of a map (an annotation, a sysctl, a network device) that is null,
or an item of a list, stays, and is refused by the schema. Cold: loaded for a text that has the word.
"""

from oci_spec.shape import elsewhere, shape_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import Json


def remove(value: "Json", kind: str) -> "list[str]":
    """Take the null properties out of a document, in place. Returns their pointers."""
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
