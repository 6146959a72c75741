"""The operations that the parent does while init waits. Hot."""

import posix

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.plan import ops

from .handshake import STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .handshake import Handshake

    Document = Callable[[Handshake, str], dict[str, Any]]


def write_file(path: str, text: str) -> None:
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, text.encode())
    finally:
        posix.close(descriptor)


def id_maps(handshake: "Handshake", operation: "ops.Operation") -> None:
    """Write the maps, in one write each (user_namespaces(7)); by newuidmap where the caller may not."""
    _, _, origin, (deny_setgroups,), (uid_map, gid_map) = operation
    directory = f"/proc/{handshake.pid}"
    try:
        if deny_setgroups:
            write_file(f"{directory}/setgroups", "deny")
        for name, text in (("uid_map", uid_map), ("gid_map", gid_map)):
            try:
                write_file(f"{directory}/{name}", str(text))
            except PermissionError:
                from runtime.process.id_tools import write_map

                write_map(handshake.pid, name, str(text))
    except OSError as error:
        raise system_failure("write the user namespace's id maps", error, origin) from None


def open_tree(handshake: "Handshake", operation: "ops.Operation") -> None:
    from .trees import send_tree

    send_tree(handshake, operation)


def idmap_tree(handshake: "Handshake", operation: "ops.Operation") -> None:
    from .idmapped import send_tree

    send_tree(handshake, operation)


def rlimit(handshake: "Handshake", operation: "ops.Operation") -> None:
    _, _, _, (resource, soft, hard), _ = operation
    try:
        shim.prlimit(handshake.pid, resource, soft, hard)
    except OSError as error:
        from runtime.plan.failures import failure

        raise failure(operation, error.errno or 0, 0) from None


def send_state(handshake: "Handshake", creating: bytes, created: bytes) -> None:
    """Give init the two documents that its hooks get, each ended by a NUL."""
    data = creating + b"\0" + created + b"\0"
    descriptor = posix.memfd_create("ocirun-state", posix.MFD_CLOEXEC)
    try:
        posix.write(descriptor, data)
        handshake.reply(STATE, len(data), descriptor)
    finally:
        posix.close(descriptor)


PERFORM: "dict[int, Callable[[Handshake, ops.Operation], None]]" = {
    ops.OP_ID_MAPS: id_maps,
    ops.OP_OPEN_TREE: open_tree,
    ops.OP_IDMAP_TREE: idmap_tree,
    ops.OP_RLIMIT: rlimit,
}


def rare(code: int) -> "Callable[[Handshake, ops.Operation], None] | None":
    from . import attributes

    return attributes.PERFORM.get(code)


def perform(handshake: "Handshake", operation: "ops.Operation") -> None:
    """Do one operation that is not the container's own (hooks and state belong to `runtime.lifecycle.create`)."""
    code, _, origin, _, _ = operation
    action = PERFORM.get(code) or rare(code)
    if action is None:
        name, _, _ = ops.TABLE[code]
        raise OcirunError(f"operation {name} cannot be done on the host's side", origin)
    action(handshake, operation)
