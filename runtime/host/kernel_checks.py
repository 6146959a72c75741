"""What this kernel and this machine do not have, though a config asks for it. Cold: for `validate`.

Rows are as those of `checks`. It reads /proc and /sys, and changes nothing.
"""

import posix

from oci_spec.nearest import nearest
from runtime.files import clean, escape, read, read_or_empty
from runtime.host.container_tree import Tree, Unknown, with_mount
from runtime.host.facts import status_mask
from runtime.kernel import S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from oci_spec import Row
    from oci_spec.types import Config, Linux, Mount

    BlockList = Literal[
        "weightDevice",
        "throttleReadBpsDevice",
        "throttleWriteBpsDevice",
        "throttleReadIOPSDevice",
        "throttleWriteIOPSDevice",
    ]

MODULES = "/lib/modules"
CAP_SYS_RESOURCE = 24
BLOCK_DEVICES = "/sys/dev/block"
BLOCK_LISTS: "tuple[BlockList, ...]" = (
    "weightDevice",
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
)


def rows(spec: "Config", bundle: str) -> "Iterator[Row]":
    """Rows of a config that schema and rules accept. ``bundle`` is an absolute path."""
    linux = spec.get("linux", {})
    yield from _file_systems(spec)
    yield from _targets(spec, bundle)
    yield from _processors(linux)
    yield from _devices(linux)
    yield from _process_limits(spec)
    yield from _sysctls(spec)
    yield from _net_devices(linux)


def meant(word: str, known: "Iterable[str]") -> "str | None":
    """The known word that was probably meant, as a hint, or None."""
    near = nearest(word, known, 0.7)
    return f"did you mean {near}?" if near else None


# --- mounts


def file_systems() -> "set[str]":
    """The types that the kernel knows, or would load a module for."""
    known = {line.split()[-1] for line in read_or_empty("/proc/filesystems").decode().splitlines() if line.split()}
    release = posix.uname().release
    for line in read_or_empty(f"{MODULES}/{release}/modules.alias").decode(errors="replace").splitlines():
        words = line.split()
        if len(words) == 3 and words[1].startswith("fs-"):
            known.add(words[1].removeprefix("fs-"))
    return known


def _file_systems(spec: "Config") -> "Iterator[Row]":
    known = file_systems()
    for index, mount in enumerate(spec.get("mounts", ())):
        kind, options = mount.get("type", ""), mount.get("options", ())
        if not known or not kind or kind in ("none", "bind", "cgroup") or {"bind", "rbind", "remount"} & set(options):
            continue
        if kind.partition(".")[0] not in known:
            hint = meant(kind, known) or "load the module that has it, or take another one"
            yield f"/mounts/{index}/type", "error", f"this kernel knows no file system {kind}", hint, "host:file_system"


def _targets(spec: "Config", bundle: str) -> "Iterator[Row]":
    """A mount's target is of the kind of what is mounted on it: a file on a file, all else on a directory."""
    root = spec.get("root", {}).get("path")
    if not root:
        return
    rootfs = root if root[:1] == "/" else f"{bundle}/{root}"
    try:
        if posix.stat(rootfs).st_mode & S_IFMT != S_IFDIR:
            return
    except OSError:
        return
    tree = Tree(rootfs)
    for index, mount in enumerate(spec.get("mounts", ())):
        if "remount" not in mount.get("options", ()):
            yield from _target(index, mount, tree, bundle)
            tree = with_mount(tree, mount, bundle, exact=True)


def _target(index: int, mount: "Mount", tree: Tree, bundle: str) -> "Iterator[Row]":
    pointer, target = f"/mounts/{index}/destination", clean(mount["destination"])
    source_is_file = _is_bound_file(mount, bundle)
    try:
        mode = tree.mode(target)
    except (Unknown, FileNotFoundError, PermissionError):
        return  # it is made
    except OSError as error:
        message = f"{target}: {posix.strerror(error.errno or 0).lower()}"
        yield pointer, "error", message, "mount it elsewhere", "host:mount_target"
        return
    is_file = mode & S_IFMT != S_IFDIR
    if source_is_file is not None and is_file != source_is_file:
        kinds = ("a directory", "a file")
        message = f"{target} is {kinds[is_file]}, and what is mounted on it {kinds[source_is_file]}"
        yield pointer, "error", message, f"mount it on {kinds[source_is_file]}", "host:mount_target"


