"""Devices that are made in the container, and that its device rules do not let it open. Pure and cold: for `validate`."""

from runtime.cgroups.devices import READ, WRITE, complete, normal
from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Row
    from oci_spec.types import Config
    from runtime.cgroups.devices import Device

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
    last: dict[tuple[Device, int], tuple[int, bool]] = {}  # device of a rule, access bit → place and word of the last
    for place, rule in enumerate(known):
        for bit in (READ, WRITE):
            if rule.access & bit:
                last[rule.device, bit] = place, rule.allow
    for index, device in enumerate(linux.get("devices", ())):
        kind, major, minor = device["type"].replace("u", "c"), device.get("major"), device.get("minor")
        wider = ((kind, major, minor), (kind, major, None), (kind, None, minor), (kind, None, None))
        said = [
            max((last[one, bit] for one in wider if (one, bit) in last), default=(0, start)) for bit in (READ, WRITE)
        ]
        if kind != "p" and not any(allowed for _, allowed in said):
            message = f"{device['path']} is made, but no device rule allows to open it"
            missing = f'{{"allow": true, "type": "{kind}", "major": {major}, "minor": {minor}, "access": "rw"}}'
            yield f"/linux/devices/{index}", "warning", message, f"add {missing} to /linux/resources/devices", RULE
