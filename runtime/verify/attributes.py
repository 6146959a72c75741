"""Limits and scheduling of the first process: rlimits, OOM score, scheduler, I/O priority, CPUs, NUMA policy, domain."""

from runtime import files
from runtime.cgroups import resources
from runtime.errors import OcirunError
from runtime.plan import attributes as plan

from .check import ITSELF, Check, judge, read, unknown, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import Process
    from runtime.shapes import Location

    from .container import Container

# The names of /proc/PID/limits, without "Max ".
LIMITS = {
    "RLIMIT_CPU": "cpu time",
    "RLIMIT_FSIZE": "file size",
    "RLIMIT_DATA": "data size",
    "RLIMIT_STACK": "stack size",
    "RLIMIT_CORE": "core file size",
    "RLIMIT_RSS": "resident set",
    "RLIMIT_NPROC": "processes",
    "RLIMIT_NOFILE": "open files",
    "RLIMIT_MEMLOCK": "locked memory",
    "RLIMIT_AS": "address space",
    "RLIMIT_LOCKS": "file locks",
    "RLIMIT_SIGPENDING": "pending signals",
    "RLIMIT_MSGQUEUE": "msgqueue size",
    "RLIMIT_NICE": "nice priority",
    "RLIMIT_RTPRIO": "realtime priority",
    "RLIMIT_RTTIME": "realtime timeout",
}
INFINITY = (1 << 64) - 1
# The names of /proc/PID/numa_maps.
MEMORY_MODES = {
    "MPOL_DEFAULT": "default",
    "MPOL_PREFERRED": "prefer",
    "MPOL_BIND": "bind",
    "MPOL_INTERLEAVE": "interleave",
    "MPOL_LOCAL": "local",
    "MPOL_PREFERRED_MANY": "prefer (many)",
    "MPOL_WEIGHTED_INTERLEAVE": "weighted interleave",
}
DOMAIN_BITS = 0xFF  # of a personality; the others are flags
ONLINE = "/sys/devices/system/cpu/online"


def checks(container: "Container", locations: "list[Location]") -> "Iterator[Check]":
    """``locations``: the container's cgroups, whose CPUs the process may use."""
    process = container.spec.get("process")
    if process:
        yield from _limits(container, process)
        score = process.get("oomScoreAdj")
        if score is not None:
            pointer = "/process/oomScoreAdj"
            yield read(pointer, "oom_score_adj", str(score), lambda: container.text("oom_score_adj").strip(), ITSELF)
        yield from _scheduling(container, process)
        yield _affinity(container, locations)
    linux = container.spec["linux"]
    if linux.get("personality"):
        domain = linux["personality"]["domain"]
        yield read("/linux/personality", "execution domain", domain, lambda: _domain(container), ITSELF)
    if linux.get("memoryPolicy"):
        yield _memory_policy(container)


def _limits(container: "Container", process: "Process") -> "Iterator[Check]":
    rows = process.get("rlimits", ())
    if not rows:
        return
    try:
        text = container.text("limits")
    except OSError as error:
        yield unknown("/process/rlimits", "rlimits", "", words(error))
        return
    present = {line[4:26].strip(): line[26:].split()[:2] for line in text.splitlines() if line.startswith("Max ")}
    for index, row in enumerate(rows):
        expected = [str(value) if value != INFINITY else "unlimited" for value in (row["soft"], row["hard"])]
        actual = present.get(LIMITS.get(row["type"], ""), [])
        pointer = f"/process/rlimits/{index}"
        yield judge(pointer, row["type"], _pair(expected), _pair(actual), actual == expected, _excuse(expected, actual))


def _pair(values: "list[str]") -> str:
    return "soft {}, hard {}".format(*values) if len(values) == 2 else ""


def _excuse(expected: "list[str]", actual: "list[str]") -> str:
    """A process may lower its limits, and move the soft one below the hard one."""
    if len(actual) != 2 or actual[1] != expected[1]:
        return ""
    return ITSELF


