"""Clones of the host's mounts for a container with a user namespace. Imported only when a plan has the operation.

They are made in the container's mount namespace, where the kernel has locked the host's mounts (`csrc/trees.c`).
"""

import posix
from errno import EACCES, EINVAL, EPERM, ESTALE

from runtime import shim
from runtime.errors import OcirunError, system_words

from .handshake import TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.plan.ops import Operation
    from runtime.shim import Struct

    from .handshake import Handshake

# enum tree_step of csrc/trees.h
START, ENTER, LOOK, CLONE, ATTRIBUTES, ATTACH = range(6)
TRIED = {
    START: "make a process that clones the mount at {}",
    ENTER: "enter the container's mount namespace, to clone the mount at {}",
    LOOK: "find the mount at {} outside of the container",
    CLONE: "clone the mount at {}",
    ATTRIBUTES: "set the attributes of the mount at {}",
    ATTACH: "mount {} over itself",
}


def clone(pid: int, source: str, flags: int, attributes: "Sequence[int]", origin: "str | None", attach: int = 0) -> int:
    """A descriptor of the clone. ``flags``: BIND_*.

    ``attributes``: MOUNT_ATTR_* to set and to clear on the top mount, then to set and to clear on all mounts.

    The locks refuse to clone a mount without its submounts, or to clear a flag of the host. If the config asks for that,
    the clone is made outside, and locked afterwards.
    """
    path = shim.ffi.new("char[]", shim.posix_path(source))
    tree = described(pid, path, flags, attributes, attach)
    result = shim.container_tree(tree)
    if (tree.step, result) in ((CLONE, -EINVAL), (ATTRIBUTES, -EPERM)) and not attach:
        step, second = tree.step, shim.locked_tree(tree)
        if second >= 0 or second != -ESTALE:
            result = second
        else:
            tree.step = step  # the path leads elsewhere in the container
    if result < 0:
        raise failure(tree.step, source, -result, attributes, origin)
    return result


def described(pid: int, path: "Struct", flags: int, attributes: "Sequence[int]", attach: int = 0) -> "Struct":
    """A ``struct shim_tree``, which does not keep ``path`` alive."""
    tree = shim.ffi.new("struct shim_tree *")
    tree.pid, tree.path, tree.flags, tree.attach = pid, path, flags, attach
    tree.set, tree.clear, tree.rec_set, tree.rec_clear = attributes
    return tree


def of_host(source: str, flags: int, attributes: "Sequence[int]", origin: "str | None") -> int:
    """As `clone`, of a mount of the caller's, for a container that runs already."""
    path = shim.ffi.new("char[]", shim.posix_path(source))
    tree = described(posix.getpid(), path, flags, attributes)
    result = shim.container_tree(tree)
    if result < 0:
        words = TRIED[tree.step].format(source).replace("the container's", "the caller's")
        remedy = "; it takes CAP_SYS_ADMIN and CAP_SYS_CHROOT" if -result in (EPERM, EACCES) else ""
        raise OcirunError(f"{words}: {system_words(-result)}{remedy}", origin, None, -result)
    return result


def lock(pid: int, mount: int, name: str, attributes: "Sequence[int]", origin: "str | None") -> int:
    """As `clone`, for a detached mount. ``name`` is for the error."""
    tree = shim.ffi.new("struct shim_tree *")
    tree.pid, tree.mount = pid, mount
    tree.set, tree.clear, tree.rec_set, tree.rec_clear = attributes
    result = shim.locked_mount(tree)
    if result < 0:
        raise failure(tree.step, name, -result, attributes, origin)
    return result


def failure(step: int, source: str, error: int, attributes: "Sequence[int]", origin: "str | None") -> OcirunError:
    remedy = ""
    if step == ENTER and error in (EPERM, EACCES):
        remedy = "; it takes CAP_SYS_CHROOT and CAP_SYS_PTRACE"
    elif step == ATTRIBUTES and error == EPERM:
        from runtime.plan import remedies

        remedy = remedies.locked(*attributes)
    return OcirunError(f"{TRIED[step].format(source)}: {system_words(error)}{remedy}", origin, None, error)


def send_tree(handshake: "Handshake", operation: "Operation") -> None:
    """Clone the mount and send it to init."""
    _, _, origin, (flags, attach, *attributes), (source,) = operation
    tree = clone(handshake.pid, str(source), flags, attributes, origin, attach)
    try:
        handshake.reply(TREE, 0, tree)
    finally:
        posix.close(tree)


def host_id(pid: int, kind: str, number: int, origin: "str | None") -> int:
    """The id in our user namespace for one of init's. ``kind``: uid or gid."""
    with open(f"/proc/{pid}/{kind}_map", encoding="ascii") as lines:
        for line in lines:
            first, host, size = map(int, line.split())
            if first <= number < first + size:
                return host + number - first
    raise OcirunError(f"{kind} {number} is not mapped in the user namespace; map it in linux.{kind}Mappings", origin)


def new_node(pid: int, operation: "Operation") -> int:
    """A device node in a detached tmpfs."""
    _, _, origin, (kind, major, minor, mode, *ids), (_, label, _) = operation
    uid, gid = (host_id(pid, *pair, origin) for pair in zip(("uid", "gid"), ids, strict=True))
    try:
        return shim.node_tree(kind | mode, posix.makedev(major, minor), uid, gid, str(label or ""))
    except OSError as error:
        number = error.errno or 0
        remedy = "; it takes CAP_MKNOD, and the caller's device rules" if number == EPERM else ""
        raise OcirunError(f"make a node: {system_words(number)}{remedy}", origin, None, number) from None


def send_node(handshake: "Handshake", operation: "Operation") -> None:
    """Make a device node and send it to init; if that fails, a clone of the host's node, whose owner init checks."""
    _, _, origin, _, (_, _, source) = operation
    try:
        tree = new_node(handshake.pid, operation)
    except OcirunError:
        if source is None:
            raise
        tree = clone(handshake.pid, str(source), 0, (0, 0, 0, 0), origin)
    try:
        handshake.reply(TREE, 0, tree)
    finally:
        posix.close(tree)
