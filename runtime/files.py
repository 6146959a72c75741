"""Small files, most of them the kernel's: read whole, written with one call. Hot: imports only builtins."""

import posix

BLOCK = 1 << 16  # bytes asked of one read(2)
PAGE = 4096


def read(path: str, dir_fd: int | None = None) -> bytes:
    """The whole content. Raises OSError."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
    try:
        pieces = []
        while piece := posix.read(descriptor, BLOCK):
            pieces.append(piece)
    finally:
        posix.close(descriptor)
    return b"".join(pieces)


def read_or_empty(path: str, dir_fd: int | None = None) -> bytes:
    """The content as far as it can be read; b"" if the file is missing or unreadable, as a threaded cgroup's cgroup.procs."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
    except OSError:
        return b""
    pieces = []
    try:
        while piece := posix.read(descriptor, BLOCK):
            pieces.append(piece)
    except OSError:
        pass
    finally:
        posix.close(descriptor)
    return b"".join(pieces)


def read_page(path: str) -> bytes:
    """The first page, with a single read(2): enough for a file of one value. b"" if the file is missing or disappears."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return posix.read(descriptor, PAGE)
    except OSError:
        return b""
    finally:
        posix.close(descriptor)


def write(path: str, data: bytes, dir_fd: int | None = None) -> None:
    """Write to a file that exists, with a single write(2). Raises OSError."""
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
    try:
        posix.write(descriptor, data)
    finally:
        posix.close(descriptor)


def components(path: str) -> list[str]:
    """The parts of a path, without empty ones and "."; ".." stays. Pure."""
    return [part for part in path.split("/") if part not in ("", ".")]


def clean(path: str) -> str:
    """A path from / without empty parts, "." and "..". Links are not followed, so it is only good for comparing. Pure."""
    if path.startswith("/") and not path.endswith("/") and "//" not in path and "/." not in path:
        return path  # as most are
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def is_below(path: str, above: str) -> bool:
    """Whether ``path`` is ``above`` or below it, as text. Pure."""
    return path == above or path.startswith(f"{above}/")


def escape(name: str) -> str:
    """A property's name as part of a JSON pointer (RFC 6901). Pure."""
    return name.replace("~", "~0").replace("/", "~1")
