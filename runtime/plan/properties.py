"""Properties of the config that are not built: refused where ignoring one would weaken isolation, lift a limit or change
what the program sees, else warned about. Pure and hot; never silent.
"""

from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Warnings = list[tuple[str, str]]

REFUSED_PROCESS = ("apparmorProfile", "selinuxLabel", "scheduler", "ioPriority")
REFUSED_LINUX = ("mountLabel", "personality", "intelRdt", "memoryPolicy", "netDevices")


def refuse(section: "dict[str, Any]", names: "tuple[str, ...]", pointer: str) -> None:
    for name in names:
        if section.get(name):
            raise InvalidConfig(f"{name} is not supported by this version", f"{pointer}/{name}")


def process(section: "dict[str, Any]", warnings: "Warnings") -> None:
    """The process of a config, or of ``exec --process``."""
    refuse(section, REFUSED_PROCESS, "/process")
    if section.get("execCPUAffinity"):
        warnings.append(("/process/execCPUAffinity", "not supported by this version, ignored"))


def check(spec: "dict[str, Any]", warnings: "Warnings") -> None:
    """InvalidConfig for a property that must not be ignored; a warning for the others."""
    process(spec.get("process") or {}, warnings)
    refuse(spec["linux"], REFUSED_LINUX, "/linux")
