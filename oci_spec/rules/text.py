"""The rule on NUL characters in strings. Loaded only for a document with an escaped NUL."""

from oci_spec.rules import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.rules import Finding
    from oci_spec.types import Json


def nul_in_string(spec: "Json", pointer: str = "") -> "Iterator[Finding]":
    """config.md#valid-values: no string contains a NUL: the kernel would cut a path or an argument there."""
    if type(spec) is str:
        if "\0" in spec:
            yield (
                pointer,
                "error",
                "the string has a NUL character",
                "leave \\u0000 out: the kernel's strings end there",
            )
    elif type(spec) is list:
        for index, item in enumerate(spec):
            yield from nul_in_string(item, f"{pointer}/{index}")
    elif type(spec) is dict:
        for name, item in spec.items():
            inner = f"{pointer}/{escape(name)}"
            if "\0" in name:
                yield inner, "error", "the name of the property has a NUL character", "leave \\u0000 out"
            yield from nul_in_string(item, inner)
