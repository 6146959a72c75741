"""Files of an image, read through its layers, without a mount. Links are followed within the root."""

import posix

from runtime.images import names
from runtime.images.errors import BadImage, shown
from runtime.images.trees.tree import MAX_STEPS
from runtime.kernel import S_IFLNK, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.names import Path
    from runtime.images.trees.merged import Found, Merged

_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_LINKS = 40


class Walk:
    """From directory to directory; what two paths have in common is looked up once."""

    def __init__(self, merged: "Merged") -> None:
        root = merged.root()
        self.path: list[bytes] = []
        self._merged = merged
        self._chain = [root] if root else []  # the root's and that of each directory of ``path``

    def common(self, path: "Path") -> int:
        """How many components of ``path`` the walk is at."""
        pairs = zip(self.path, path, strict=False)
        return next((depth for depth, (one, other) in enumerate(pairs) if one != other), min(len(self.path), len(path)))

    def find(self, name: bytes) -> "Found | None":
        """What the directory has by a name."""
        return self._merged.find(self._chain[-1].layers, tuple(self.path), name) if self._chain else None

    def enter(self, name: bytes, found: "Found") -> None:
        self.path.append(name)
        self._chain.append(found)

    def leave(self, depth: int) -> None:
        """Back to the directory that is ``depth`` below the root."""
        del self.path[depth:], self._chain[depth + 1 :]

    def to(self, path: "Path") -> "list[Found]":
        """The root, each directory above ``path``, and ``path``; [] unless all of them are directories, and no links."""
        self.leave(self.common(path))
        for name in path[len(self.path) :]:
            below = self.find(name)
            if below is None or not below.layers:
                return []
            self.enter(name, below)
        return self._chain


def real(merged: "Merged", path: bytes) -> "tuple[Path, Found | None]":
    """Where a path leads, and what is there. What is not there, and what lies below a file, is taken as it stands.

    BadImage for a path that leads through too many links or directories.
    """
    walk = Walk(merged)
    waiting = list(reversed(names.components(path)))
    missing: list[bytes] = []
    found: Found | None = None
    links = steps = 0
    while waiting:
        name = waiting.pop()
        steps += 1
        if steps > MAX_STEPS or links > _LINKS:
            raise BadImage(f"the image's {shown(path)} leads through too many symbolic links or directories")
        if name == b"..":
            found = None
            if missing:
                missing.pop()
            else:
                walk.leave(max(len(walk.path) - 1, 0))
            continue
        found = None if missing else walk.find(name)
        if found and found.layers:
            walk.enter(name, found)
        elif found and found.status.st_mode & S_IFMT == S_IFLNK:
            links += 1
            target = posix.readlink(name, dir_fd=merged.directory(found.layer, tuple(walk.path)))
            if target.startswith(b"/"):
                walk.leave(0)
            waiting += reversed(names.components(target))
        else:
            missing.append(name)
    return (*walk.path, *missing), found


def read(merged: "Merged", path: bytes, most: int) -> "bytes | None":
    """The content of a file; None if there is none. BadImage for one that is larger than ``most``, or not regular."""
    place, found = real(merged, path)
    if found and found.status.st_mode & S_IFMT == S_IFREG:
        return _content(place[-1], merged.directory(found.layer, place[:-1]), most)
    if found:
        raise BadImage(f"the image's {shown(path)} is not a file")
    return None


def _content(name: bytes, directory: int, most: int) -> bytes:
    descriptor = posix.open(name, _READ, dir_fd=directory)
    try:
        if posix.fstat(descriptor).st_size > most:
            raise BadImage(f"the image's {shown(name)} has more than {most} bytes")
        return posix.read(descriptor, most)
    finally:
        posix.close(descriptor)
