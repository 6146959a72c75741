"""What a plan is made of, and the plan: for create and run, and for `ocirun plan`, which makes nothing. Hot.

The host is read into facts; then it is known where the cgroups will be; then everything becomes operations. Who calls
decides what it does about missing rights, and about systemd, which only a create talks to.
"""

from runtime.cgroups import layout
from runtime.host import facts as host
from runtime.plan import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oci_spec.types import Config
    from runtime.plan.identity import Filter
    from runtime.plan.ops import Operation
    from runtime.shapes import CreateOptions, Facts, Location, PlanOptions

    WarnAt = Callable[[str, str], None]  # takes a pointer and a message


def read_host(spec: "Config", bundle: str) -> "Facts":
    """The host, as a plan needs to know it. InvalidConfig for what the caller has no right to."""
    facts = host.read(spec, bundle)
    check_rights(spec, facts)
    return facts


def check_rights(spec: "Config", facts: "Facts") -> None:
    """InvalidConfig, with the place and the remedy, for what the caller has no right to."""
    if not facts["privileged"]:
        from runtime.plan import rootless

        rootless.check(spec, facts)


def cgroup_locations(spec: "Config", id: str, facts: "Facts", manager: str | None) -> "list[Location]":
    """Where the cgroups will be, one location in each hierarchy; none for the manager "disabled". That of systemd names its own."""
    if manager == "disabled":
        return []
    return layout.locations(spec["linux"].get("cgroupsPath"), id, facts["cgroup"])


def seccomp_filter(spec: "Config", root: str, warn_at: "WarnAt") -> "Filter | None":
    """What linux.seccomp asks for, compiled or from the cache in ``root``; None where it asks for nothing."""
    profile = spec["linux"].get("seccomp")
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
    """What a plan takes besides spec and facts, without the variables that the caller's environment adds."""
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

    InvalidConfig for what cannot be planned.
    """
    facts["placement"], facts["cgroup_locations"] = cgroups
    result, warnings = plan(spec, facts, options)
    for pointer, message in warnings:
        warn_at(pointer, message)
    return result
