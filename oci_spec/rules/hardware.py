"""Rules on intelRdt, memoryPolicy and personality."""

from oci_spec.rules import cpu_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config

# Directories that resctrl itself makes.
_RDT_RESERVED = ("info", "mon_groups", "mon_data")
_MODES_WITH_NODES = ("MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED_MANY")


def rdt_clos_name(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#intelrdt: closID is a single directory name, or / for the default class."""
    name = spec.get("linux", {}).get("intelRdt", {}).get("closID", "")
    if name in (".", "..") or ("/" in name and name != "/") or "\n" in name:
        yield (
            "/linux/intelRdt/closID",
            "error",
            f"{name!r} is not the name of a directory",
            "write a name without a slash",
        )
    elif name in _RDT_RESERVED:
        yield (
            "/linux/intelRdt/closID",
            "error",
            f"{name!r} is a name that resctrl keeps for itself",
            "take another name",
        )


def rdt_cache_prefix(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#intelrdt: l3CacheSchema should begin with L3:."""
    text = spec.get("linux", {}).get("intelRdt", {}).get("l3CacheSchema", "")
    if text and not text.startswith("L3:"):
        yield (
            "/linux/intelRdt/l3CacheSchema",
            "warning",
            f"{text!r} does not begin with L3:",
            "write it like L3:0=ff;1=ff",
        )


def rdt_single_lines(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#intelrdt: l3CacheSchema and each of schemata is a single line."""
    rdt = spec.get("linux", {}).get("intelRdt", {})
    lines = {"l3CacheSchema": rdt.get("l3CacheSchema", "")}
    lines.update((f"schemata/{index}", line) for index, line in enumerate(rdt.get("schemata", ())))
    for name, line in lines.items():
        if "\n" in line:
            yield f"/linux/intelRdt/{name}", "error", "the line has a line feed", "write one line"


def memory_policy_mode(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#memory-policy: a policy has a mode."""
    if "memoryPolicy" in spec.get("linux", ()) and "mode" not in spec["linux"]["memoryPolicy"]:
        yield "/linux/memoryPolicy/mode", "error", "the mode is missing", "write MPOL_BIND, for example"


def memory_policy_nodes(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#memory-policy: MPOL_DEFAULT and MPOL_LOCAL take no nodes; the binding and interleaving modes need some."""
    policy = spec.get("linux", {}).get("memoryPolicy", {})
    mode, nodes = policy.get("mode"), policy.get("nodes", "")
    if not cpu_list(nodes):
        yield (
            "/linux/memoryPolicy/nodes",
            "error",
            f"{nodes!r} is not a list such as 0-3,7",
            "write numbers and ranges of memory nodes",
        )
    elif mode in ("MPOL_DEFAULT", "MPOL_LOCAL") and nodes.strip():
        yield "/linux/memoryPolicy/nodes", "error", f"{mode} has no nodes", "leave the nodes out"
    elif mode in _MODES_WITH_NODES and not nodes.strip():
        yield "/linux/memoryPolicy/nodes", "error", f"{mode} needs nodes", "add nodes, such as 0-1"


def memory_policy_flags(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#memory-policy: nodes are static or relative, not both (set_mempolicy(2))."""
    flags = spec.get("linux", {}).get("memoryPolicy", {}).get("flags", ())
    if "MPOL_F_STATIC_NODES" in flags and "MPOL_F_RELATIVE_NODES" in flags:
        message = "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other"
        yield "/linux/memoryPolicy/flags", "error", message, "leave one out"


def personality_domain(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#personality: a personality has a domain."""
    if "personality" in spec.get("linux", ()) and "domain" not in spec["linux"]["personality"]:
        yield "/linux/personality/domain", "error", "the domain is missing", "write LINUX or LINUX32"


def personality_flags(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#personality: no flags are defined."""
    if spec.get("linux", {}).get("personality", {}).get("flags"):
        yield (
            "/linux/personality/flags",
            "warning",
            "no personality flags are defined, these are ignored",
            "leave them out",
        )


RULES: "tuple[Rule, ...]" = (
    rdt_clos_name,
    rdt_cache_prefix,
    rdt_single_lines,
    memory_policy_mode,
    memory_policy_nodes,
    memory_policy_flags,
    personality_domain,
    personality_flags,
)
