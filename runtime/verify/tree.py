"""A container's files, seen from outside: /proc/PID/root, where no link and no ".." leads out.

Each step opens one name of the directory before it, without following it, and links are followed by hand. A rename in the
container while we walk may give the wrong file, but never one outside.
"""

import errno
import posix

from runtime.files import components
from runtime.kernel import S_IFLNK, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

LINKS = 40  # the kernel's limit (path_resolution(7))
_NAME = posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC


class Node:
    """An open file, with the path that leads to it without links. Use as a context manager."""

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd  # O_PATH
        self.path = path

    def __enter__(self) -> "Node":
        return self

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        posix.close(self.fd)

    @property
    def status(self) -> posix.stat_result:
        return posix.fstat(self.fd)

    @property
    def read_only(self) -> bool:
        """Whether the mount, or its superblock, is read-only."""
        return bool(posix.fstatvfs(self.fd).f_flag & posix.ST_RDONLY)

    def names(self) -> "list[str]":
        """The content of a directory."""
        fd = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=self.fd)
        try:
            return posix.listdir(fd)
        finally:
            posix.close(fd)


class Tree:
    """The files below the root of process ``pid``."""

    def __init__(self, pid: int) -> None:
        self.root = f"/proc/{pid}/root"

    def open(self, path: str, follow: bool = True) -> Node:
        """The file that a path leads to in the container; ``follow``: also a link at its end. Raises OSError."""
        trail = [Node(posix.open(self.root, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC), "")]
        todo, links = components(path)[::-1], 0
        try:
            while todo:
                name = todo.pop()
                if name == "..":
                    if len(trail) > 1:
                        posix.close(trail.pop().fd)
                    continue
                here = trail[-1]
                node = Node(posix.open(name, _NAME, dir_fd=here.fd), f"{here.path}/{name}")
                trail.append(node)
                if node.status.st_mode & S_IFMT != S_IFLNK or not (todo or follow):
                    continue
                links += 1
                if links > LINKS:
                    raise OSError(errno.ELOOP, posix.strerror(errno.ELOOP))
                target = posix.readlink("", dir_fd=node.fd)
                posix.close(trail.pop().fd)
                todo += components(target)[::-1]
                while target[:1] == "/" and len(trail) > 1:
                    posix.close(trail.pop().fd)
            last = trail.pop()
            return Node(last.fd, last.path or "/")
        finally:
            for node in trail:
                posix.close(node.fd)

    def resolve(self, path: str) -> str:
        """The path without links. Raises OSError."""
        with self.open(path) as node:
            return node.path

    def link(self, path: str) -> str:
        """The target of a symbolic link. Raises OSError."""
        with self.open(path, follow=False) as node:
            return posix.readlink("", dir_fd=node.fd)
