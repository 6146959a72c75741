"""linux.netDevices while a container is being made: each move is recorded on disk first, so that it can be undone.

A network namespace ends with its last process, and virtual devices end with it. A runtime that is killed must not lose
them, so the namespace is bound on ``ROOT/ID/netns`` before the first device goes there, until the container is made or
its devices are back. Where it cannot be bound (that takes CAP_SYS_ADMIN) virtual devices are lost with a SIGKILL, and
`delete --force` says where to look for the others. Imported only for a config with netDevices.
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
    """The path that the namespace is bound on."""
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
    """Bind the namespace, if that is permitted."""
    store.write_file(handle, store.NETWORK, b"")
    try:
        shim.pin(f"/proc/self/fd/{network}", binding(handle))
    except OSError:
        return


def settle(record: "Record", handle: int, options: "PublishOptions") -> None:
    """The container is made, and keeps its devices. The record keeps an empty list: if we are killed before `unpin`, it
    tells `delete` of the binding. Raises OcirunError.
    """
    try:
        record["net_devices"] = []
        store.write_state(handle, record)
        unpin(handle)
    except BaseException:
        publishing.withdraw_pid(options)
        raise


def unpin(handle: int) -> None:
    """Remove the binding, if there is one."""
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
    """Move the devices of a container that was not made back to the host, and remove the binding. Failures are warnings."""
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
