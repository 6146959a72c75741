"""What a container's cgroups have counted, as the document that `events` prints. Not hot.

The names are runc's (types/events.go), which its callers parse: camel case in some places, underscores in others. Times
are nanoseconds, sizes bytes. A controller that the container has no cgroup of leaves its part empty.
"""

from runtime.cgroups.tree import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.cgroups.layout import Place

    Section = dict[str, Any]

TICK_NS = 10_000_000  # v1 counts user and system time in USER_HZ, which is 100 on every Linux
# v1 file -> name in the document
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
# v2 key of io.stat -> (name in the document, op)
IO = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "dbytes": ("ioServiceBytesRecursive", "Discard"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
    "dios": ("ioServicedRecursive", "Discard"),
}
CPUSET_FLAGS = {
    "cpuset.cpu_exclusive": "cpu_exclusive",
    "cpuset.mem_hardwall": "mem_hardwall",
    "cpuset.mem_exclusive": "mem_exclusive",
    "cpuset.memory_migrate": "memory_migrate",
    "cpuset.memory_spread_page": "memory_spread_page",
    "cpuset.memory_spread_slab": "memory_spread_slab",
    "cpuset.memory_pressure": "memory_pressure",
    "cpuset.sched_load_balance": "sched_load_balance",
    "cpuset.sched_relax_domain_level": "sched_relax_domain_level",
}
UNLIMITED = (1 << 64) - 1


def collect(places: "list[Place]") -> "Section":
    """The document's ``data``, but for ``network_interfaces``: cpu, cpuset, memory, pids, blkio, hugetlb, intel_rdt."""
    data: Section = {
        "cpu": _cpu({}, {}),
        "cpuset": {},
        "memory": {},
        "pids": {},
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
    }
    for path, _, hierarchy in places:
        table = V1 if hierarchy["version"] == 1 else V2
        for controller in hierarchy["controllers"]:
            for name, function in table.get(controller, ()):
                _lay(data, name, function(path))
        if hierarchy["version"] == 2:
            _pressures(data, path)
    return data


def _lay(data: "Section", name: str, more: "Section") -> None:
    """cpu and cpuacct may be two hierarchies with one part each: what is counted by neither stays 0."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(data[name].get(key), dict):
            data[name][key].update({inner: one for inner, one in value.items() if one})
        else:
            data[name][key] = value


# Reading


def number(path: str) -> int:
    """The number in a file; 0 where it is absent or empty, the greatest one for "max"."""
    word = read(path).split()[:1]
    if word == [b"max"]:
        return UNLIMITED
    return int(word[0]) if word and word[0].lstrip(b"-").isdigit() else 0


def pairs(path: str) -> dict[str, int]:
    """A file of lines "name number"."""
    found = {}
    for line in read(path).decode(errors="replace").splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            found[words[0]] = int(words[1])
    return found


def listed(text: str) -> list[int]:
    """The numbers of a list such as "0-2,7"."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found += range(int(first), int(last or first) + 1)
    return found


def pressure(path: str) -> "Section | None":
    """A PSI file (Documentation/accounting/psi.rst); None where the kernel keeps none."""
    found: Section = {}
    for line in read(path).decode().splitlines():
        kind, *words = line.split()
        values = dict(word.split("=", 1) for word in words)
        averages = {name: float(values[name]) for name in ("avg10", "avg60", "avg300") if name in values}
        found[kind] = {**averages, "total": int(values.get("total", 0))}
    return found or None


# v1


def _cpu(usage: "Section", throttling: "Section") -> "Section":
    total = {"total": 0, "kernel": 0, "user": 0, **usage}
    return {"usage": total, "throttling": {"periods": 0, "throttledPeriods": 0, "throttledTime": 0, **throttling}}


def _v1_cpuacct(path: str) -> "Section":
    ticks = pairs(f"{path}/cpuacct.stat")
    usage: Section = {
        "total": number(f"{path}/cpuacct.usage"),
        "percpu": [int(word) for word in read(f"{path}/cpuacct.usage_percpu").split()],
        "kernel": ticks.get("system", 0) * TICK_NS,
        "user": ticks.get("user", 0) * TICK_NS,
    }
    columns = [line.split() for line in read(f"{path}/cpuacct.usage_all").decode().splitlines()[1:]]
    if columns:
        usage["percpu_kernel"] = [int(row[2]) for row in columns]
        usage["percpu_user"] = [int(row[1]) for row in columns]
    return _cpu(usage, {})


def _v1_cpu(path: str) -> "Section":
    found = pairs(f"{path}/cpu.stat")
    throttled = {"throttledPeriods": found.get("nr_throttled", 0), "throttledTime": found.get("throttled_time", 0)}
    return _cpu({}, {"periods": found.get("nr_periods", 0), **throttled})


def _cpuset(path: str) -> "Section":
    found: Section = {}
    for key in ("cpus", "mems"):
        text = read(f"{path}/cpuset.{key}.effective") or read(f"{path}/cpuset.effective_{key}")
        found[key] = listed((text or read(f"{path}/cpuset.{key}")).decode())
    for file, name in CPUSET_FLAGS.items():
        found[name] = number(f"{path}/{file}")
    return found


