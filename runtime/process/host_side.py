"""What the parent does for init, which waits: id maps, limits, state. `runtime.lifecycle.operations` says when. Hot."""

import posix

from runtime import shim
from runtime.errors import system_failure

from .handshake import STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.ops import Operation

    from .handshake import Handshake


def write_file(path: str, text: str) -> None:
    """Write a file of the kernel, in one write. Raises OSError."""
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, text.encode())
    finally:
        posix.close(descriptor)


def id_maps(handshake: "Handshake", operation: "Operation") -> None:
    """Write the maps, one write each (user_namespaces(7)), or by newuidmap if the caller may not. Raises OcirunError."""
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


def rlimit(handshake: "Handshake", operation: "Operation") -> None:
    """Set one of init's limits. OcirunError, worded as if init had failed."""
    _, _, _, (resource, soft, hard), _ = operation
    try:
        shim.prlimit(handshake.pid, resource, soft, hard)
    except OSError as error:
        from runtime.plan.failures import failure

        raise failure(operation, error.errno or 0, 0) from None


def send_state(handshake: "Handshake", creating: bytes, created: bytes) -> None:
    """Give init the two state documents for its hooks, each ended by a NUL. Raises OcirunError."""
    data = creating + b"\0" + created + b"\0"
    descriptor = posix.memfd_create("ocirun-state", posix.MFD_CLOEXEC)
    try:
        posix.write(descriptor, data)
        handshake.reply(STATE, len(data), descriptor)
    finally:
        posix.close(descriptor)
