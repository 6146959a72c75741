"""Building a plan and its inputs: for create and run, and for `ocirun plan`, which makes nothing. Hot.

First the host becomes facts, then the cgroups get their locations, then everything becomes operations. The caller
decides what to do about missing privileges, and about systemd, which only create talks to.
"""

from runtime.cgroups import layout
from runtime.host import facts as host
from runtime.plan import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oci_spec.types import Config, Seccomp
    from runtime.plan.ops import Operation
    from runtime.shapes import CreateOptions, Facts, Filter, Location, PlanOptions

    WarnAt = Callable[[str, str], None]  # takes a pointer and a message


def read_host(spec: "Config", bundle: str) -> "Facts":
    """The facts about the host that a plan needs. InvalidConfig for what the caller may not do."""
    facts = host.read(spec, bundle)
    check_rights(spec, facts)
    return facts


def check_rights(spec: "Config", facts: "Facts") -> None:
    """InvalidConfig, with pointer and remedy, for what the caller may not do."""
    if not facts["privileged"]:
        from runtime.plan import rootless

        rootless.check(spec, facts)


def cgroup_locations(spec: "Config", id: str, facts: "Facts", manager: str | None) -> "list[Location]":
    """The future cgroups, one location in each hierarchy; [] for the manager "disabled". The systemd manager computes its own."""
    if manager == "disabled":
        return []
    return layout.locations(spec["linux"].get("cgroupsPath"), id, facts["cgroup"])


def seccomp_profile(spec: "Config") -> "Seccomp | None":
    """linux.seccomp, with the listenerPath of crun's annotation if it has none of its own."""
    profile = spec["linux"].get("seccomp")
    receiver = spec.get("annotations", {}).get("run.oci.seccomp.receiver")
    return (
        {**profile, "listenerPath": receiver} if profile and receiver and not profile.get("listenerPath") else profile
    )


def seccomp_filter(spec: "Config", root: str, warn_at: "WarnAt") -> "Filter | None":
    """The filter for linux.seccomp, compiled or from the cache in ``root``; None without a profile."""
    profile = seccomp_profile(spec)
    if not profile:
        return None
    from runtime.seccomp import POINTER, load, refuse_unknown

    def warn(message: str) -> None:
        refuse_unknown(spec, message)
        warn_at(POINTER, message)

    return load(profile, root, warn)


def plan_options(
    id: str, options: "CreateOptions", kept: "Sequence[int]", seccomp: "Filter | None", wait_start: bool
) -> "PlanOptions":
    """The plan's options, without the variables from the caller's environment."""
    return {
        "id": id,
        "no_pivot": options.get("no_pivot", False),
        "no_new_keyring": options.get("no_new_keyring", False),
        "preserve_fds": len(kept),
        "wait_start": wait_start,
        "seccomp": seccomp,
    }


def operations(
    spec: "Config",
    facts: "Facts",
    cgroups: "tuple[list[str], list[Location]]",
    options: "PlanOptions",
    warn_at: "WarnAt",
) -> "list[Operation]":
    """The plan. ``cgroups``: the files by which a process enters them, and the locations that the container sees.

    InvalidConfig where there can be no plan.
    """
    facts["placement"], facts["cgroup_locations"] = cgroups
    result, warnings = plan(spec, facts, options)
    for pointer, message in warnings:
        warn_at(pointer, message)
    return result
