"""Rules on what few configs have: scheduling, CPU affinity, resctrl, NUMA policy, network devices, personality, clock offsets."""

from oci_spec.rules import cpu_list, escape, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from oci_spec.rules import Finding, Rule, Spec


# Directories of the kernel's own in resctrl.
_RDT_RESERVED = ("info", "mon_groups", "mon_data")
_MODES_WITH_NODES = ("MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED_MANY")


def _process(spec: "Spec", name: str) -> "dict[str, Any]":
    part: dict[str, Any] = spec.get("process", {}).get(name, {})
    return part


def _linux(spec: "Spec", name: str) -> "dict[str, Any]":
    part: dict[str, Any] = spec.get("linux", {}).get(name, {})
    return part


def scheduler_nice(spec: "Spec") -> "Iterator[Finding]":
    """config.md#linux-process: nice goes from -20 to 19; only SCHED_OTHER and SCHED_BATCH look at it."""
    scheduler = _process(spec, "scheduler")
    nice, policy = scheduler.get("nice", 0), scheduler.get("policy")
    if not -20 <= nice <= 19:
        yield "/process/scheduler/nice", "error", f"{nice} is not between -20 and 19", None
    elif nice and policy not in ("SCHED_OTHER", "SCHED_BATCH"):
        yield "/process/scheduler/nice", "warning", f"{policy} has no nice value, ignored", None


def scheduler_priority(spec: "Spec") -> "Iterator[Finding]":
    """config.md#linux-process: SCHED_FIFO and SCHED_RR have a priority of 1 to 99, the other policies have none."""
    scheduler = _process(spec, "scheduler")
    policy, priority = scheduler.get("policy"), scheduler.get("priority", 0)
    if policy in ("SCHED_FIFO", "SCHED_RR"):
        if not 1 <= priority <= 99:
            yield "/process/scheduler/priority", "error", f"{policy} needs a priority between 1 and 99", None
    elif priority != 0:
        yield "/process/scheduler/priority", "error", f"{policy} has no priority", None


def scheduler_deadline(spec: "Spec") -> "Iterator[Finding]":
    """config.md#linux-process: runtime, deadline and period are SCHED_DEADLINE's, each no larger than the next (sched(7))."""
    scheduler = _process(spec, "scheduler")
    runtime, deadline, period = (scheduler.get(name, 0) for name in ("runtime", "deadline", "period"))
    for name, value in (("runtime", runtime), ("deadline", deadline), ("period", period)):
        if scheduler.get("policy") != "SCHED_DEADLINE":
            if value:
                yield f"/process/scheduler/{name}", "error", f"{scheduler.get('policy')} has no {name}", None
        elif value >= 1 << 63:
            yield f"/process/scheduler/{name}", "error", f"{value} is above 2^63 - 1, the kernel's longest time", None
        elif not value and name != "period":  # which is then the deadline
            yield f"/process/scheduler/{name}", "error", f"SCHED_DEADLINE needs a {name}", None
    if scheduler.get("policy") == "SCHED_DEADLINE":
        if 0 < runtime < 1024:
            message = f"{runtime} is below 1024 ns, the kernel's shortest runtime"
            yield "/process/scheduler/runtime", "error", message, None
        if runtime > deadline > 0:
            yield "/process/scheduler/runtime", "error", f"{runtime} is above the deadline {deadline}", None
        if deadline > period > 0:
            yield "/process/scheduler/deadline", "error", f"{deadline} is above the period {period}", None


def io_priority_level(spec: "Spec") -> "Iterator[Finding]":
    """config.md#linux-process: an I/O priority has a level, 0 to 7. IOPRIO_CLASS_IDLE has but one, which need not be named."""
    if not _process(spec, "ioPriority"):
        return
    level = _process(spec, "ioPriority").get("priority")
    if level is None:
        if _process(spec, "ioPriority").get("class") == "IOPRIO_CLASS_IDLE":
            return
        yield "/process/ioPriority/priority", "error", "priority is missing", None
    elif not 0 <= level <= 7:
        yield "/process/ioPriority/priority", "error", f"{level} is not between 0 and 7", None


def exec_affinity_lists(spec: "Spec") -> "Iterator[Finding]":
    """config.md#linux-process: initial and final are lists of CPUs."""
    for name in ("initial", "final"):
        text = _process(spec, "execCPUAffinity").get(name, "")
        if not cpu_list(text):
            yield f"/process/execCPUAffinity/{name}", "error", f"{text!r} is no list such as 0-3,7", None


