"""Rules on netDevices and timeOffsets."""

from oci_spec.rules import escape, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config


def net_devices_namespace(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#network-devices: network devices need a network namespace to be moved into."""
    if spec.get("linux", {}).get("netDevices", {}) and "network" not in namespaces(spec):
        message = "the interfaces cannot be moved, the container has no network namespace"
        yield "/linux/netDevices", "warning", message, 'add {"type": "network"} to /linux/namespaces'


def _interface_name(name: str) -> bool:
    """Whether the kernel accepts it as an interface name (dev_valid_name)."""
    return 0 < len(name.encode()) < 16 and name not in (".", "..") and not any(c in "/:" or c.isspace() for c in name)


def net_device_names(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#network-devices: names are valid interface names, each used once."""
    taken = set()
    for host, device in spec.get("linux", {}).get("netDevices", {}).items():
        new = device.get("name") or host
        if not _interface_name(host):
            yield (
                f"/linux/netDevices/{escape(host)}",
                "error",
                f"{host!r} cannot be the name of an interface",
                "write 1 to 15 characters without / and blanks",
            )
        elif not _interface_name(new) or "%" in new.removesuffix("%d"):
            yield (
                f"/linux/netDevices/{escape(host)}/name",
                "error",
                f"{new!r} cannot be the name of an interface",
                "write 1 to 15 characters without / and blanks",
            )
        elif new in taken and not new.endswith("%d"):
            yield (
                f"/linux/netDevices/{escape(host)}",
                "error",
                f"two interfaces would be called {new}",
                "give one of them another name",
            )
        taken.add(new)


def time_offsets_namespace(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#offset-for-time-namespace: only a new time namespace takes offsets."""
    if spec.get("linux", {}).get("timeOffsets", {}) and namespaces(spec).get("time") != "":
        message = "clock offsets can only be set in a new time namespace"
        yield "/linux/timeOffsets", "error", message, 'add {"type": "time"} to /linux/namespaces'


def time_offset_nanoseconds(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#offset-for-time-namespace: nanosecs is less than a second."""
    clock: Literal["monotonic", "boottime"]
    for clock in ("monotonic", "boottime"):
        nanosecs = spec.get("linux", {}).get("timeOffsets", {}).get(clock, {}).get("nanosecs", 0)
        if nanosecs > 999_999_999:
            yield (
                f"/linux/timeOffsets/{clock}/nanosecs",
                "error",
                f"{nanosecs} is a second or more",
                "add the seconds to secs",
            )


RULES: "tuple[Rule, ...]" = (
    net_devices_namespace,
    net_device_names,
    time_offsets_namespace,
    time_offset_nanoseconds,
)
