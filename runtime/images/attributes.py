"""A file's owner, mode, extended attributes and times, copied to another; and directories that a layer has only implied."""

import posix

from runtime.images import names
from runtime.images.tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.images.stack import Merged, Stack


def wanted_xattrs(source: int) -> "list[tuple[str, bytes]]":
    """The extended attributes of an open file but overlayfs' and the host's own."""
    own = ("trusted.", "user.overlay.", "security.selinux")
    return [(key, posix.getxattr(source, key)) for key in posix.listxattr(source) if not key.startswith(own)]


def copy(source: int, target: int) -> None:
    """All attributes of an open file but overlayfs' own. Raises OSError."""
    status = posix.fstat(source)
    posix.chown(target, status.st_uid, status.st_gid)
    posix.chmod(target, status.st_mode & 0o7777)
    for key, value in wanted_xattrs(source):
        posix.setxattr(target, key, value)
    posix.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def complete(stack: "Stack", implied: "Sequence[frozenset[bytes]]", upper: int) -> None:
    """Make in ``upper`` the directories whose attributes a lower layer tells.

    A layer may have tmp/x without tmp/: the directory in its tree has attributes that nobody chose, and in an overlay they
    would count. ``implied``: the names of such directories of each layer, top first. Raises OSError.
    """
    tree = Tree(upper, lambda _: None)
    try:
        for path in sorted(set().union(*implied) | {b""}):
            parts = names.components(path)
            merged = stack.directories(parts)
            if not parts or (merged and not _alike(merged[-1][0][1], _teller(merged[-1], path, implied)[1])):
                for depth, directories in enumerate(merged):
                    here = b"/".join(parts[:depth])
                    target = tree.descriptor(tree.real(parts[:depth], make=True))
                    copy(_teller(directories, here, implied)[1], target)
    finally:
        tree.close()


def _teller(directories: "Merged", path: bytes, implied: "Sequence[frozenset[bytes]]") -> "tuple[int, int]":
    """The directory whose attributes count: the first that its layer has an entry for, else the first."""
    return next((each for each in directories if path not in implied[each[0]]), directories[0])


def _alike(one: int, other: int) -> bool:
    """Whether two directories have the same owner, mode and attributes; times do not count."""

    def facts(directory: int) -> object:
        status = posix.fstat(directory)
        return status.st_uid, status.st_gid, status.st_mode, sorted(wanted_xattrs(directory))

    return one == other or facts(one) == facts(other)
