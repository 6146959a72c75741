"""A walk over directories made by a container, which may be many, deep, and long-named. Cold.

PATH_MAX is 4,096 bytes, Python's stack 1,000 calls, and RLIMIT_NOFILE limits descriptors. So each step starts from the
directory before it, without recursion, and one directory is open at a time.
"""

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FLAGS = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


def walk(path: str, dir_fd: int | None = None, leave: "Callable[[int, str], None] | None" = None) -> "Iterator[int]":
    """A descriptor of the directory and of each one below it, parents first, open until the next step.

    ``leave`` is called with the parent's descriptor and a name once everything below that name was visited. Directories
    that disappear meanwhile are skipped. Raises OSError; ESTALE if somebody moves the current directory, whose ".." may
    then lead out of the tree.
    """
    try:
        current = posix.open(path, FLAGS, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return
    names: list[str] = []  # from the first directory down to the current one
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
    status = posix.fstat(directory)
    return status.st_dev, status.st_ino


def children(directory: int | str) -> list[str]:
    """The names of the subdirectories; [] if the directory is gone."""
    try:
        # A directory has 2 links plus one per subdirectory: most have none, and listing is slow.
        if posix.stat(directory).st_nlink == 2:
            return []
        with posix.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
