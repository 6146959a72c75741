"""Layers on top of one another, as overlayfs shows them, looked at without a mount. Links are followed within the root."""

import posix

from runtime.images import names
from runtime.images.errors import BadImage, shown
from runtime.images.tree import is_whiteout
from runtime.kernel import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.images.names import Path
    from runtime.images.owners import Form

    Merged = Sequence[
        tuple[int, int]
    ]  # a directory: the number of a layer that has it, and its descriptor there; top first

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_LINKS = 40


def is_opaque(directory: int, form: "Form") -> bool:
    """Whether a directory of a layer hides what lower layers have in it."""
    try:
        return posix.getxattr(directory, f"{form}.overlay.opaque") == b"y"
    except OSError:
        return False


def visible(layers: "Sequence[int]", form: "Form") -> int:
    """How many layers count, from the top: below one whose root is opaque none does, which overlayfs does not do itself."""
    return next((count for count, layer in enumerate(layers, 1) if is_opaque(layer, form)), len(layers))


class Stack:
    """``layers``: descriptors of the layers' roots, the top first; they stay the caller's. Closed by `close`."""

    def __init__(self, layers: "Sequence[int]", form: "Form") -> None:
        self._root = list(enumerate(layers))
        self._form = form
        self._opened: list[int] = []

    def close(self) -> None:
        for descriptor in self._opened:
            posix.close(descriptor)
        self._opened.clear()

    def below(self, directories: "Merged", name: bytes) -> "tuple[int, Merged]":
        """The type of a name in a merged directory (0: none), and what it merges; of a file, the directory that has it."""
        found: list[tuple[int, int]] = []
        for number, directory in directories:
            try:
                status = posix.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            kind = status.st_mode & S_IFMT
            if kind != S_IFDIR:
                return (S_IFDIR, found) if found else (0 if is_whiteout(status) else kind, [(number, directory)])
            found.append((number, posix.open(name, _DIRECTORY, dir_fd=directory)))
            self._opened.append(found[-1][1])
            if is_opaque(found[-1][1], self._form):
                break
        return (S_IFDIR if found else 0), found

    def directories(self, path: "Path") -> "list[Merged]":
        """What the root, each directory above ``path``, and ``path`` merge; [] unless all of them are directories, and no links."""
        merged: list[Merged] = [self._root]
        for name in path:
            kind, found = self.below(merged[-1], name)
            if kind != S_IFDIR:
                return []
            merged.append(found)
        return merged

    def read(self, path: bytes, most: int) -> "bytes | None":
        """The content of a file; None if there is none. BadImage for one that is larger than ``most``, or not regular."""
        waiting = list(reversed(names.components(path)))
        above: list[Merged] = [self._root]
        links = 0
        while waiting:
            name = waiting.pop()
            if name == b"..":
                above = above[:-1] or above
                continue
            kind, found = self.below(above[-1], name)
            if kind == S_IFDIR:
                above.append(found)
            elif kind == S_IFLNK and links < _LINKS:
                links += 1
                target = posix.readlink(name, dir_fd=found[0][1])
                above = above[:1] if target.startswith(b"/") else above
                waiting += reversed(names.components(target))
            elif kind == S_IFREG and not waiting:
                return _content(name, found[0][1], most)
            elif kind == 0:
                return None
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
