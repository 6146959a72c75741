"""Limits written to the cgroups that `tree` made: v2 controllers enabled, files written, the device filter attached.

Acts on what `resources` decided. Every error names the place in the config, the file, what the system said and, where it
is known, what to do.
"""

import errno
import posix

from runtime import files
from runtime.cgroups import tree
from runtime.cgroups.intent import NOT_OURS
from runtime.cgroups.resources import needed
from runtime.cgroups.setting import Setting
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.intent import Intent
    from runtime.cgroups.resources import DeviceFilter
    from runtime.cgroups.setting import Write
    from runtime.shapes import Location


def build(
    locations: "list[Location]",
    intent: "Intent",
    writes: "list[Write]",
    device_filter: "DeviceFilter | None",
    tolerate: bool = False,
) -> list[OcirunError]:
    """Make the cgroups of the intent, which is on disk by now, and write their limits.

    Returns what to warn about, usually []. ``tolerate`` (rootless): a hierarchy that may not be written is left out,
    unless a limit was asked for there. Device rules do not count as a limit then, since such a caller cannot make nodes.
    """
    return fill(locations, intent, writes, device_filter, tree.make(intent, tolerate), tolerate)


def fill(
    locations: "list[Location]",
    intent: "Intent",
    writes: "list[Write]",
    device_filter: "DeviceFilter | None",
    failed: "dict[str, OcirunError]",
    tolerate: bool = False,
) -> list[OcirunError]:
    """`build` for cgroups that exist, except those in ``failed`` (by path)."""
    tree.seed_cpusets(locations, intent, {setting.file for _, setting in writes})
    enable(locations, intent, writes)
    if not tolerate:
        write(writes, failed)
        if device_filter:
            attach(*device_filter)
        return []
    limits, rules = [], []
    for location, setting in writes:
        possible = location["path"] not in failed
        if setting.file.startswith("devices."):
            rules += [(location, setting)] if possible else []
        elif possible or not setting.is_default:
            limits.append((location, setting))
    write(limits, failed)
    try:
        write(rules, failed)
        if device_filter and device_filter[0] not in failed:
            attach(*device_filter)
    except OcirunError as failure:
        if failure.errno not in (errno.EPERM, errno.EACCES):
            raise
        return [*failed.values(), failure]
    return list(failed.values())


def write(writes: "list[Write]", failed: "dict[str, OcirunError]") -> None:
    """Write in order. Several writes to one file in a row open it once: opening is most of a write's cost."""
    opened, descriptor = "", -1
    try:
        for location, setting in writes:
            directory = location["path"]
            if directory in failed:
                failure = failed[directory]
                message = f"the limit cannot be set: {failure.message}"
                raise OcirunError(message, setting.pointer, None, failure.errno)
            path = f"{directory}/{setting.file}"
            if path != opened:
                if descriptor >= 0:
                    posix.close(descriptor)
                opened, descriptor = "", -1
                descriptor = _open(path, setting)
                if descriptor < 0:
                    if setting.fallback:
                        write([(location, Setting(*setting.fallback, setting.pointer))], failed)
                    continue
                opened = path
            try:
                posix.write(descriptor, setting.value.encode())
            except OSError as error:
                raise explained(f"write {setting.value!r} to {path}", error, setting.pointer) from None
    finally:
        if descriptor >= 0:
            posix.close(descriptor)


def _open(path: str, setting: Setting) -> int:
    """A descriptor, or -1 where the file is absent and the setting can do without it."""
    try:
        return posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT and (setting.is_default or setting.fallback):
            return -1
        raise explained(f"open {path}", error, setting.pointer) from None


# What to do, by errno and a word of what was tried. The first row that fits counts.
REMEDIES = (
    (errno.ENOENT, "memory.memsw", "the kernel does not account for swap: boot it with swapaccount=1"),
    (errno.ENOENT, "memory.swap", "the kernel does not account for swap: boot it with swapaccount=1"),
    (errno.ENOENT, "leaf_weight", "leaf weights were removed in Linux 5.0: remove them from the config"),
    (errno.ENOENT, "bfq", "the kernel has no BFQ scheduler for any disk: load the module bfq"),
    (errno.ENOENT, "hugetlb", "the kernel has no pages of this size"),
    (errno.ENOENT, "", "this kernel, or the controller's version, has no such file"),
    (errno.EACCES, "cpuset", "the parent cgroup does not have all of these"),
    (errno.EACCES, "", "a caller that is not root needs a cgroup delegated to it"),
    (errno.EPERM, "devices.", "a parent cgroup forbids the device"),
    (errno.EPERM, "", "a caller that is not root needs a cgroup delegated to it"),
    (errno.EROFS, "", "the cgroup mount is read-only here"),
    (errno.ENODEV, "", "there is no such block device, or its scheduler does not take this"),
    (errno.ENXIO, "", "there is no such block device"),
    (errno.EBUSY, "memory", "the cgroup uses more than that already"),
    (errno.EINVAL, "memory.limit", "it is above the limit of memory and swap together: change memory.swap with it"),
    (errno.EINVAL, "memory.memsw", "it is below the memory limit"),
    (errno.EINVAL, "cpu.rt", "the parent cgroup needs as much realtime runtime"),
    (errno.EINVAL, "cpu.cfs_quota", "a parent cgroup has a lower quota, or it is below 1000 microseconds"),
    (errno.EINVAL, "cpuset", "not a list of cpus or memory nodes that are online"),
    (errno.ERANGE, "cpuset", "not a list of cpus or memory nodes that are online"),
    (errno.EOPNOTSUPP, "kmem", "kernel memory limits were removed in Linux 5.16: remove it from the config"),
)


