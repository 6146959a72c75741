"""linux.netDevices of a container that is not made yet: noted on disk before each is moved, so that they can be brought back.

A network namespace ends with its last process, and takes devices that are no hardware with it. A runtime that is killed
must not lose them: the namespace is bound on ``ROOT/ID/netns`` before the first device goes there, and stays until the
container is made, or its devices are back. Where it cannot be bound (that takes CAP_SYS_ADMIN) a SIGKILL leaves what the
kernel leaves, and `delete --force` says where to look. Imported only for a config with netDevices.
"""

import posix

from runtime import shim
from runtime.lifecycle import publishing, store
from runtime.process import net_devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake
    from runtime.shapes import HostContext, PublishOptions, Record


def binding(handle: int) -> str:
    """The path on which the namespace is bound."""
    return f"/proc/self/fd/{handle}/{store.NETWORK}"


def take(context: "HostContext", handshake: "Handshake", operation: "Operation") -> None:
    """Move one device. Raises OcirunError."""
    record, handle = context["record"], context["handle"]

    def note(entry: "net_devices.Entry") -> None:
        first = "net_devices" not in record
        record.setdefault("net_devices", []).append(entry)
        store.write_state(handle, record)
        if first:
            pin(handle, handshake.network)

    net_devices.take(handshake, operation, note)


def pin(handle: int, network: int) -> None:
    """Bind the namespace, where that is permitted."""
    store.write_file(handle, store.NETWORK, b"")
    try:
        shim.pin(f"/proc/self/fd/{network}", binding(handle))
    except OSError:
        return


def settle(record: "Record", handle: int, options: "PublishOptions") -> None:
    """The container is made, and the devices its own. The list stays, empty: it tells a delete that there may be a binding,
    if we are killed between these two. Raises OcirunError.
    """
    try:
        record["net_devices"] = []
        store.write_state(handle, record)
        unpin(handle)
    except BaseException:
        publishing.withdraw_pid(options)
        raise


def unpin(handle: int) -> None:
    """Take the binding away; what is not there is no error."""
    try:
        shim.unpin(binding(handle))
    except OSError:
        pass  # nothing is bound
    try:
        posix.unlink(store.NETWORK, dir_fd=handle)
    except FileNotFoundError:
        pass


def pinned(handle: int) -> int:
    """A descriptor of the bound namespace, or -1."""
    try:
        descriptor = posix.open(store.NETWORK, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=handle)
    except OSError:
        return -1
    if posix.fstat(descriptor).st_dev == posix.stat("/proc/self/ns/net").st_dev:
        return descriptor
    posix.close(descriptor)
    return -1


def give_back(record: "Record", handle: int, warn: "Callable[[str], None]") -> None:
    """Bring the devices of a container that was not made home, and end the binding. What fails is told by ``warn``."""
    network = pinned(handle)
    try:
        if record["net_devices"]:
            net_devices.give_back(record["net_devices"], network, warn)
            record["net_devices"] = []
            store.write_state(handle, record)
    except OSError as error:
        warn(f"bring the network devices back: {(error.strerror or '').lower()}")
    finally:
        if network >= 0:
            posix.close(network)
    unpin(handle)