def _v1_memory(path: str) -> "Section":
    raw = pairs(f"{path}/memory.stat")
    return {
        "cache": raw.get("cache", 0),
        "usage": _v1_memory_entry(path, "memory"),
        "swap": _v1_memory_entry(path, "memory.memsw"),
        "kernel": _v1_memory_entry(path, "memory.kmem"),
        "kernelTCP": _v1_memory_entry(path, "memory.kmem.tcp"),
        "raw": raw,
    }


def _v1_memory_entry(path: str, name: str) -> "Section":
    return {
        "limit": number(f"{path}/{name}.limit_in_bytes"),
        "usage": number(f"{path}/{name}.usage_in_bytes"),
        "max": number(f"{path}/{name}.max_usage_in_bytes"),
        "failcnt": number(f"{path}/{name}.failcnt"),
    }


def _pids(path: str) -> "Section":
    limit = number(f"{path}/pids.max")
    # As runc has it: no limit is 0.
    return {"current": number(f"{path}/pids.current"), "limit": 0 if limit == UNLIMITED else limit}


def _v1_blkio(path: str) -> "Section":
    found: Section = {}
    for file, name in BLKIO.items():
        entries = []
        for line in read(f"{path}/{file}").decode().splitlines():
            device, *rest = line.split()
            major, colon, minor = device.partition(":")
            if colon and rest and rest[-1].isdigit():
                op = rest[0] if len(rest) == 2 else ""
                entries.append({"major": int(major), "minor": int(minor), "op": op, "value": int(rest[-1])})
        if entries:
            found[name] = entries
    return found


def _page_sizes(path: str) -> list[str]:
    import posix

    try:
        names = [name.split(".") for name in posix.listdir(path)]
    except OSError:
        return []
    return sorted({parts[1] for parts in names if parts[0] == "hugetlb"})


def _v1_hugetlb(path: str) -> "Section":
    return {
        size: {
            "usage": number(f"{path}/hugetlb.{size}.usage_in_bytes"),
            "max": number(f"{path}/hugetlb.{size}.max_usage_in_bytes"),
            "failcnt": number(f"{path}/hugetlb.{size}.failcnt"),
        }
        for size in _page_sizes(path)
    }


# v2


def _v2_cpu(path: str) -> "Section":
    found = pairs(f"{path}/cpu.stat")
    names = (("total", "usage_usec"), ("kernel", "system_usec"), ("user", "user_usec"))
    usage = {name: found.get(key, 0) * 1000 for name, key in names}
    throttled = {
        "throttledPeriods": found.get("nr_throttled", 0),
        "throttledTime": found.get("throttled_usec", 0) * 1000,
    }
    return _cpu(usage, {"periods": found.get("nr_periods", 0), **throttled})


def _v2_memory(path: str) -> "Section":
    """As runc: the cache is the pages of files, and swap counts memory too, as on v1."""
    raw = pairs(f"{path}/memory.stat")
    events = pairs(f"{path}/memory.events")
    usage = {
        "limit": number(f"{path}/memory.max"),
        "usage": number(f"{path}/memory.current"),
        "max": number(f"{path}/memory.peak"),
        "failcnt": events.get("max", 0),
    }
    limit, used = number(f"{path}/memory.swap.max"), number(f"{path}/memory.swap.current")
    both = {"limit": UNLIMITED if UNLIMITED in (limit, usage["limit"]) else limit + usage["limit"]}
    swap = {**both, "usage": used + usage["usage"], "failcnt": pairs(f"{path}/memory.swap.events").get("fail", 0)}
    return {"cache": raw.get("file", 0), "usage": usage, "swap": swap, "raw": raw}


def _v2_io(path: str) -> "Section":
    found: Section = {}
    for line in read(f"{path}/io.stat").decode().splitlines():
        device, *words = line.split()
        major, colon, minor = device.partition(":")
        for word in words if colon else ():
            key, _, value = word.partition("=")
            if key in IO and value.isdigit():
                name, op = IO[key]
                entry = {"major": int(major), "minor": int(minor), "op": op, "value": int(value)}
                found.setdefault(name, []).append(entry)
    return found


def _v2_hugetlb(path: str) -> "Section":
    return {
        size: {
            "usage": number(f"{path}/hugetlb.{size}.current"),
            "failcnt": pairs(f"{path}/hugetlb.{size}.events").get("max", 0),
        }
        for size in _page_sizes(path)
    }


def _pressures(data: "Section", path: str) -> None:
    for name, file in (("cpu", "cpu.pressure"), ("memory", "memory.pressure"), ("blkio", "io.pressure")):
        found = pressure(f"{path}/{file}")
        if found:
            data[name]["psi"] = found


V1 = {
    "cpuacct": (("cpu", _v1_cpuacct),),
    "cpu": (("cpu", _v1_cpu),),
    "cpuset": (("cpuset", _cpuset),),
    "memory": (("memory", _v1_memory),),
    "pids": (("pids", _pids),),
    "blkio": (("blkio", _v1_blkio),),
    "hugetlb": (("hugetlb", _v1_hugetlb),),
}
V2 = {
    "cpu": (("cpu", _v2_cpu),),
    "cpuset": (("cpuset", _cpuset),),
    "memory": (("memory", _v2_memory),),
    "pids": (("pids", _pids),),
    "io": (("blkio", _v2_io),),
    "hugetlb": (("hugetlb", _v2_hugetlb),),
}
