"""Two hosts as fixed facts, so that their plans do not depend on the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oci_spec.default import default
from runtime.cgroups import layout
from runtime.lifecycle.planning import placement
from runtime.plan import ops, plan
from runtime.plan.seccomp import filter_flags
from tests.runtime.cgroups import hosts

TREE = Path(__file__).resolve().parents[3]
ID = "one"
ALL_CAPABILITIES = (1 << 41) - 1
SYS_RESOURCE = 1 << 24
# v1 with a v2 mount beside it, and a runtime without CAP_SYS_RESOURCE; v2 alone, called from a service's cgroup.
HOSTS: dict[str, dict[str, Any]] = {
    "hybrid": {"cgroup": hosts.hybrid(), "capabilities": ALL_CAPABILITIES & ~SYS_RESOURCE},
    "v2": {"cgroup": hosts.v2(own="/system.slice/manager.service"), "capabilities": ALL_CAPABILITIES},
}


def facts(spec: dict[str, Any], host: str = "v2", **changes: Any) -> dict[str, Any]:
    """What runtime.host.facts.read would return there for root, with the container's cgroups made."""
    linux = spec["linux"]
    user = any(entry["type"] == "user" for entry in linux.get("namespaces") or ())
    locations = layout.locations(linux.get("cgroupsPath"), ID, HOSTS[host]["cgroup"])
    return {
        "bundle": "/bundle",
        "rootfs": "/bundle/rootfs",
        "privileged": True,
        "capable": True,
        "in_user_namespace": False,
        "new_user_namespace": user,
        "uid_map": linux.get("uidMappings") or [],
        "gid_map": linux.get("gidMappings") or [],
        "own_uid_map": [],
        "own_gid_map": [],
        "deny_setgroups": False,
        "keep_groups": False,
        "cgroup_locations": locations,
        "placement": placement(locations),
        "resctrl": ["/sys/fs/resctrl/class/tasks"] if linux.get("intelRdt") else (),
        **HOSTS[host],
        **({"capabilities": ~0} if user else {}),
        **changes,
    }


def options(spec: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The options of create; a filter is a single instruction."""
    profile = spec["linux"].get("seccomp")
    program = None
    if profile:
        program = bytes(8), filter_flags(profile), profile.get("listenerPath", ""), profile.get("listenerMetadata", "")
    return {"id": ID, "wait_start": True, "preserve_fds": 0, "seccomp": program, **changes}


def planned(spec: dict[str, Any], host: str = "v2", **changes: Any) -> list[ops.Operation]:
    """The operations for a config there; ``changes`` are facts."""
    return plan(spec, facts(spec, host, **changes), options(spec))[0]


def spec_with(**linux: Any) -> dict[str, Any]:
    """The default config without a terminal, with these in its linux section."""
    spec = default()
    spec["process"]["terminal"] = False
    spec["linux"].update(linux)
    return spec


def names(operations: list[ops.Operation]) -> list[str]:
    return [ops.TABLE[operation[0]][0] for operation in operations]
