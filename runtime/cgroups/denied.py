"""Devices that are made in the container, and that its device rules do not let it open. Pure and cold: for `validate`."""

from runtime.cgroups.devices import READ, WRITE, complete, covers, normal
from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Row
    from oci_spec.types import Config

RULE = "kernel:device_rules"


def rows(spec: "Config") -> "Iterator[Row]":
    """A warning for each device of linux.devices that may be neither read nor written."""
    linux = spec.get("linux", {})
    rules = linux.get("resources", {}).get("devices")
    if not rules:
        return
    try:
        start, known = complete(*normal(rules))
    except InvalidConfig:
        return  # told elsewhere
    for index, device in enumerate(linux.get("devices", ())):
        if device["type"] == "p":
            continue
        letter = "c" if device["type"] == "u" else device["type"]
        own = (letter, device.get("major"), device.get("minor"))
        allowed = READ | WRITE if start else 0
        for rule in known:
            if covers(rule.device, own):
                allowed = allowed | rule.access if rule.allow else allowed & ~rule.access
        if not allowed & (READ | WRITE):
            message = f"{device['path']} is made, but no device rule allows to open it"
            missing = f'{{"allow": true, "type": "{letter}", "major": {own[1]}, "minor": {own[2]}, "access": "rw"}}'
            yield f"/linux/devices/{index}", "warning", message, f"add {missing} to /linux/resources/devices", RULE
