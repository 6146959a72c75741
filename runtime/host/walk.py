"""A walk over directories that a container has made, however many, however deep, and however long their names. Cold.

A path ends at 4,096 bytes, Python's stack at 1,000 calls and descriptors at RLIMIT_NOFILE. So each step is taken from the directory
before it, without recursion, and one directory is open at a time.
"""

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FLAGS = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


def walk(path: str, dir_fd: int | None = None, leave: "Callable[[int, str], None] | None" = None) -> "Iterator[int]":
    """A descriptor of the directory and of each one below it, parents first, open until the next is asked for.

    ``leave`` is called with the parent's descriptor and a name when all that is below that name was seen. What is gone meanwhile is left out.
    OSError as it is; ESTALE where somebody moves a directory that we are in, and its ".." may lead out of the tree.
    """
    try:
        current = posix.open(path, FLAGS, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return
    names: list[str] = []  # from the first directory down to this one
    above: list[tuple[int, int]] = []  # the identity of each one's parent
    try:
        yield current
        waiting = [children(current)]
        while waiting[-1] or names:
            if waiting[-1]:
                here = _identity(current)
                try:
                    below = posix.open(waiting[-1][-1], FLAGS, dir_fd=current)
                except (FileNotFoundError, NotADirectoryError):
                    waiting[-1].pop()
                    continue
                posix.close(current)
                current = below
                names.append(waiting[-1].pop())
                above.append(here)
                yield current
                waiting.append(children(current))
            else:
                waiting.pop()
                parent = posix.open("..", FLAGS, dir_fd=current)
                posix.close(current)
                current = parent
                if _identity(current) != above.pop():
                    raise OSError(errno.ESTALE, posix.strerror(errno.ESTALE))
                name = names.pop()
                if leave:
                    leave(current, name)
    finally:
        posix.close(current)


def _identity(directory: int) -> tuple[int, int]:
    found = posix.fstat(directory)
    return found.st_dev, found.st_ino


def children(directory: int | str) -> list[str]:
    """The names of the directories in one; of none that is gone."""
    try:
        # A directory's link count is 2 and its subdirectories: most have none, and a listing is slow.
        if posix.stat(directory).st_nlink == 2:
            return []
        with posix.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
