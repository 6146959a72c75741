"""A restored container's new network namespace, made as `create` makes one: CRIU leaves it empty."""

import posix

from runtime.errors import system_failure
from runtime.kernel import CLONE_FLAGS
from runtime.plan import net_devices, ops, rootfs
from runtime.plan.namespaces import kinds
from runtime.process import spawn
from runtime.process.net_devices import find, set_up
from runtime.process.netlink import Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.lifecycle.create import Creation
    from runtime.process.handshake import Perform

LOOPBACK = "lo"
SYSCTLS = ("net.", "net/")


def prepare(creation: "Creation", perform: "Perform") -> None:
    """Set the loopback device up, move the devices of linux.netDevices in, write the sysctls of the network.

    Before the hooks, as `create` does with all but the sysctls; a namespace that the config joins only gets its devices
    back. Raises OcirunError.
    """
    spec, pid = creation.request.spec, creation.record["pid"]
    listed = kinds(spec)
    if "network" not in listed:
        return
    path = f"/proc/{pid}/ns/net"
    own = listed["network"][1] is None
    if own:
        _set_loopback_up(path)
    plan = net_devices.operations(spec["linux"].get("netDevices", {}), True)
    sysctls = {key: value for key, value in spec["linux"].get("sysctl", {}).items() if own and key.startswith(SYSCTLS)}
    if sysctls:
        plan += rootfs.settings({"linux": {"sysctl": sysctls}}, False, False)  # type: ignore[typeddict-item]
    if not plan:
        return
    pointer = listed["network"][0]
    entering = [
        ops.open_namespace(CLONE_FLAGS["network"], 0, path, pointer),
        ops.join_namespace(CLONE_FLAGS["network"], 0, pointer),
    ]
    handshake = spawn.init([*entering, *plan, ops.created()], 0, creation.request.root)
    try:
        if not handshake.follow(perform):
            raise handshake.died()
    finally:
        handshake.end()
        handshake.close()


def _set_loopback_up(path: str) -> None:
    tried = "set up the loopback device of the restored container"
    try:
        namespace = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            netlink = Netlink(namespace)
        finally:
            posix.close(namespace)
        try:
            set_up(netlink, find(netlink, LOOPBACK)[0])
        finally:
            netlink.close()
    except OSError as error:
        raise system_failure(tried, error) from None
