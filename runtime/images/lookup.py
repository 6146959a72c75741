"""Files of an image, read through its layers, without a mount. Links are followed within the root."""

import posix

from runtime.images import names
from runtime.images.errors import BadImage, shown
from runtime.kernel import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.merged import Found, Merged
    from runtime.images.names import Path

_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_LINKS = 40


def chain(merged: "Merged", path: "Path") -> "list[Found]":
    """The root, each directory above ``path``, and ``path``; [] unless all of them are directories, and no links."""
    root = merged.root()
    found = [root] if root else []
    for depth, name in enumerate(path):
        below = merged.find(found[-1].layers, path[:depth], name) if found else None
        if below is None or not below.layers:
            return []
        found.append(below)
    return found


def read(merged: "Merged", path: bytes, most: int) -> "bytes | None":
    """The content of a file; None if there is none. BadImage for one that is larger than ``most``, or not regular."""
    waiting = list(reversed(names.components(path)))
    here: list[bytes] = []
    links = 0
    while waiting:
        name = waiting.pop()
        if name == b"..":
            del here[-1:]
            continue
        above = chain(merged, tuple(here))
        found = merged.find(above[-1].layers, tuple(here), name) if above else None
        if found is None:
            return None
        kind = found.status.st_mode & S_IFMT
        directory = merged.directory(found.layer, tuple(here))
        if kind == S_IFLNK and links < _LINKS:
            links += 1
            target = posix.readlink(name, dir_fd=directory)
            here = [] if target.startswith(b"/") else here
            waiting += reversed(names.components(target))
        elif kind == S_IFREG and not waiting:
            return _content(name, directory, most)
        elif kind == S_IFDIR:
            here.append(name)
        else:
            break
    raise BadImage(f"the image's {shown(path)} is not a file")


def _content(name: bytes, directory: int, most: int) -> bytes:
    descriptor = posix.open(name, _READ, dir_fd=directory)
    try:
        if posix.fstat(descriptor).st_size > most:
            raise BadImage(f"the image's {shown(name)} has more than {most} bytes")
        return posix.read(descriptor, most)
    finally:
        posix.close(descriptor)
