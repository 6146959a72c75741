"""The parent's half of an id-mapped mount: mount_setattr(2) with MOUNT_ATTR_IDMAP, which needs rights over the file system.

Imported only when a plan has the operation.
"""

import posix
from errno import EINVAL, ENODEV, EPERM

from runtime import shim
from runtime.errors import OcirunError, system_words
from runtime.plan.ops import BIND_REC

from .handshake import TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.ops import Operation

    from .handshake import Handshake

REMEDIES = {
    EINVAL: "use a file system that has them (ext4, xfs, btrfs, tmpfs since Linux 6.3 and others), or leave idmap away",
    EPERM: "it takes CAP_SYS_ADMIN over that file system, and a mount that has no id maps yet: run as root, "
    "or leave idmap away",
}


def failure(tried: str, error: OSError, origin: "str | None", remedy: str = "") -> OcirunError:
    number = error.errno or 0
    hint = f"; {remedy}" if remedy else ""
    return OcirunError(f"{tried}: {system_words(number)}{hint}", origin, None, number)


def arguments_of(operation: "Operation") -> "tuple[str, str | None, list[str], list[str]]":
    """Source, type, options and id maps of the operation."""
    return operation[4]  # type: ignore[return-value]  # as `ops.idmap_tree` makes them


def new_tree(pid: int, operation: "Operation") -> int:
    """The mount, before its ids are mapped."""
    _, _, origin, (recursive, _, *attributes), _ = operation
    source, kind, options, _ = arguments_of(operation)
    if kind is None:
        from .trees import clone

        return clone(pid, source, BIND_REC if recursive else 0, attributes, origin)
    try:
        return shim.new_mount(kind, source, options)
    except OSError as error:
        hint = "the kernel does not know this file system" if error.errno == ENODEV else ""
        raise failure(f"make a mount of {kind}", error, origin, hint) from None


def lock(handshake: "Handshake", tree: int, operation: "Operation") -> int:
    """A copy of the new file system ``tree``, locked against the container's root. Without a user namespace, just a duplicate."""
    if posix.stat(f"/proc/{handshake.pid}/ns/user").st_ino == posix.stat("/proc/self/ns/user").st_ino:
        return posix.dup(tree)
    from . import trees

    kind = arguments_of(operation)[1]
    return trees.lock(handshake.pid, tree, str(kind), operation[3][2:6], operation[2])


def map_descriptor(handshake: "Handshake", maps: "list[str]", origin: "str | None") -> int:
    """A user namespace with the maps; without maps, the container's."""
    try:
        if not maps:
            return posix.open(f"/proc/{handshake.pid}/ns/user", posix.O_RDONLY | posix.O_CLOEXEC)
        return shim.mapped_namespace(*maps)
    except OSError as error:
        raise failure("make a user namespace with the mount's id maps", error, origin) from None


def file_system(path: str) -> str:
    """The type of the file system that holds ``path``, from mountinfo; "" if it is not there."""
    import os

    from runtime.host import mountinfo

    mount = mountinfo.of_process().seen(os.path.realpath(path))
    return mount.type if mount else ""


def send_tree(handshake: "Handshake", operation: "Operation") -> None:
    """Make the mount, map its ids, and send it to init. In a user namespace the config's flags on it are locked."""
    _, _, origin, (recursive, map_all, *_), _ = operation
    source, kind, _, maps = arguments_of(operation)
    new = kind is not None
    tree = new_tree(handshake.pid, operation)
    try:
        names = map_descriptor(handshake, maps, origin)
        try:
            shim.idmap(tree, names, bool(recursive and map_all))
        except OSError as error:
            kind = kind or file_system(source)
            tried = f"map the ids of the mount at {source}" if kind != source else "map the ids of the mount"
            reason = f"{kind} has no id-mapped mounts here" if kind and error.errno == EINVAL else ""
            remedy = REMEDIES.get(error.errno or 0, "")
            raise failure(tried, error, origin, "; ".join(filter(None, (reason, remedy)))) from None
        finally:
            posix.close(names)
        if new:
            unlocked, tree = tree, lock(handshake, tree, operation)
            posix.close(unlocked)
        handshake.reply(TREE, 0, tree)
    finally:
        posix.close(tree)
