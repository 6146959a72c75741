"""What a config asks of cgroups that nobody makes (`--cgroup-manager disabled`). Pure, and loaded only then."""

from runtime.cgroups import devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def warnings(linux: "dict[str, Any]") -> "list[tuple[str, str]]":
    """(pointer, message) of what is not done for a linux section."""
    found = []
    if linux.get("cgroupsPath"):
        found.append(("/linux/cgroupsPath", "no cgroup is made, since cgroups are disabled"))
    for name, section in (linux.get("resources") or {}).items():
        if section and not (name == "devices" and devices.allows_all(section)):
            found.append((f"/linux/resources/{name}", "not set, since cgroups are disabled"))
    return found
