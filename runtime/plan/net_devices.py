"""linux.netDevices → operations (config-linux.md#network-devices). Pure; imported only for a config that has some."""

from runtime.errors import InvalidConfig
from runtime.files import escape

from . import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import LinuxNetDevice

    from .ops import Operation


def operations(devices: "dict[str, LinuxNetDevice]", namespace: bool) -> "list[Operation]":
    """Move each device once the network namespace exists, so that hooks and sysctls find it.

    Raises InvalidConfig without a ``namespace`` of the container's own. The rule net_devices_namespace only warns, since
    the spec's own examples have such a config.
    """
    if not namespace:
        message = 'the interfaces cannot be moved, the container has no network namespace; add {"type": "network"} to /linux/namespaces'
        raise InvalidConfig(message, "/linux/netDevices")
    return [
        ops.net_device(device, wanted.get("name") or device, f"/linux/netDevices/{escape(device)}")
        for device, wanted in devices.items()
    ]
