"""linux.netDevices → operations (config-linux.md#network-devices). Pure. Imported only for a config that has some."""

from . import rare_ops
from .rootfs import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ops import Operation


def operations(devices: "dict[str, dict[str, Any]]") -> "list[Operation]":
    """Each device as soon as the network namespace is there, so that hooks and sysctls find it."""
    return [
        rare_ops.net_device(device, wanted.get("name") or device, f"/linux/netDevices/{escape(device)}")
        for device, wanted in devices.items()
    ]
