"""A file's owner, mode, extended attributes and times, copied to another; and directories that a layer has only implied."""

import posix

from runtime.images import names
from runtime.images.trees import lookup
from runtime.images.trees.owners import POSIX_ACL
from runtime.images.trees.tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.images.names import Path
    from runtime.images.trees.merged import Found, Merged


def wanted_xattrs(source: int) -> "list[tuple[str, bytes]]":
    """The extended attributes of an open file but overlayfs' and the host's own."""
    own = ("trusted.", "user.overlay.", "security.selinux")
    return [(key, posix.getxattr(source, key)) for key in posix.listxattr(source) if not key.startswith(own)]


def copy(source: int, target: int) -> None:
    """All attributes of an open file but overlayfs' own, and none that it inherited. Raises OSError."""
    status = posix.fstat(source)
    wanted = dict(wanted_xattrs(source))
    for key in posix.listxattr(target):
        if key in POSIX_ACL and key not in wanted:
            posix.removexattr(target, key)
    posix.chown(target, status.st_uid, status.st_gid)
    posix.chmod(target, status.st_mode & 0o7777)
    for key, value in wanted.items():
        posix.setxattr(target, key, value)
    posix.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def complete(merged: "Merged", implied: "Sequence[frozenset[bytes]]", upper: int) -> None:
    """Make in ``upper`` the directories whose attributes a lower layer tells.

    A layer may have tmp/x without tmp/: the directory in its tree has attributes that nobody chose, and in an overlay they
    would count. ``implied``: the names of such directories of each layer. Raises OSError.
    """
    tree = Tree(upper)
    walk = lookup.Walk(merged)
    made = -1  # how many of the walk's directories below the root are in ``upper``; -1: the root has not its attributes
    try:
        paths = set().union(*implied) if len(implied) > 1 else set()
        for path in sorted(paths | {b""}, key=names.walked):
            parts = names.components(path)
            made = min(made, walk.common(parts))
            chain = walk.to(parts)
            if chain and (not parts or not _are_told(merged, parts, chain[-1])):
                for depth in range(made + 1, len(chain)):
                    target = tree.descriptor(tree.real(parts[:depth], make=True))
                    copy(merged.directory(chain[depth].layer, parts[:depth]), target)
                made = len(parts)
    finally:
        tree.close()


def _are_told(merged: "Merged", path: "Path", found: "Found") -> bool:
    """Whether the top layer's directory has the owner, mode and attributes that count; times do not."""

    def facts(layer: int) -> object:
        directory = merged.directory(layer, path)
        status = posix.fstat(directory)
        return status.st_uid, status.st_gid, status.st_mode, sorted(wanted_xattrs(directory))

    return found.layer == found.layers[0] or facts(found.layer) == facts(found.layers[0])