def _scheduling(container: "Container", process: "Process") -> "Iterator[Check]":
    from runtime.shim import io_priority_of, scheduler_of

    wanted, priority = process.get("scheduler"), process.get("ioPriority")
    if wanted:
        numbers = list(plan.scheduler(wanted, 0)[3])
        actual = lambda: _scheduler(scheduler_of(container.pid))  # noqa: E731
        yield read(
            "/process/scheduler", "scheduler", _scheduler([number & INFINITY for number in numbers]), actual, ITSELF
        )
    if priority:
        value = plan.IO_CLASSES[priority["class"]] << plan.IO_CLASS_SHIFT | priority.get("priority", 0)
        yield read(
            "/process/ioPriority", "I/O priority", _io(value), lambda: _io(io_priority_of(container.pid)), ITSELF
        )


def _scheduler(numbers: "list[int]") -> str:
    """The numbers of the `scheduler` operation as text."""
    policy, flags, level, runtime, deadline, period = numbers
    name = next((name for name, number in plan.POLICIES.items() if number == policy), str(policy))
    words = [name, *(flag for flag, bit in plan.SCHEDULER_FLAGS.items() if flags & bit)]
    signed = level - (1 << 64) if level >> 63 else level
    if name == "SCHED_DEADLINE":
        return " ".join([*words, f"runtime {runtime}, deadline {deadline}, period {period or deadline}"])
    return " ".join([*words, f"{'priority' if name in plan.REAL_TIME else 'nice'} {signed}"])


def _io(value: int) -> str:
    kind, level = value >> plan.IO_CLASS_SHIFT, value & ((1 << plan.IO_CLASS_SHIFT) - 1)
    name = next((name for name, number in plan.IO_CLASSES.items() if number == kind), "none")
    return name if name == "IOPRIO_CLASS_IDLE" else f"{name} {level}"


def _affinity(container: "Container", locations: "list[Location]") -> Check:
    """A process may run on all CPUs of its cgroup, unless somebody pins it."""
    given = (container.resources.get("cpu") or {}).get("cpus")
    pointer, what = "/linux/resources/cpu/cpus" if given else "/process", "CPUs of the process"
    location = resources.controllers(locations).get("cpuset")
    names = ("cpuset.effective_cpus", "cpuset.cpus.effective")
    texts = [files.read_or_empty(f"{location['path']}/{name}") for name in names] if location else []
    expected = next(filter(None, (text.decode().strip() for text in texts)), "")
    expected = expected or files.read_or_empty(ONLINE).decode().strip()
    actual = container.status.get("Cpus_allowed_list", "")
    if not expected:
        return unknown(pointer, what, "", f"{ONLINE} cannot be read")
    return judge(pointer, what, expected, actual, expected == actual, ITSELF)


def _domain(container: "Container") -> str:
    number = int(container.text("personality"), 16) & DOMAIN_BITS
    return next((name for name, value in plan.DOMAINS.items() if value == number), f"{number:#x}")


def _memory_policy(container: "Container") -> Check:
    """The policy of the process, as the first of its mappings has it."""
    wanted = container.spec["linux"]["memoryPolicy"]
    pointer, what = "/linux/memoryPolicy", "memory policy"
    expected = MEMORY_MODES[wanted["mode"]]
    nodes = ",".join(wanted.get("nodes", "").replace(" ", "").split(","))
    expected = f"{expected}:{nodes}" if nodes else expected
    try:
        lines = container.text("numa_maps").splitlines()
        policy = lines[0].split(" ", 1)[1].partition(" file=")[0].partition(" anon=")[0].strip() if lines else ""
        mode, _, shown = policy.partition("=")[0].partition(":")[0], "", policy.partition(":")[2]
        same = mode == MEMORY_MODES[wanted["mode"]] and _nodes(shown) == _nodes(nodes)
    except (OSError, OcirunError) as error:
        return unknown(pointer, what, expected, words(error))
    return judge(pointer, what, expected, policy, same, ITSELF)


def _nodes(text: str) -> "list[str]":
    """A list such as "0-1,3", as single numbers."""
    return sorted(plan.numbers(text.split(" ")[0], plan.MAX_NODES, "node", "/linux/memoryPolicy/nodes"))
