"""What a container's cgroups have counted, as the document that `events` prints. Not hot.

The names are runc's (types/events.go), which its callers parse: camel case in some places, underscores in others. Times
are nanoseconds, sizes bytes. The part of a controller that the container has no cgroup of stays empty.
"""

from runtime.files import read_or_empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    from runtime.shapes import Location

    # What a PSI file says: "some" and "full" → averages, and the total in microseconds.
    Pressure = dict[str, dict[str, float]]

    class Usage(TypedDict):
        total: int
        kernel: int
        user: int
        percpu: NotRequired[list[int]]
        percpu_kernel: NotRequired[list[int]]
        percpu_user: NotRequired[list[int]]

    class Throttling(TypedDict):
        periods: int
        throttledPeriods: int
        throttledTime: int

    class Cpu(TypedDict):
        usage: Usage
        throttling: Throttling
        psi: NotRequired[Pressure]

    class MemoryEntry(TypedDict, total=False):
        limit: int
        usage: int
        max: int
        failcnt: int

    class Memory(TypedDict, total=False):
        cache: int
        usage: MemoryEntry
        swap: MemoryEntry
        kernel: MemoryEntry
        kernelTCP: MemoryEntry
        raw: dict[str, int]
        psi: Pressure

    class Pids(TypedDict, total=False):
        current: int
        limit: int

    class DiskEntry(TypedDict):
        major: int
        minor: int
        op: str
        value: int

    class HugetlbEntry(TypedDict):
        usage: int
        max: NotRequired[int]
        failcnt: int

    # Name → traffic; the name is that of the interface or of a column.
    Interface = dict[str, str | int]

    class Data(TypedDict):
        """The ``data`` of a "stats" event."""

        cpu: Cpu
        cpuset: dict[str, int | list[int]]
        memory: Memory
        pids: Pids
        blkio: dict[str, list[DiskEntry] | Pressure]
        hugetlb: dict[str, HugetlbEntry]
        intel_rdt: dict[str, int]
        network_interfaces: NotRequired[list[Interface]]


TICK_NS = 10_000_000  # v1 counts user and system time in USER_HZ, which is 100 on every Linux
# v1 file → name in the document
BLKIO = {
    "blkio.throttle.io_service_bytes_recursive": "ioServiceBytesRecursive",
    "blkio.throttle.io_serviced_recursive": "ioServicedRecursive",
    "blkio.bfq.io_queued_recursive": "ioQueueRecursive",
    "blkio.bfq.io_service_time_recursive": "ioServiceTimeRecursive",
    "blkio.bfq.io_wait_time_recursive": "ioWaitTimeRecursive",
    "blkio.bfq.io_merged_recursive": "ioMergedRecursive",
    "blkio.bfq.time_recursive": "ioTimeRecursive",
    "blkio.bfq.sectors_recursive": "sectorsRecursive",
}
# v2 key of io.stat → (name in the document, op)
IO = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "dbytes": ("ioServiceBytesRecursive", "Discard"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
    "dios": ("ioServicedRecursive", "Discard"),
}
CPUSET_FLAGS = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)
UNLIMITED = (1 << 64) - 1


def collect(locations: "list[Location]") -> "Data":
    """The document's ``data``, without ``network_interfaces``."""
    data: Data = {
        "cpu": {
            "usage": {"total": 0, "kernel": 0, "user": 0},
            "throttling": {"periods": 0, "throttledPeriods": 0, "throttledTime": 0},
        },
        "cpuset": {},
        "memory": {},
        "pids": {},
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
    }
    for location in locations:
        path, hierarchy = location["path"], location["hierarchy"]
        table = V1 if hierarchy["version"] == 1 else V2
        for controller in hierarchy["controllers"]:
            if controller in table:
                table[controller](path, data)
        if hierarchy["version"] == 2:
            _pressures(path, data)
    return data


# Reading


def number(path: str) -> int:
    """The number in a file; 0 where it is absent or empty, the greatest one for "max"."""
    text = read_or_empty(path).split()[:1]
    if text == [b"max"]:
        return UNLIMITED
    return int(text[0]) if text and text[0].lstrip(b"-").isdigit() else 0


