"""The names in a layer. Pure."""

from runtime.images.errors import BadImage, shown

MAX_NAME = 255  # bytes of a component (NAME_MAX)
MAX_PATH = 4096
WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"

Path = tuple[bytes, ...]


def parts(name: bytes) -> Path:
    """The components of an entry's name, from the layer's root: () is the root. BadImage for a name that has no one meaning."""
    if b"\0" in name or len(name) > MAX_PATH:
        raise BadImage(f"{shown(name)}: a name with a NUL, or of more than {MAX_PATH} bytes")
    found = components(name)
    for part in found:
        if part == b"..":
            raise BadImage(f"{shown(name)}: a name with .. in it")
        if len(part) > MAX_NAME:
            raise BadImage(f"{shown(name)}: a name with a component of more than {MAX_NAME} bytes")
    if any(part.startswith(WHITEOUT) for part in found[:-1]):
        raise BadImage(f"{shown(name)}: a file below a whiteout")
    return found


def components(path: bytes) -> Path:
    """The components of a path or of a link's target, ".." included."""
    return tuple(part for part in path.split(b"/") if part not in (b"", b"."))


def walked(path: bytes) -> bytes:
    """A key that sorts paths as a walk does: what is in a directory comes right after it."""
    return path.replace(b"/", b"\0")


def hidden(name: bytes) -> bytes:
    """What the whiteout ``name`` hides; b"" for a name that aufs has kept for itself. BadImage if nothing can have that name."""
    target = name.removeprefix(WHITEOUT)
    if target in (b"", b".", b".."):
        raise BadImage(f"{shown(name)}: a whiteout of nothing")
    return b"" if target.startswith(WHITEOUT) else target
