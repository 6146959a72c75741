"""What a config asks of cgroups that nobody makes (`--cgroup-manager disabled`). Pure; loaded only then."""

from runtime.cgroups import devices
from runtime.cgroups.intent import POINTER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Linux


def warnings(linux: "Linux") -> "list[tuple[str, str]]":
    """(pointer, message) for each thing that a linux section asks for and that is not done."""
    messages = []
    if linux.get("cgroupsPath"):
        messages.append((POINTER, "no cgroup is made, since cgroups are disabled"))
    resources = linux.get("resources") or {}
    for name, section in resources.items():
        if section and not (name == "devices" and devices.allows_all(resources["devices"])):
            messages.append((f"/linux/resources/{name}", "not set, since cgroups are disabled"))
    return messages