def _is_bound_file(mount: "Mount", bundle: str) -> "bool | None":
    """Whether a mount shows a file: None if that is not known."""
    options = mount.get("options", [])
    if not {"bind", "rbind"} & set(options):
        return False
    source = mount.get("source", "")
    if {"src-nofollow", "copy-symlink"} & set(options):
        return None
    try:
        status = posix.stat(source if source[:1] == "/" else f"{bundle}/{source}")
    except OSError:
        return None
    return status.st_mode & S_IFMT != S_IFDIR


# --- resources


def numbers(text: str) -> "set[int]":
    """The numbers of a list such as 0-3,7."""
    found: set[int] = set()
    for item in text.strip().split(",") if text.strip() else ():
        low, _, high = item.partition("-")
        found |= set(range(int(low), min(int(high or low), 1 << 20) + 1))
    return found


def _processors(linux: "Linux") -> "Iterator[Row]":
    cpu = linux.get("resources", {}).get("cpu", {})
    for name, kind, what in (("cpus", "cpu", "processors"), ("mems", "node", "memory nodes")):
        text = read_or_empty(f"/sys/devices/system/{kind}/online").decode().strip()
        wanted = cpu.get(name, "")
        absent = sorted(numbers(str(wanted)) - numbers(text)) if text and wanted else []
        if absent:
            shown = ", ".join(map(str, absent[:8])) + (" and more" if len(absent) > 8 else "")
            message = f"this machine has no {what} {shown}"
            yield f"/linux/resources/cpu/{name}", "error", message, f"it has {text}", "host:processors"


def _devices(linux: "Linux") -> "Iterator[Row]":
    resources = linux.get("resources", {})
    block = resources.get("blockIO", {})
    for name in BLOCK_LISTS if posix.access(BLOCK_DEVICES, posix.F_OK) else ():
        for index, entry in enumerate(block.get(name, [])):
            number = f"{entry['major']}:{entry['minor']}"
            if not posix.access(f"{BLOCK_DEVICES}/{number}", posix.F_OK):
                message = f"this machine has no block device {number}"
                yield (
                    f"/linux/resources/blockIO/{name}/{index}",
                    "error",
                    message,
                    "lsblk lists them",
                    "host:block_device",
                )
    sizes = _huge_pages()
    for index, limit in enumerate(resources.get("hugepageLimits", ())):
        if sizes and limit["pageSize"] not in sizes:
            pointer = f"/linux/resources/hugepageLimits/{index}/pageSize"
            message = f"this machine has no huge pages of {limit['pageSize']}"
            yield pointer, "error", message, f"it has {', '.join(sorted(sizes))}", "host:huge_pages"


def _huge_pages() -> "set[str]":
    """The sizes, as cgroup files have them: 2MB, 1GB."""
    try:
        names = posix.listdir("/sys/kernel/mm/hugepages")
    except OSError:
        return set()
    found = set()
    for name in names:
        size = int(name.removeprefix("hugepages-").removesuffix("kB"))
        unit = 0
        while size % 1024 == 0 and unit < 2:
            size, unit = size // 1024, unit + 1
        found.add(f"{size}{('KB', 'MB', 'GB')[unit]}")
    return found


def _may_raise() -> bool:
    """Whether the caller has CAP_SYS_RESOURCE."""
    return bool(status_mask(read("/proc/self/status"), b"CapEff:\t") >> CAP_SYS_RESOURCE & 1)


def _process_limits(spec: "Config") -> "Iterator[Row]":
    process = spec.get("process", {})
    most = int(read_or_empty("/proc/sys/fs/nr_open") or 0)
    own = _own_limits() if process.get("rlimits") and not _may_raise() else {}
    for index, limit in enumerate(process.get("rlimits", ())):
        pointer = f"/process/rlimits/{index}/hard"
        if limit["type"] == "RLIMIT_NOFILE" and most and limit["hard"] > most:
            hint = f"write {most}, or raise fs.nr_open: sysctl -w fs.nr_open={limit['hard']}"
            yield pointer, "error", f"{limit['hard']} is above fs.nr_open, {most}", hint, "host:rlimit"
        elif limit["hard"] > own.get(limit["type"], limit["hard"]):
            message = f"{limit['hard']} is above the caller's own limit, {own[limit['type']]}"
            yield pointer, "error", message, "raising it takes CAP_SYS_RESOURCE", "host:rlimit"
    score = process.get("oomScoreAdj")
    if score is not None and not _may_raise():
        least = int(read_or_empty("/proc/self/oom_score_adj") or 0)
        if score < least:
            message = f"{score} is below the caller's own score, {least}"
            yield "/process/oomScoreAdj", "error", message, "lowering it takes CAP_SYS_RESOURCE", "host:oom_score"


