"""In the place of the builtin module, whose tables are a megabyte: attrs normalises the names of classes, which are ASCII."""


def normalize(form: str, text: str) -> str:  # noqa: ARG001
    """The text itself, which must be ASCII."""
    text.encode("ascii")
    return text
