"""The directory of one layer, or of a copy: each name in it is resolved here, never by the kernel through a link.

A path is walked component by component from the root's descriptor. A symbolic link leads on from the same root, as for
chroot(2), however it is written; so nothing outside is opened, whatever the layer has made before.
"""

import posix

from runtime.host.overlay import is_whiteout
from runtime.images import names
from runtime.images.errors import BadImage, NotADirectory, shown
from runtime.kernel import S_IFDIR, S_IFLNK, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.images.budget import Budget
    from runtime.images.names import Path

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_LINKS = 40  # followed for one path, as the kernel does
MAX_STEPS = 4096  # components looked up for one path, those of the links' targets included
_KEPT = 64  # descriptors of directories
NEW_DIRECTORY = 0o755  # of one that the layer has no entry for


class Tree:
    """``root``: a descriptor, which stays the caller's. ``implied``: the real paths of directories made without an entry.

    ``hide`` is called with a directory that was made in the place of a whiteout. What is looked up and made counts in
    ``budget``.
    """

    def __init__(
        self, root: int, hide: "Callable[[int], None]" = lambda _: None, budget: "Budget | None" = None
    ) -> None:
        self._root = root
        self._hide = hide
        self._budget = budget
        self._open: dict[Path, int] = {}
        self.implied: set[bytes] = set()

    @property
    def opened(self) -> int:
        """How many descriptors it has."""
        return len(self._open)

    def close(self) -> None:
        self.forget()

    def descriptor(self, path: "Path") -> int:
        """A real directory: no component is a link. It stays open until the next call."""
        known = len(path)
        while known and path[:known] not in self._open:
            known -= 1
        current = self._open[path[:known]] if known else self._root
        for index in range(known, len(path)):
            if len(self._open) >= _KEPT:
                self.forget(path[:index])
            current = self._open[path[: index + 1]] = posix.open(path[index], _DIRECTORY, dir_fd=current)
        return current

    def keep_deepest(self) -> None:
        """Close all directories but the deepest: the next one is likely near it."""
        self.forget(max(self._open, key=len, default=()))

    def forget(self, but: "Path" = ()) -> None:
        """Close what is open: a directory is no longer where it was, or there are too many."""
        kept = self._open.pop(but, -1)
        for descriptor in self._open.values():
            posix.close(descriptor)
        self._open.clear()
        if kept >= 0:
            self._open[but] = kept

    def real(self, path: "Path", make: bool) -> "Path":
        """The real path of a directory, links resolved within the root. ``make``: what is missing is made.

        NotADirectory if it is none, FileNotFoundError if there is none, BadImage if the links lead too far.
        """
        if path in self._open:
            return path
        waiting = list(reversed(path))
        real: list[bytes] = []
        links = steps = 0
        while waiting:
            steps += 1
            if steps > MAX_STEPS:
                raise BadImage(f"{shown(b'/'.join(path))}: its links lead through more than {MAX_STEPS} directories")
            if self._budget:
                self._budget.steps(1)
            part = waiting.pop()
            if part == b"..":
                del real[-1:]
                continue
            here = tuple(real)
            kind = self._kind(here, part, make)
            if kind == S_IFLNK:
                links += 1
                if links > _LINKS:
                    raise BadImage(f"{shown(b'/'.join(path))}: too many levels of symbolic links")
                target = self._target(here, part)
                if target.startswith(b"/"):
                    real.clear()
                waiting += reversed(names.components(target))
            elif kind == S_IFDIR:
                real.append(part)
            else:
                raise NotADirectory(f"{shown(b'/'.join(path))}: {shown(b'/'.join((*here, part)))} is not a directory")
        return tuple(real)

    def _kind(self, here: "Path", part: bytes, make: bool) -> int:
        """The type of a file, after a missing directory was made."""
        if (*here, part) in self._open:
            return S_IFDIR
        status = self.status(here, part)
        if status is None:
            return self._missing(here, part, make)
        if not is_whiteout(status):
            return status.st_mode & S_IFMT
        if not make:
            raise FileNotFoundError(part)
        posix.unlink(part, dir_fd=self.descriptor(here))
        self._make(here, part)
        self._hide(self.descriptor((*here, part)))
        return S_IFDIR

    def _missing(self, here: "Path", part: bytes, make: bool) -> int:
        """The type of what is not in this directory."""
        if not make:
            raise FileNotFoundError(part)
        self._make(here, part)
        return S_IFDIR

    def _target(self, here: "Path", part: bytes) -> bytes:
        """What a symbolic link names."""
        return posix.readlink(part, dir_fd=self.descriptor(here))

    def _make(self, here: "Path", part: bytes) -> bytes:
        """Make a directory that the layer has no entry for. Returns its path."""
        if sum(map(len, here)) + len(here) + len(part) > names.MAX_PATH:
            raise BadImage(f"{shown(part)}: a path of more than {names.MAX_PATH} bytes")
        made = b"/".join((*here, part))
        if self._budget:
            self._budget.directory(len(made))
        posix.mkdir(part, NEW_DIRECTORY, dir_fd=self.descriptor(here))
        self.implied.add(made)
        return made

    def status(self, here: "Path", part: bytes) -> "posix.stat_result | None":
        """Of the file itself, a link too; None where there is none."""
        try:
            return posix.stat(part, dir_fd=self.descriptor(here), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def remove(self, here: "Path", part: bytes) -> None:
        """Remove a file, or a directory with all that is in it. ``implied`` may have names of it still."""
        try:
            posix.unlink(part, dir_fd=self.descriptor(here))
        except IsADirectoryError:
            self.forget()
            remove_tree(self.descriptor(here), part)


def remove_tree(above: int, name: "bytes | str") -> None:
    """Remove a directory of ours with all that is in it. Raises OSError.

    What lies deeper is first moved up, so that no depth takes more than three descriptors.
    """
    try:
        top = posix.open(name, _DIRECTORY, dir_fd=above)
    except FileNotFoundError:
        return
    try:
        while left := [each for each in posix.listdir(top) if not _unlink(top, each)]:
            for each in left:
                _raise(top, each)
    finally:
        posix.close(top)
    posix.rmdir(name, dir_fd=above)


def _raise(top: int, name: str) -> None:
    """Move the directories in a directory of ``top`` up into ``top``, and remove the rest of it."""
    directory = posix.open(name, _DIRECTORY, dir_fd=top)
    try:
        for each in posix.listdir(directory):
            if not _unlink(directory, each):
                posix.rename(each, posix.urandom(16).hex(), src_dir_fd=directory, dst_dir_fd=top)
    finally:
        posix.close(directory)
    posix.rmdir(name, dir_fd=top)


def _unlink(directory: int, name: str) -> bool:
    """Remove a file; False for a directory."""
    try:
        posix.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        return False
    return True