def rdt_clos_name(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#intelrdt: closID is the name of one directory, or / for the default class."""
    name = _linux(spec, "intelRdt").get("closID", "")
    if name in (".", "..") or ("/" in name and name != "/") or "\n" in name:
        yield "/linux/intelRdt/closID", "error", f"{name!r} is not the name of a directory", None
    elif name in _RDT_RESERVED:
        yield "/linux/intelRdt/closID", "error", f"{name!r} is a name that resctrl keeps for itself", None


def rdt_cache_prefix(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#intelrdt: l3CacheSchema should begin with L3:."""
    text = _linux(spec, "intelRdt").get("l3CacheSchema", "")
    if text and not text.startswith("L3:"):
        yield "/linux/intelRdt/l3CacheSchema", "warning", f"{text!r} does not begin with L3:", None


def rdt_single_lines(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#intelrdt: l3CacheSchema and each of schemata is a single line."""
    rdt = _linux(spec, "intelRdt")
    lines = {"l3CacheSchema": rdt.get("l3CacheSchema", "")}
    lines.update((f"schemata/{index}", line) for index, line in enumerate(rdt.get("schemata", ())))
    for name, line in lines.items():
        if "\n" in line:
            yield f"/linux/intelRdt/{name}", "error", "the line has a line feed", None


def memory_policy_mode(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#memory-policy: a policy has a mode."""
    if "memoryPolicy" in spec.get("linux", ()) and "mode" not in spec["linux"]["memoryPolicy"]:
        yield "/linux/memoryPolicy/mode", "error", "the mode is missing", None


def memory_policy_nodes(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#memory-policy: MPOL_DEFAULT and MPOL_LOCAL have no nodes, the binding and interleaving modes have some."""
    policy = _linux(spec, "memoryPolicy")
    mode, nodes = policy.get("mode"), policy.get("nodes", "")
    if not cpu_list(nodes):
        yield "/linux/memoryPolicy/nodes", "error", f"{nodes!r} is no list such as 0-3,7", None
    elif mode in ("MPOL_DEFAULT", "MPOL_LOCAL") and nodes.strip():
        yield "/linux/memoryPolicy/nodes", "error", f"{mode} has no nodes", None
    elif mode in _MODES_WITH_NODES and not nodes.strip():
        yield "/linux/memoryPolicy/nodes", "error", f"{mode} needs nodes", None


def memory_policy_flags(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#memory-policy: nodes are static or relative, set_mempolicy(2) takes no policy with both."""
    flags = _linux(spec, "memoryPolicy").get("flags", ())
    if "MPOL_F_STATIC_NODES" in flags and "MPOL_F_RELATIVE_NODES" in flags:
        message = "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other"
        yield "/linux/memoryPolicy/flags", "error", message, None


def net_devices_namespace(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#network-devices: interfaces are moved into the container's network namespace, so there must be one."""
    if _linux(spec, "netDevices") and "network" not in namespaces(spec):
        message = "the interfaces cannot be moved, the container has no network namespace"
        yield "/linux/netDevices", "warning", message, 'add {"type": "network"} to /linux/namespaces'


def _interface_name(name: str) -> bool:
    """What the kernel takes for an interface's name (dev_valid_name)."""
    return 0 < len(name.encode()) < 16 and name not in (".", "..") and not any(c in "/:" or c.isspace() for c in name)


def net_device_names(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#network-devices: names are those of interfaces, and no two get the same one."""
    taken = set()
    for host, device in _linux(spec, "netDevices").items():
        new = device.get("name") or host
        if not _interface_name(host):
            yield f"/linux/netDevices/{escape(host)}", "error", f"{host!r} cannot be the name of an interface", None
        elif not _interface_name(new) or "%" in new.removesuffix("%d"):
            yield f"/linux/netDevices/{escape(host)}/name", "error", f"{new!r} cannot be the name of an interface", None
        elif new in taken and not new.endswith("%d"):
            yield f"/linux/netDevices/{escape(host)}", "error", f"two interfaces would be called {new}", None
        taken.add(new)


def personality_domain(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#personality: a personality has a domain."""
    if "personality" in spec.get("linux", ()) and "domain" not in spec["linux"]["personality"]:
        yield "/linux/personality/domain", "error", "the domain is missing", None


def personality_flags(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#personality: no flag is defined."""
    if _linux(spec, "personality").get("flags"):
        yield "/linux/personality/flags", "warning", "no flags of a personality are defined, these are ignored", None


def time_offsets_namespace(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#offset-for-time-namespace: only a new time namespace takes offsets."""
    if _linux(spec, "timeOffsets") and namespaces(spec).get("time") != "":
        message = "the clocks can only be set off in a new time namespace"
        yield "/linux/timeOffsets", "error", message, 'add {"type": "time"} to /linux/namespaces'


def time_offset_nanoseconds(spec: "Spec") -> "Iterator[Finding]":
    """config-linux.md#offset-for-time-namespace: nanosecs are the part below a second."""
    for clock in ("monotonic", "boottime"):
        nanosecs = _linux(spec, "timeOffsets").get(clock, {}).get("nanosecs", 0)
        if nanosecs > 999_999_999:
            yield f"/linux/timeOffsets/{clock}/nanosecs", "error", f"{nanosecs} is a second or more", None


RULES: "tuple[Rule, ...]" = (
    scheduler_nice,
    scheduler_priority,
    scheduler_deadline,
    io_priority_level,
    exec_affinity_lists,
    rdt_clos_name,
    rdt_cache_prefix,
    rdt_single_lines,
    memory_policy_mode,
    memory_policy_nodes,
    memory_policy_flags,
    net_devices_namespace,
    net_device_names,
    personality_domain,
    personality_flags,
    time_offsets_namespace,
    time_offset_nanoseconds,
)
