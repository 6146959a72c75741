"""The command line of ``ocirun update ID``: options and files with new limits for an existing container."""

from runtime.cli import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from oci_spec.types import LinuxIntelRdt
    from runtime.cli import Call
    from runtime.commands import Option

    # /linux/resources, as far as options cover it: section → property → value. `runtime.lifecycle.update` checks it.
    Sections = dict[str, dict[str, int | str]]

UNITS = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50}

# option → (kind of value, section of /linux/resources, property, help)
FLAGS = {
    "blkio-weight": ("N", "blockIO", "weight", "weight of the disks' bandwidth, 10 to 1000"),
    "cpu-period": ("USEC", "cpu", "period", "period of --cpu-quota in microseconds"),
    "cpu-quota": ("USEC", "cpu", "quota", "CPU time in each period, in microseconds; -1 is no limit"),
    "cpu-burst": ("USEC", "cpu", "burst", "unused quota that may be used later, in microseconds"),
    "cpu-share": ("N", "cpu", "shares", "weight against other cgroups"),
    "cpu-rt-period": ("USEC", "cpu", "realtimePeriod", "period of --cpu-rt-runtime in microseconds"),
    "cpu-rt-runtime": (
        "USEC",
        "cpu",
        "realtimeRuntime",
        "CPU time of realtime processes in each period, in microseconds",
    ),
    "cpu-idle": ("N", "cpu", "idle", "1: run only when the CPUs would be idle; 0: normal scheduling"),
    "cpuset-cpus": ("LIST", "cpu", "cpus", "CPUs to run on, such as 0-3,7"),
    "cpuset-mems": ("LIST", "cpu", "mems", "memory nodes to use, such as 0-1"),
    "memory": ("BYTES", "memory", "limit", "memory limit, with k, m, g or t for larger units; -1 is no limit"),
    "memory-reservation": (
        "BYTES",
        "memory",
        "reservation",
        "memory protected from reclaim as far as possible",
    ),
    "memory-swap": ("BYTES", "memory", "swap", "memory and swap together; -1 is no limit"),
    "kernel-memory": ("BYTES", "memory", "kernel", "kernel memory (older kernels)"),
    "kernel-memory-tcp": ("BYTES", "memory", "kernelTCP", "memory of TCP buffers"),
    "pids-limit": ("N", "pids", "limit", "number of processes; -1 is no limit"),
}
ZEROS = ("cpu-burst", "cpu-idle", "pids-limit")  # options for which 0 is an ordinary value
OPTIONS: "tuple[Option, ...]" = (
    (
        ("--resources", "-r"),
        "FILE",
        "resources",
        "the limits as JSON (linux.resources of config.json); - is standard input",
    ),
    *(
        ((f"--{name}",), metavar if metavar != "N" else "NUMBER", name, text)
        for name, (metavar, _, _, text) in FLAGS.items()
    ),
    (("--l3-cache-schema",), "SCHEMA", "l3-cache-schema", "share of the L3 cache, as a line of resctrl's schemata"),
    (("--mem-bw-schema",), "SCHEMA", "mem-bw-schema", "share of the memory bandwidth, likewise"),
)
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    from runtime.lifecycle import config
    from runtime.lifecycle.document import dumps
    from runtime.lifecycle.update import update

    schemas: LinuxIntelRdt = {}
    if "l3-cache-schema" in call.options:
        schemas["l3CacheSchema"] = call.options["l3-cache-schema"]
    if "mem-bw-schema" in call.options:
        schemas["memBwSchema"] = call.options["mem-bw-schema"]
    if "resources" in call.options:
        others = [f"--{name}" for name in FLAGS if name in call.options]
        if others:
            raise UsageError(f"--resources and {others[0]} cannot both be given")
        data = config.read(call.options["resources"])
    else:
        sections = resources(call.options)
        for option in without_effect(sections):
            call.warn(f"{option} has no effect: it counts as not given")
        data = dumps(sections).encode()
        if data == b"{}" and not schemas:
            raise UsageError("update needs a limit to change")
    update(call.root, call.operands[0], data, call.warn, schemas)
    return 0


def resources(options: "Mapping[str, str]") -> "Sections":
    """The options as /linux/resources."""
    sections: Sections = {}
    for name, (kind, section, key, _) in FLAGS.items():
        if name in options:
            text = options[name]
            value = text if kind == "LIST" else number(text, f"--{name}", kind == "BYTES")
            sections.setdefault(section, {})[key] = value
    return sections


def without_effect(sections: "Sections") -> "list[str]":
    """The options without effect: an empty list, and 0 where that means "not set"."""
    empty = [name for name, (_, section, key, _) in FLAGS.items() if sections.get(section, {}).get(key) in (0, "")]
    return [f"--{name}" + (" 0" if FLAGS[name][0] != "LIST" else " ''") for name in empty if name not in ZEROS]


def number(text: str, option: str, units: bool) -> int:
    """A whole number; with ``units`` also one such as 512m or 1.5G (multiples of 1024; b, ib or B may follow)."""
    amount = text.strip().lower()
    shift = 0
    if units:
        amount = amount.removesuffix("b").removesuffix("i")
        if amount[-1:] in UNITS:
            amount, shift = amount[:-1].rstrip(), UNITS[amount[-1]]
    digits = amount.removeprefix("-")
    whole, _, part = digits.partition(".")
    if not whole.isascii() or not whole.isdigit() or (part and not (shift and part.isascii() and part.isdigit())):
        suffix = ", optionally followed by k, m, g or t" if units else ""
        raise UsageError(f"{option} {text!r}: must be a whole number{suffix}")
    value: int = (int(whole + part) << shift) // 10 ** len(part)
    return -value if amount.startswith("-") else value