def pairs(path: str) -> dict[str, int]:
    """A file of lines "name number"."""
    result = {}
    for line in read_or_empty(path).decode(errors="replace").splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[1].isdigit():
            result[fields[0]] = int(fields[1])
    return result


def listed(text: str) -> list[int]:
    """The numbers of a list such as "0-2,7"."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers += range(int(first), int(last or first) + 1)
    return numbers


def pressure(path: str) -> "Pressure | None":
    """A PSI file (Documentation/accounting/psi.rst); None where the kernel keeps none."""
    result: Pressure = {}
    for line in read_or_empty(path).decode().splitlines():
        kind, *fields = line.split()
        values = dict(field.split("=", 1) for field in fields)
        result[kind] = {name: float(values[name]) for name in ("avg10", "avg60", "avg300") if name in values}
        result[kind]["total"] = int(values.get("total", 0))
    return result or None


# v1: cpu and cpuacct may be two hierarchies, with one part of "cpu" each


def _v1_cpuacct(path: str, data: "Data") -> None:
    ticks = pairs(f"{path}/cpuacct.stat")
    usage = data["cpu"]["usage"]
    usage["total"] = number(f"{path}/cpuacct.usage")
    usage["kernel"] = ticks.get("system", 0) * TICK_NS
    usage["user"] = ticks.get("user", 0) * TICK_NS
    if percpu := [int(count) for count in read_or_empty(f"{path}/cpuacct.usage_percpu").split()]:
        usage["percpu"] = percpu
    rows = [line.split() for line in read_or_empty(f"{path}/cpuacct.usage_all").decode().splitlines()[1:]]
    if rows:
        usage["percpu_kernel"] = [int(kernel) for _, _, kernel, *_ in rows]
        usage["percpu_user"] = [int(user) for _, user, *_ in rows]


def _v1_cpu(path: str, data: "Data") -> None:
    counts = pairs(f"{path}/cpu.stat")
    data["cpu"]["throttling"] = {
        "periods": counts.get("nr_periods", 0),
        "throttledPeriods": counts.get("nr_throttled", 0),
        "throttledTime": counts.get("throttled_time", 0),
    }


def _cpuset(path: str, data: "Data") -> None:
    for key in ("cpus", "mems"):
        text = read_or_empty(f"{path}/cpuset.{key}.effective") or read_or_empty(f"{path}/cpuset.effective_{key}")
        data["cpuset"][key] = listed((text or read_or_empty(f"{path}/cpuset.{key}")).decode())
    for name in CPUSET_FLAGS:
        data["cpuset"][name] = number(f"{path}/cpuset.{name}")


def _v1_memory(path: str, data: "Data") -> None:
    raw = pairs(f"{path}/memory.stat")
    data["memory"] = {
        "cache": raw.get("cache", 0),
        "usage": _v1_memory_entry(path, "memory"),
        "swap": _v1_memory_entry(path, "memory.memsw"),
        "kernel": _v1_memory_entry(path, "memory.kmem"),
        "kernelTCP": _v1_memory_entry(path, "memory.kmem.tcp"),
        "raw": raw,
    }


def _v1_memory_entry(path: str, name: str) -> "MemoryEntry":
    return {
        "limit": number(f"{path}/{name}.limit_in_bytes"),
        "usage": number(f"{path}/{name}.usage_in_bytes"),
        "max": number(f"{path}/{name}.max_usage_in_bytes"),
        "failcnt": number(f"{path}/{name}.failcnt"),
    }


def _pids(path: str, data: "Data") -> None:
    limit = number(f"{path}/pids.max")
    # As with runc: no limit is 0.
    data["pids"] = {"current": number(f"{path}/pids.current"), "limit": 0 if limit == UNLIMITED else limit}


def _v1_blkio(path: str, data: "Data") -> None:
    for file, name in BLKIO.items():
        entries: list[DiskEntry] = []
        for line in read_or_empty(f"{path}/{file}").decode().splitlines():
            device, *rest = line.split()
            major, colon, minor = device.partition(":")
            if colon and rest and rest[-1].isdigit():
                op = rest[0] if len(rest) == 2 else ""
                entries.append({"major": int(major), "minor": int(minor), "op": op, "value": int(rest[-1])})
        if entries:
            data["blkio"][name] = entries


def _page_sizes(path: str) -> list[str]:
    import posix

    try:
        names = [name.split(".") for name in posix.listdir(path)]
    except OSError:
        return []
    return sorted({parts[1] for parts in names if parts[0] == "hugetlb"})


def _v1_hugetlb(path: str, data: "Data") -> None:
    for size in _page_sizes(path):
        data["hugetlb"][size] = {
            "usage": number(f"{path}/hugetlb.{size}.usage_in_bytes"),
            "max": number(f"{path}/hugetlb.{size}.max_usage_in_bytes"),
            "failcnt": number(f"{path}/hugetlb.{size}.failcnt"),
        }


# v2


def _v2_cpu(path: str, data: "Data") -> None:
    counts = pairs(f"{path}/cpu.stat")
    data["cpu"]["usage"] = {
        "total": counts.get("usage_usec", 0) * 1000,
        "kernel": counts.get("system_usec", 0) * 1000,
        "user": counts.get("user_usec", 0) * 1000,
    }
    data["cpu"]["throttling"] = {
        "periods": counts.get("nr_periods", 0),
        "throttledPeriods": counts.get("nr_throttled", 0),
        "throttledTime": counts.get("throttled_usec", 0) * 1000,
    }


def _v2_memory(path: str, data: "Data") -> None:
    """As with runc: the cache is the pages of files, and swap includes memory, as on v1."""
    raw = pairs(f"{path}/memory.stat")
    events = pairs(f"{path}/memory.events")
    limit = number(f"{path}/memory.max")
    usage = number(f"{path}/memory.current")
    peak = number(f"{path}/memory.peak")
    swap_limit, swapped = number(f"{path}/memory.swap.max"), number(f"{path}/memory.swap.current")
    data["memory"] = {
        "cache": raw.get("file", 0),
        "usage": {"limit": limit, "usage": usage, "max": peak, "failcnt": events.get("max", 0)},
        "swap": {
            "limit": UNLIMITED if UNLIMITED in (swap_limit, limit) else swap_limit + limit,
            "usage": swapped + usage,
            "failcnt": pairs(f"{path}/memory.swap.events").get("fail", 0),
        },
        "raw": raw,
    }


def _v2_io(path: str, data: "Data") -> None:
    entries: dict[str, list[DiskEntry]] = {}
    for line in read_or_empty(f"{path}/io.stat").decode().splitlines():
        device, *fields = line.split()
        major, colon, minor = device.partition(":")
        for field in fields if colon else ():
            key, _, value = field.partition("=")
            if key in IO and value.isdigit():
                name, op = IO[key]
                entry: DiskEntry = {"major": int(major), "minor": int(minor), "op": op, "value": int(value)}
                entries.setdefault(name, []).append(entry)
    data["blkio"].update(entries)


def _v2_hugetlb(path: str, data: "Data") -> None:
    for size in _page_sizes(path):
        data["hugetlb"][size] = {
            "usage": number(f"{path}/hugetlb.{size}.current"),
            "failcnt": pairs(f"{path}/hugetlb.{size}.events").get("max", 0),
        }


def _pressures(path: str, data: "Data") -> None:
    if cpu := pressure(f"{path}/cpu.pressure"):
        data["cpu"]["psi"] = cpu
    if memory := pressure(f"{path}/memory.pressure"):
        data["memory"]["psi"] = memory
    if io := pressure(f"{path}/io.pressure"):
        data["blkio"]["psi"] = io


V1 = {
    "cpuacct": _v1_cpuacct,
    "cpu": _v1_cpu,
    "cpuset": _cpuset,
    "memory": _v1_memory,
    "pids": _pids,
    "blkio": _v1_blkio,
    "hugetlb": _v1_hugetlb,
}
V2 = {
    "cpu": _v2_cpu,
    "cpuset": _cpuset,
    "memory": _v2_memory,
    "pids": _pids,
    "io": _v2_io,
    "hugetlb": _v2_hugetlb,
}
