"""What is wrong with an image."""

from runtime.errors import OcirunError


class BadImage(OcirunError):
    """The image is damaged, hostile, or of a kind that is not supported; what was made of it is removed."""

    code = "invalid-image"


class NotADirectory(BadImage):
    """A path leads through a file that is no directory, in the layer or in those below it."""


def shown(name: bytes) -> str:
    """A name from an archive, for a message: cut, since it may be 4,096 bytes long."""
    text = name.decode(errors="backslashreplace")
    return text if len(text) <= 120 else f"{text[:120]}…"
