"""Warnings for properties of the config that have no effect. Pure and hot.

`properties_table` has the whole list, with reasons.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, Linux, Process

    Warnings = list[tuple[str, str]]

WINDOWS = "for Windows only, ignored"
JOINED_MAPS = "not written, the joined user namespace has its own"

# Handled by `attributes`.
LABELS = ("apparmorProfile", "selinuxLabel")
RARE_PROCESS = (*LABELS, "scheduler", "ioPriority")
RARE_LINUX = ("personality", "memoryPolicy")


def asks(section: "Process | Linux", names: "tuple[str, ...]") -> bool:
    """Whether one of ``names`` is set and not empty."""
    for name in names:  # noqa: SIM110 - a generator costs more than the loop
        if section.get(name):
            return True
    return False


def process(section: "Process", warnings: "Warnings") -> None:
    """The process of a config, or of ``exec --process``."""
    if section.get("commandLine"):
        warnings.append(("/process/commandLine", WINDOWS))
    if section.get("user", {}).get("username"):
        warnings.append(("/process/user/username", WINDOWS))


def joined_maps(linux: "Linux", warnings: "Warnings") -> None:
    """The maps of a container that joins an existing user namespace."""
    for name in ("uidMappings", "gidMappings"):
        if linux.get(name):
            warnings.append((f"/linux/{name}", JOINED_MAPS))


def check(spec: "Config", warnings: "Warnings") -> None:
    """Append (pointer, message) for each. `oci_spec.rules` warns about sections of other platforms."""
    if spec.get("process"):
        process(spec["process"], warnings)
    for entry in spec["linux"].get("namespaces", ()):
        if entry["type"] == "user" and entry.get("path"):
            joined_maps(spec["linux"], warnings)
    memory = spec["linux"].get("resources", {}).get("memory")
    if memory and memory.get("useHierarchy") is False:
        warnings.append(("/linux/resources/memory/useHierarchy", "cgroups always form a hierarchy, ignored"))
