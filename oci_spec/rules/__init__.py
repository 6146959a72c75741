"""Requirements of the spec that a schema cannot express: one generator function each.

A rule takes the whole document and yields (pointer, severity, message, hint). Its name is the problem's `rule`, and its
docstring begins with the section of the spec. Rules may rely on the schema: `oci_spec.report` prunes what it refuses.

`rules_for` loads only the modules that the document needs, since the rules run at every create. Rules about style rather
than the container are in `advice`, and run only in `ocirun validate`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oci_spec.types import Config, Json, Linux

    Finding = tuple[str, str, str, str | None]
    Rule = Callable[[Json], Iterator[Finding]]  # takes a Config, or the document that the rule is about

# The newest version of the spec that the schema and the rules follow.
VERSION = (1, 3, 0)

_OTHER_PLATFORMS = ("windows", "solaris", "vm", "zos", "freebsd")
_SCHEDULING = ("scheduler", "ioPriority", "execCPUAffinity")
_HARDWARE = ("intelRdt", "memoryPolicy", "personality")
_NAMESPACE_CONTENTS = ("netDevices", "timeOffsets")


def platform(spec: "Config") -> str:
    """The platform of a config: linux, unless it has only another platform's section."""
    if "linux" not in spec:
        for name in _OTHER_PLATFORMS:
            if name in spec:
                return name
    return "linux"


def rules_for(spec: "Json", kind: str) -> "tuple[Rule, ...]":
    """The rules for a document of this kind with these sections."""
    if kind in ("state", "features"):
        from oci_spec.rules import documents

        return documents.STATE if kind == "state" else documents.FEATURES
    from oci_spec.rules import process

    target = platform(spec)
    linux = spec.get("linux", {})
    rules: tuple[Rule, ...] = ()
    if kind == "config":
        from oci_spec.rules import config

        rules = config.RULES
    if "process" in spec and target != "windows":
        rules += process.LINUX if target == "linux" else process.POSIX
    if any(name in spec.get("process", ()) for name in _SCHEDULING):
        from oci_spec.rules import scheduling

        rules += scheduling.RULES
    if target == "linux" and kind == "config":
        rules += _linux_rules(linux)
    return rules


def _linux_rules(linux: "Linux") -> "tuple[Rule, ...]":
    from oci_spec.rules import linux as linux_rules

    rules = linux_rules.RULES
    if "resources" in linux:
        from oci_spec.rules import resources

        rules += resources.RULES
    if "seccomp" in linux:
        from oci_spec.rules import seccomp

        rules += seccomp.RULES
    if any(name in linux for name in _HARDWARE):
        from oci_spec.rules import hardware

        rules += hardware.RULES
    if any(name in linux for name in _NAMESPACE_CONTENTS):
        from oci_spec.rules import namespace_contents

        rules += namespace_contents.RULES
    return rules


def namespaces(spec: "Config") -> "dict[str, str]":
    """Listed namespaces: type → path to join, "" for a new one."""
    return {entry["type"]: entry.get("path", "") for entry in spec.get("linux", {}).get("namespaces", ())}


def cpu_list(text: str) -> bool:
    """Whether a text is a list such as `0-3,7` (cpuset(7), List format). An empty list is allowed."""
    if not text.strip():
        return True
    for item in text.split(","):
        low, dash, high = item.strip().partition("-")
        if not (low.isascii() and low.isdigit()):
            return False
        if dash and not (high.isascii() and high.isdigit() and int(low) <= int(high)):
            return False
    return True


def escape(name: str) -> str:
    """A property name as a JSON pointer's reference token (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
