"""Values that the kernel refuses, or reads otherwise than they are meant, on every host. Pure and cold: for `validate`.

Sources: sched-bwc.rst, cgroup-v2.rst and cgroup-v1/memory.rst in the kernel's Documentation, setrlimit(2), unix(7).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from oci_spec import Row
    from oci_spec.types import Config, Resources

PERIOD = range(1_000, 1_000_001)  # microseconds, of the CPU controller
LEAST_QUOTA = 1_000
SHARES = range(2, 262145)
WEIGHTS = range(10, 1001)  # config-linux.md#block-io
PAGE = 4096
CPU, MEMORY, BLOCK = "/linux/resources/cpu", "/linux/resources/memory", "/linux/resources/blockIO"
SUN_PATH = 107  # bytes of a socket's path
RULE = "kernel:limits"


def rows(spec: "Config") -> "Iterator[Row]":
    """Rows of a config that schema and rules accept."""
    resources = spec.get("linux", {}).get("resources", {})
    yield from _cpu(resources)
    yield from _memory(resources)
    yield from _weights(resources)
    path = spec.get("linux", {}).get("seccomp", {}).get("listenerPath", "")
    if len(path.encode()) > SUN_PATH:
        message = f"the path has {len(path.encode())} bytes, and that of a socket at most {SUN_PATH}"
        yield "/linux/seccomp/listenerPath", "error", message, "give the agent's socket a shorter path", RULE
    yield from _environment(spec)


def _cpu(resources: "Resources") -> "Iterator[Row]":
    cpu = resources.get("cpu", {})
    quota, period = cpu.get("quota", 0), cpu.get("period", 0)
    if 0 < quota < LEAST_QUOTA:
        message = f"a quota of {quota} µs is below the kernel's least, {LEAST_QUOTA}"
        yield f"{CPU}/quota", "error", message, f"write {LEAST_QUOTA} or more, and a longer period", RULE
    if period and period not in PERIOD:
        message = f"a period of {period} µs is not between {PERIOD.start} and {PERIOD.stop - 1}"
        yield f"{CPU}/period", "error", message, "write 100000, the kernel's default", RULE
    runtime, window = cpu.get("realtimeRuntime", 0), cpu.get("realtimePeriod", 1_000_000)
    if runtime > window > 0:
        message = f"a realtime runtime of {runtime} µs does not fit into the period, {window} µs"
        yield f"{CPU}/realtimeRuntime", "error", message, "give it less than the period", RULE
    shares = cpu.get("shares", 0)
    if shares and shares not in SHARES:
        nearest = min(max(shares, SHARES.start), SHARES.stop - 1)
        message = f"{shares} shares are taken as {nearest}"
        yield f"{CPU}/shares", "warning", message, "1024 is the default, and more is a greater part", RULE
    if shares and cpu.get("idle") == 1:
        message = "the shares have no effect in a cgroup that is idle"
        yield f"{CPU}/shares", "warning", message, "leave them out, or idle", RULE


def _weights(resources: "Resources") -> "Iterator[Row]":
    block = resources.get("blockIO", {})
    name: Literal["weight", "leafWeight"]
    for name in ("weight", "leafWeight"):
        places = [(f"{BLOCK}/{name}", block.get(name))]
        for index, entry in enumerate(block.get("weightDevice", ())):
            places.append((f"{BLOCK}/weightDevice/{index}/{name}", entry.get(name)))
        for pointer, weight in places:
            if weight and weight not in WEIGHTS:
                message = f"a weight of {weight} is not between {WEIGHTS.start} and {WEIGHTS.stop - 1}"
                yield pointer, "error", message, "500 is the default", RULE


def _memory(resources: "Resources") -> "Iterator[Row]":
    memory = resources.get("memory", {})
    limit, reservation = memory.get("limit", 0), memory.get("reservation", 0)
    if 0 < limit < PAGE:
        message = f"{limit} bytes are less than a page: no process can start"
        yield f"{MEMORY}/limit", "error", message, "the number is in bytes: 64 MiB are 67108864", RULE
    elif 0 < limit < 1 << 19:
        message = f"{limit} bytes are too little for most programs to start"
        yield f"{MEMORY}/limit", "warning", message, "the number is in bytes: 64 MiB are 67108864", RULE
    if reservation > limit > 0:
        message = f"the reservation {reservation} is above the limit {limit}, so it has no effect"
        yield f"{MEMORY}/reservation", "warning", message, "write less than the limit", RULE
    if resources.get("pids", {}).get("limit") == 0:
        message = "0 is a limit: the program runs, and can make no other process or thread"
        yield "/linux/resources/pids/limit", "warning", message, "write -1 for no limit", RULE


def _environment(spec: "Config") -> "Iterator[Row]":
    """A variable that is given twice: which one counts depends on the program."""
    seen: dict[str, int] = {}
    for index, entry in enumerate(spec.get("process", {}).get("env", ())):
        name = entry.partition("=")[0]
        if name in seen:
            message = f"{name} is given twice, first in item {seen[name]}; which one counts depends on the program"
            yield f"/process/env/{index}", "warning", message, "leave one out", RULE
        seen[name] = index
