"""root and rootfsPropagation against the mount at / of the container, and the effect of masked and read-only paths."""

import posix

from runtime.host.mountinfo import place_of
from runtime.kernel import S_IFCHR, S_IFDIR, S_IFMT
from runtime.plan.rootfs import PROPAGATION, is_covered, read_only

from .check import Check, judge, unknown, words
from .entries import covers, host_path, propagation, same_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .container import Container

NULL = (1, 3)


def checks(container: "Container") -> "Iterator[Check]":
    """The root, then each path."""
    yield from _root(container)
    if not container.own_mounts:
        return
    linux = container.spec["linux"]
    for index, path in enumerate(linux.get("readonlyPaths", ())):
        yield _effect(container, f"/linux/readonlyPaths/{index}", path, "read-only")
    for index, path in enumerate(linux.get("maskedPaths", ())):
        yield _effect(container, f"/linux/maskedPaths/{index}", path, "masked")


def _root(container: "Container") -> "Iterator[Check]":
    mount, root = container.mounts.seen("/"), container.spec["root"]
    if not container.own_mounts or mount is None or mount.point != "/":
        yield _same_root(container)
        return
    covered = is_covered(container.spec)
    if not covered:
        yield same_place(container, "/root/path", "root", root["path"], mount, "/")
    wanted = read_only(container.spec)
    actual = "read-only" if mount.read_only else "writable"
    host = place_of(container.host_mounts, host_path(container, root["path"]))
    # One that is not asked for may be the host's, or a path of readonlyPaths that leads to /.
    excused = bool(host and host[0].read_only and not covered) or "/" in covers(container, [])
    same = mount.read_only if wanted else excused or "ro" not in mount.flags
    yield judge("/root/readonly", "root", "read-only" if wanted else "writable", actual, same)
    given = PROPAGATION.get(container.spec["linux"].get("rootfsPropagation", "").removeprefix("r"), 0)
    yield propagation("/linux/rootfsPropagation", "propagation of /", given, mount)


def _same_root(container: "Container") -> Check:
    """The root of a container without a mount namespace of its own: the same directory."""
    path = container.facts["rootfs"]
    try:
        there, here = posix.stat(container.tree.root), posix.stat(path)
    except OSError as error:
        return unknown("/root/path", "root", path, words(error))
    same = (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
    return judge("/root/path", "root", path, path if same else "another directory", same)


def _effect(container: "Container", pointer: str, path: str, effect: str) -> Check:
    """A path that does not exist needs no protection."""
    try:
        with container.tree.open(path) as node:
            status, read_only = node.status, node.read_only
            if effect == "read-only":
                return judge(pointer, path, effect, effect if read_only else "writable", read_only)
            kind = status.st_mode & S_IFMT
            if kind == S_IFDIR:
                masked = container.mounts.seen(node.path)
                empty = not node.names()
                same = empty and bool(masked and masked.point == node.path)
                actual = "masked" if same else "empty, but not masked" if empty else "not empty"
                return judge(pointer, path, effect, actual, same)
            number = posix.major(status.st_rdev), posix.minor(status.st_rdev)
            same = kind == S_IFCHR and number == NULL
            return judge(pointer, path, effect, effect if same else "readable", same)
    except (FileNotFoundError, NotADirectoryError):
        return judge(pointer, path, effect, "no such file", True)
    except OSError as error:
        return unknown(pointer, path, effect, words(error))