_LIMIT_NAMES = {
    "Max cpu time": "CPU",
    "Max file size": "FSIZE",
    "Max data size": "DATA",
    "Max stack size": "STACK",
    "Max core file size": "CORE",
    "Max resident set": "RSS",
    "Max processes": "NPROC",
    "Max open files": "NOFILE",
    "Max locked memory": "MEMLOCK",
    "Max address space": "AS",
    "Max file locks": "LOCKS",
    "Max pending signals": "SIGPENDING",
    "Max msgqueue size": "MSGQUEUE",
    "Max nice priority": "NICE",
    "Max realtime priority": "RTPRIO",
    "Max realtime timeout": "RTTIME",
}


def _own_limits() -> "dict[str, int]":
    """The caller's hard limits, by type."""
    found = {}
    for line in read_or_empty("/proc/self/limits").decode().splitlines():
        name = _LIMIT_NAMES.get(line[:26].strip())
        words = line[26:].split()
        if name and len(words) > 1 and words[1].isdigit():
            found[f"RLIMIT_{name}"] = int(words[1])
    return found


# --- kernel parameters and network devices


def _sysctls(spec: "Config") -> "Iterator[Row]":
    linux = spec.get("linux", {})
    for name, value in linux.get("sysctl", {}).items():
        pointer = f"/linux/sysctl/{escape(name)}"
        # With a slash in it, the name is a path already: net/ipv4/conf/eth0.1/forwarding.
        path = f"/proc/sys/{name if '/' in name else name.replace('.', '/')}"
        if not posix.access(path, posix.F_OK):
            if name.replace("/", ".").startswith(
                ("net.ipv4.conf.", "net.ipv6.conf.", "net.ipv4.neigh.", "net.ipv6.neigh.")
            ):
                continue  # of a device that the container's namespace may have
            yield pointer, "error", f"this kernel has no parameter {name}", _similar(path), "host:sysctl"
            continue
        current = read_or_empty(path).split()
        wanted = value.encode().split()
        if current and all(map(_is_integer, current)) and not all(map(_is_integer, wanted)):
            message = f"{name} takes {'a number' if len(current) == 1 else f'{len(current)} numbers'}, not {value!r}"
            yield pointer, "error", message, f"here it is {b' '.join(current).decode()}", "host:sysctl"
        elif name.endswith("ping_group_range") and len(wanted) == 2:
            yield from _ping_group_range(pointer, [int(word) for word in wanted], linux)


def _is_integer(word: bytes) -> bool:
    return word.removeprefix(b"-").isdigit()


def _ping_group_range(pointer: str, groups: "list[int]", linux: "Linux") -> "Iterator[Row]":
    """Both groups have to exist in a new user namespace."""
    if not any(entry["type"] == "user" and not entry.get("path") for entry in linux.get("namespaces", ())):
        return
    if groups[0] > groups[1]:
        return  # nobody
    for group in groups:
        if not any(m["containerID"] <= group < m["containerID"] + m["size"] for m in linux.get("gidMappings", ())):
            message = f"group {group} is not mapped in the user namespace"
            yield pointer, "error", message, "write groups that linux.gidMappings has", "host:sysctl"


def _similar(path: str) -> "str | None":
    """The most similar parameter of the same directory."""
    directory, _, name = path.rpartition("/")
    try:
        return meant(name, posix.listdir(directory))
    except OSError:
        return None


def _net_devices(linux: "Linux") -> "Iterator[Row]":
    try:
        present = posix.listdir("/sys/class/net")
    except OSError:
        return
    for name in linux.get("netDevices", {}):
        if name not in present:
            hint = meant(name, present) or f"there are {', '.join(sorted(present))}"
            yield (
                f"/linux/netDevices/{escape(name)}",
                "error",
                f"there is no network device {name}",
                hint,
                "host:net_device",
            )
