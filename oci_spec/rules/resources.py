"""Rules on cgroup resources."""

from oci_spec.rules import cpu_list, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config

    Throttle = Literal[
        "throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice"
    ]

_THROTTLES: "tuple[Throttle, ...]" = (
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
)
# Files of a v2 cgroup that act on processes.
_NO_LIMITS = ("cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze")


def device_rule_type(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#allowed-device-list: the type of a device rule is a, b or c, or absent for a."""
    for index, rule in enumerate(spec["linux"]["resources"].get("devices", ())):
        if rule.get("type", "a") not in ("a", "b", "c", ""):
            yield (
                f"/linux/resources/devices/{index}/type",
                "error",
                f"{rule['type']!r} is none of a, b and c",
                "write c for a character device, b for a block device, a for all",
            )


def device_rule_access(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#allowed-device-list: access consists of the letters r, w and m."""
    for index, rule in enumerate(spec["linux"]["resources"].get("devices", ())):
        if rule.get("access", "").strip("rwm"):
            pointer = f"/linux/resources/devices/{index}/access"
            yield (
                pointer,
                "error",
                f"{rule['access']!r} has letters other than r, w and m",
                "r is read, w write, m mknod",
            )


def memory_limits(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#memory: a limit is a number of bytes, or -1 for none."""
    memory = spec["linux"]["resources"].get("memory", {})
    name: Literal["limit", "reservation", "swap", "kernel", "kernelTCP"]
    for name in ("limit", "reservation", "swap", "kernel", "kernelTCP"):
        if memory.get(name, 0) < -1:
            yield f"/linux/resources/memory/{name}", "error", f"{memory[name]} is below -1", "-1 means no limit"


def memory_swap(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#memory: swap includes memory, so it is at least the memory limit."""
    memory = spec["linux"]["resources"].get("memory", {})
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if limit > swap > 0:
        message = f"swap (memory and swap together) is {swap}, below the memory limit {limit}"
        yield "/linux/resources/memory/swap", "error", message, "write the sum of memory and swap"


def memory_swappiness(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#memory: swappiness is between 0 and 100."""
    swappiness = spec["linux"]["resources"].get("memory", {}).get("swappiness", 0)
    if swappiness > 100:
        yield "/linux/resources/memory/swappiness", "error", f"{swappiness} is above 100", "write 0 to 100"


def memory_kernel_discouraged(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#memory: kernel memory limits are discouraged: new kernels have none."""
    memory = spec["linux"]["resources"].get("memory", {})
    name: Literal["kernel", "kernelTCP"]
    for name in ("kernel", "kernelTCP"):
        if memory.get(name, 0) > 0:
            yield (
                f"/linux/resources/memory/{name}",
                "warning",
                f"{name} is discouraged, new kernels ignore it",
                "leave it out",
            )


def cpu_burst(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#cpu: burst is at most the quota, if that is positive."""
    cpu = spec["linux"]["resources"].get("cpu", {})
    quota, burst = cpu.get("quota", 0), cpu.get("burst", 0)
    if burst > quota > 0:
        yield (
            "/linux/resources/cpu/burst",
            "error",
            f"the burst {burst} is above the quota {quota}",
            "write the quota or less",
        )


def cpu_idle(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#cpu: idle is 0 or 1."""
    idle = spec["linux"]["resources"].get("cpu", {}).get("idle", 0)
    if idle not in (0, 1):
        yield "/linux/resources/cpu/idle", "error", f"{idle} is neither 0 nor 1", "write 0 or 1"


def cpu_lists(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#cpu: cpus and mems are lists of numbers and ranges."""
    cpu = spec["linux"]["resources"].get("cpu", {})
    name: Literal["cpus", "mems"]
    for name in ("cpus", "mems"):
        if not cpu_list(cpu.get(name, "")):
            yield (
                f"/linux/resources/cpu/{name}",
                "error",
                f"{cpu[name]!r} is not a list such as 0-3,7",
                "write numbers and ranges, with commas",
            )


def pids_limit(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#pids: the limit is a number of tasks, or -1 for none; 0 is a limit."""
    limit = spec["linux"]["resources"].get("pids", {}).get("limit", 0)
    if limit < -1:
        yield "/linux/resources/pids/limit", "warning", f"{limit} is read as -1, no limit", "write -1"


def weight_device_weights(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#block-io: an entry of weightDevice has weight or leafWeight, or both."""
    for index, entry in enumerate(spec["linux"]["resources"].get("blockIO", {}).get("weightDevice", ())):
        if "weight" not in entry and "leafWeight" not in entry:
            pointer = f"/linux/resources/blockIO/weightDevice/{index}/weight"
            yield pointer, "error", "neither weight nor leafWeight is given", "add one of them"


def throttle_rate(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#block-io: an entry of a throttle list has a rate."""
    block = spec["linux"]["resources"].get("blockIO", {})
    for name in _THROTTLES if block else ():
        for index, entry in enumerate(block.get(name, [])):
            if "rate" not in entry:
                yield (
                    f"/linux/resources/blockIO/{name}/{index}/rate",
                    "error",
                    "the rate is missing",
                    "add a rate: bytes or operations a second",
                )


def rdma_limits(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#rdma: an adapter has a limit on handles, objects or both."""
    for name, limits in spec["linux"]["resources"].get("rdma", {}).items():
        if "hcaHandles" not in limits and "hcaObjects" not in limits:
            pointer = f"/linux/resources/rdma/{escape(name)}/hcaHandles"
            yield pointer, "error", "neither hcaHandles nor hcaObjects is given", "add one of them"


def unified_file_names(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#unified: a key is the name of a file in the cgroup, not a path, and of a limit: other files could
    move any host process here, or kill or freeze the container's while it is created.
    """
    for name in spec["linux"]["resources"].get("unified", {}):
        pointer = f"/linux/resources/unified/{escape(name)}"
        if "/" in name or name in ("", ".", ".."):
            yield (
                pointer,
                "error",
                f"{name!r} is not the name of a file in the cgroup",
                "write the name alone, such as memory.high",
            )
        elif name in _NO_LIMITS:
            yield pointer, "error", f"{name} acts on processes, it is not a limit", "leave it out"


RULES: "tuple[Rule, ...]" = (
    device_rule_type,
    device_rule_access,
    memory_limits,
    memory_swap,
    memory_swappiness,
    memory_kernel_discouraged,
    cpu_burst,
    cpu_idle,
    cpu_lists,
    pids_limit,
    weight_device_weights,
    throttle_rate,
    rdma_limits,
    unified_file_names,
)
