"""Labels, scheduling, NUMA policy and execution domain → operations. Pure; imported only for a config that needs it.

The names and numbers are the kernel's: linux/sched.h, linux/ioprio.h, linux/mempolicy.h, linux/personality.h.
"""

from runtime.errors import InvalidConfig

from . import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from oci_spec.types import Linux, LinuxMemoryPolicy, Process, ProcessScheduler

    Operation = ops.Operation

POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
REAL_TIME = ("SCHED_FIFO", "SCHED_RR")
SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 1,
    "SCHED_FLAG_RECLAIM": 2,
    "SCHED_FLAG_DL_OVERRUN": 4,
    "SCHED_FLAG_KEEP_POLICY": 8,
    "SCHED_FLAG_KEEP_PARAMS": 16,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 32,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 64,
}
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
IO_CLASS_SHIFT = 13
MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MODE_BITS = (1 << 13) - 1  # of a memory policy: the bits above are its flags
MEMORY_FLAGS = {"MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15}
DOMAINS = {"LINUX": 0, "LINUX32": 8}
MAX_CPUS, MAX_NODES = 8192, 1024  # as in csrc/attributes.c: the most a kernel can be built for
MAX_DIGITS = 5  # longer numbers are above every limit

ATTRIBUTES = "thread-self/attr"


def numbers(text: str, limit: int, what: str, origin: str) -> "list[str]":
    """Expand a list such as ``0-3,7`` to decimal numbers. Raises InvalidConfig unless all are below ``limit``."""
    expanded: list[str] = []
    for item in text.replace(" ", "").split(",") if text.strip() else ():
        low, dash, high = item.partition("-")
        ends = (low, high if dash else low)
        digits = all(end.isascii() and end.isdigit() and len(end) <= MAX_DIGITS for end in ends)
        first, last = (int(end) for end in ends) if digits else (1, 0)
        if first > last or last >= limit:
            raise InvalidConfig(f"{item!r} in {text!r} is not a {what}, {limit - 1} at most", origin)
        expanded += [str(number) for number in range(first, last + 1)]
    return expanded


def affinity(process: "Process", moment: "Literal['initial', 'final']") -> "list[Operation]":
    """The CPUs of `exec`: "initial" before it enters the container's cgroups, "final" once it has."""
    origin = f"/process/execCPUAffinity/{moment}"
    cpus = numbers(process["execCPUAffinity"].get(moment) or "", MAX_CPUS, "number or range of CPUs", origin)
    return [ops.affinity(cpus, origin)] if cpus else []


def labelled_keyring(keyring: "Operation", label: str) -> "list[Operation]":
    """The session keyring with the process's label; by default SELinux derives it from the runtime's."""
    path, origin = f"{ATTRIBUTES}/keycreate", "/process/selinuxLabel"
    return [ops.label(path, None, label, origin), keyring, ops.label(path, None, None, origin)]


def scheduler(wanted: "ProcessScheduler", side: int) -> "Operation":
    policy = wanted["policy"]
    flags = sum(SCHEDULER_FLAGS[name] for name in set(wanted.get("flags", ())))
    level = wanted.get("priority", 0) if policy in REAL_TIME else wanted.get("nice", 0)
    runtime, deadline, period = wanted.get("runtime", 0), wanted.get("deadline", 0), wanted.get("period", 0)
    return ops.scheduler(POLICIES[policy], flags, level, runtime, deadline, period, side)


def memory_policy(wanted: "LinuxMemoryPolicy") -> "Operation":
    mode = MEMORY_MODES[wanted["mode"]] | sum(MEMORY_FLAGS[name] for name in set(wanted.get("flags", ())))
    origin = "/linux/memoryPolicy/nodes"
    return ops.memory_policy(mode, numbers(wanted.get("nodes", ""), MAX_NODES, "number or range of nodes", origin))


def labels(process: "Process") -> "list[Operation]":
    """Labels take effect at execve. Hooks that run before it inherit them."""
    plan = []
    profile, label = process.get("apparmorProfile"), process.get("selinuxLabel")
    if profile:
        path, older = f"{ATTRIBUTES}/apparmor/exec", f"{ATTRIBUTES}/exec"
        plan.append(ops.label(path, older, f"exec {profile}", "/process/apparmorProfile"))
    if label:
        plan.append(ops.label(f"{ATTRIBUTES}/exec", None, label, "/process/selinuxLabel"))
    return plan


def operations(process: "Process", linux: "Linux", side: int) -> "list[Operation]":
    """Attributes set while init has its privileges. ``side``: who sets the scheduling (not init, in a user namespace)."""
    plan: list[Operation] = []
    if linux.get("personality"):
        plan.append(ops.personality(DOMAINS[linux["personality"]["domain"]]))
    if linux.get("memoryPolicy"):
        plan.append(memory_policy(linux["memoryPolicy"]))
    if process.get("scheduler"):
        plan.append(scheduler(process["scheduler"], side))
    wanted = process.get("ioPriority")
    if wanted:
        value = IO_CLASSES[wanted["class"]] << IO_CLASS_SHIFT | wanted.get("priority", 0)
        plan.append(ops.io_priority(value, side))
    return plan + labels(process)
