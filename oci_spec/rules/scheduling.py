"""Rules on scheduler, ioPriority and execCPUAffinity."""

from oci_spec.rules import cpu_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config


def scheduler_nice(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: nice is between -20 and 19; only SCHED_OTHER and SCHED_BATCH use it."""
    scheduler = spec.get("process", {}).get("scheduler", {})
    nice, policy = scheduler.get("nice", 0), scheduler.get("policy")
    if not -20 <= nice <= 19:
        yield "/process/scheduler/nice", "error", f"{nice} is not between -20 and 19", "write a number in this range"
    elif nice and policy not in ("SCHED_OTHER", "SCHED_BATCH"):
        yield "/process/scheduler/nice", "warning", f"{policy} has no nice value, ignored", "leave it out"


def scheduler_priority(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: SCHED_FIFO and SCHED_RR need a priority of 1 to 99; the other policies have none."""
    scheduler = spec.get("process", {}).get("scheduler", {})
    policy, priority = scheduler.get("policy"), scheduler.get("priority", 0)
    if policy in ("SCHED_FIFO", "SCHED_RR"):
        if not 1 <= priority <= 99:
            yield "/process/scheduler/priority", "error", f"{policy} needs a priority between 1 and 99", "write one"
    elif priority != 0:
        yield "/process/scheduler/priority", "error", f"{policy} has no priority", "leave it out, or write 0"


def scheduler_deadline(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: runtime, deadline and period are for SCHED_DEADLINE, and runtime <= deadline <= period (sched(7))."""
    scheduler = spec.get("process", {}).get("scheduler", {})
    runtime, deadline, period = (scheduler.get("runtime", 0), scheduler.get("deadline", 0), scheduler.get("period", 0))
    for name, value in (("runtime", runtime), ("deadline", deadline), ("period", period)):
        if scheduler.get("policy") != "SCHED_DEADLINE":
            if value:
                yield f"/process/scheduler/{name}", "error", f"{scheduler.get('policy')} has no {name}", "leave it out"
        elif value >= 1 << 63:
            yield (
                f"/process/scheduler/{name}",
                "error",
                f"{value} is above 2^63 - 1, the kernel's longest time",
                "write less",
            )
        elif not value and name != "period":  # a period of 0 means the deadline
            yield f"/process/scheduler/{name}", "error", f"SCHED_DEADLINE needs a {name}", "write it in nanoseconds"
    if scheduler.get("policy") == "SCHED_DEADLINE":
        if 0 < runtime < 1024:
            message = f"{runtime} is below 1024 ns, the kernel's shortest runtime"
            yield "/process/scheduler/runtime", "error", message, "write 1024 or more"
        if runtime > deadline > 0:
            yield (
                "/process/scheduler/runtime",
                "error",
                f"{runtime} is above the deadline {deadline}",
                "write the deadline or less",
            )
        if deadline > period > 0:
            yield (
                "/process/scheduler/deadline",
                "error",
                f"{deadline} is above the period {period}",
                "write the period or less",
            )


def io_priority_level(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: an I/O priority has a level, 0 to 7. IOPRIO_CLASS_IDLE has only one, which may be omitted."""
    priority = spec.get("process", {}).get("ioPriority")
    if not priority:
        return
    level = priority.get("priority")
    if level is None:
        if priority["class"] == "IOPRIO_CLASS_IDLE":
            return
        yield "/process/ioPriority/priority", "error", "priority is missing", "write 0 to 7"
    elif not 0 <= level <= 7:
        yield "/process/ioPriority/priority", "error", f"{level} is not between 0 and 7", "write a number in this range"


def exec_affinity_lists(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: initial and final are lists of CPUs."""
    name: Literal["initial", "final"]
    for name in ("initial", "final"):
        text = spec.get("process", {}).get("execCPUAffinity", {}).get(name, "")
        if not cpu_list(text):
            yield (
                f"/process/execCPUAffinity/{name}",
                "error",
                f"{text!r} is not a list such as 0-3,7",
                "write numbers and ranges of processors",
            )


RULES: "tuple[Rule, ...]" = (
    scheduler_nice,
    scheduler_priority,
    scheduler_deadline,
    io_priority_level,
    exec_affinity_lists,
)
