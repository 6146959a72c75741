"""In the place of the standard library's module, which brings ast, dis and more, a megabyte: attrs and dataclasses ask for signatures,
to copy annotations that nobody here reads.
"""


class Parameter:
    """A parameter of a function; there are none."""

    empty = type("empty", (), {})


class Signature:
    """A signature that says nothing."""

    empty = Parameter.empty
    return_annotation = Parameter.empty

    def __init__(self) -> None:
        self.parameters: dict[str, Parameter] = {}

    def __str__(self) -> str:
        return "()"


def signature(function: object) -> Signature:  # noqa: ARG001
    """Nothing is known of the function."""
    return Signature()


def cleandoc(text: str) -> str:
    """A docstring without its indentation, as the module's own."""
    first, *rest = text.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first.lstrip(), *(line[margin:] for line in rest)]).strip("\n")
