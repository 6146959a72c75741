"""Properties of the config that are not built: refused where ignoring one would weaken isolation, lift a limit or change
what the program sees, else warned about. Pure and hot; never silent. `properties_table` has the whole list, with reasons.
"""

from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Section = dict[str, Any]
    Warnings = list[tuple[str, str]]

REFUSAL = "not supported by this version"
IGNORED = f"{REFUSAL}, ignored"
WINDOWS = "for Windows only, ignored"

# What `attributes` makes operations of.
LABELS = ("apparmorProfile", "selinuxLabel")
RARE_PROCESS = (*LABELS, "scheduler", "ioPriority")
RARE_LINUX = ("personality", "memoryPolicy")
REFUSED_LINUX = ("netDevices",)


def refuse(section: "Section", names: "tuple[str, ...]", pointer: str) -> None:
    for name in names:
        if section.get(name):
            raise InvalidConfig(f"{name} is {REFUSAL}", f"{pointer}/{name}")


def asks(section: "Section", names: "tuple[str, ...]") -> bool:
    """Whether one of ``names`` is there and not empty."""
    for name in names:  # noqa: SIM110 - a generator costs more than the loop
        if section.get(name):
            return True
    return False


def process(section: "Section", warnings: "Warnings") -> None:
    """The process of a config, or of ``exec --process``."""
    if section.get("commandLine"):
        warnings.append(("/process/commandLine", WINDOWS))
    if (section.get("user") or {}).get("username"):
        warnings.append(("/process/user/username", WINDOWS))


def check(spec: "Section", warnings: "Warnings") -> None:
    """InvalidConfig for a property that must not be ignored; a warning for the others.

    Sections of another platform have had theirs (`oci_spec.rules`); values that are not built are refused where they
    are read (`mounts`, `seccomp`).
    """
    if spec.get("process"):
        process(spec["process"], warnings)
    linux = spec["linux"]
    refuse(linux, REFUSED_LINUX, "/linux")
    memory = (linux.get("resources") or {}).get("memory")
    if memory and memory.get("useHierarchy") is False:
        warnings.append(("/linux/resources/memory/useHierarchy", "cgroups always form a hierarchy, ignored"))