def explained(tried: str, error: OSError, pointer: str) -> OcirunError:
    """The error for a system call on a cgroup file that failed, with what to do where it is known."""
    failure = system_failure(tried, error, pointer)
    for number, word, remedy in REMEDIES:
        if error.errno == number and word in tried:
            failure.message += f"; {remedy}"
            break
    return failure


# The type of a cgroup that lies below one whose members are threads.
_UNUSABLE = b"domain invalid\n"


def enable(locations: "list[Location]", intent: "Intent", writes: "list[Write]") -> None:
    """Enable the controllers on the path down to the container's v2 cgroup.

    On a pure v2 host all of them, as runc and crun do, so that statistics and later updates have them. Only those that a
    limit needs are an error there when they cannot be had. Beside v1 hierarchies: only those that a limit needs.
    """
    for location, row in zip(locations, intent, strict=True):
        path, hierarchy = location["path"], location["hierarchy"]
        if hierarchy["version"] == 2 and row["made"] != NOT_OURS:
            pointers, mountpoint = needed(writes), hierarchy["mountpoint"]
            if path.rpartition("/")[0] != mountpoint and files.read_or_empty(f"{path}/cgroup.type") == _UNUSABLE:
                from runtime.cgroups import threaded

                threaded.join(path, mountpoint, pointers)
            wanted = set(pointers) if len(locations) > 1 else set(hierarchy["controllers"])
            refusal = _enable_above(path, mountpoint, wanted) if wanted else ""
            lacking = sorted(set(pointers) - _controllers(path)) if wanted else []
            if lacking:
                message = f"cgroup {path} cannot have the {lacking[0]} controller{refusal}"
                raise OcirunError(message, pointers[lacking[0]])


def _controllers(path: str) -> set[str]:
    return set(files.read_or_empty(f"{path}/cgroup.controllers").decode().split())


def _enable_above(path: str, mountpoint: str, wanted: set[str]) -> str:
    """Write cgroup.subtree_control from the nearest ancestor that has all of ``wanted`` down to the parent of ``path``.

    Returns the last refusal as the end of a message, "" without one: a controller that no limit needs may be refused.
    """
    missing = wanted - _controllers(path)
    ancestors = []
    while missing and len(path) > len(mountpoint.rstrip("/")):
        path = path.rpartition("/")[0]
        ancestors.append(path)
        if missing <= _controllers(path):
            break
    refusal = ""
    for parent in reversed(ancestors):
        refusal = _enable_below(parent, missing & _controllers(parent)) or refusal
    return refusal


def _enable_below(parent: str, names: set[str]) -> str:
    """Enable all at once and, where the kernel refuses, one by one; but not below a cgroup that has processes.

    There the kernel would enable the threaded controllers, such as pids, which makes the cgroup a thread root: no cgroup
    below it could take a process then (cgroup-v2, "Threads").
    """
    refusal = ""
    for group in (sorted(names), *([name] for name in sorted(names) if len(names) > 1)):
        file = f"{parent}/cgroup.subtree_control"
        try:
            files.write(file, " ".join(f"+{name}" for name in group).encode())
        except OSError as error:
            refusal = f": {system_failure(f'enable it in {file}', error).message}"
            if error.errno == errno.EBUSY:
                refusal += "; that cgroup has processes of its own: choose a cgroupsPath whose parents have none"
                break
            continue
        if len(group) == len(names):
            return ""
    return refusal


def attach(directory: str, program: bytes, replace: bool = False) -> None:
    """Attach a device program to a v2 cgroup, beside those of its ancestors: a device must pass every one (bpf(2)).

    ``replace``: in the place of the program attached before; an empty program detaches that one.
    """
    from runtime.cgroups import devices
    from runtime.cgroups.device_program import INSTRUCTION_SIZE
    from runtime.shim import lib

    descriptor = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    call = lib.device_filter_replace if replace else lib.device_filter_attach
    try:
        result = call(descriptor, program, len(program) // INSTRUCTION_SIZE)
    finally:
        posix.close(descriptor)
    if result < 0:
        error = OSError(-result, posix.strerror(-result))
        raise explained(f"attach the device filter to {directory}", error, devices.POINTER)
