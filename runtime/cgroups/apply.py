"""Limits put into the cgroups that `tree` made: v2 controllers enabled, files written, the device filter attached.

Acts on what `resources` decided. Every failure names the place in the config, the file, what the system said and, where
it is known, what to do.
"""

import errno
import posix

from runtime.cgroups import tree
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.layout import Place
    from runtime.cgroups.resources import Filter, Write
    from runtime.cgroups.tree import Intent


def build(
    places: "list[Place]",
    intent: "Intent",
    writes: "list[Write]",
    device_filter: "Filter | None",
    tolerate: bool = False,
) -> list[OcirunError]:
    """Make the cgroups of the intent, which is on disk by now, and put their limits in.

    Returns what to warn about, [] as a rule. `tolerate` (rootless): a hierarchy that may not be written is left out,
    unless a limit was asked for there; device rules then count as not asked for, since such a caller cannot make nodes.
    """
    return fill(places, intent, writes, device_filter, tree.make(intent, tolerate), tolerate)


def fill(
    places: "list[Place]",
    intent: "Intent",
    writes: "list[Write]",
    device_filter: "Filter | None",
    failed: "dict[int, OcirunError]",
    tolerate: bool = False,
) -> list[OcirunError]:
    """`build` for cgroups that are there, but for those that ``failed``."""
    tree.seed_cpusets(places, intent, {file for _, file, _, _, _ in writes})
    enable(places, intent, writes)
    if not tolerate:
        write(intent, writes, failed)
        if device_filter:
            attach(str(intent[device_filter[0]][0]), device_filter)
        return []
    write(intent, [one for one in writes if not _for_devices(one) and (one[0] not in failed or one[4] != ())], failed)
    try:
        write(intent, [one for one in writes if _for_devices(one) and one[0] not in failed], failed)
        if device_filter and device_filter[0] not in failed:
            attach(str(intent[device_filter[0]][0]), device_filter)
    except OcirunError as failure:
        if failure.errno not in (errno.EPERM, errno.EACCES):
            raise
        return [*failed.values(), failure]
    return list(failed.values())


def _for_devices(one: "Write") -> bool:
    return one[1].startswith("devices.")


def write(intent: "Intent", writes: "list[Write]", failed: "dict[int, OcirunError]") -> None:
    """Write in order. A file with several writes in a row is opened once: that is most of a write's price."""
    opened, descriptor = "", -1
    try:
        for index, file, value, pointer, otherwise in writes:
            if index in failed:
                failure = failed[index]
                raise OcirunError(f"the limit cannot be set: {failure.message}", pointer, None, failure.errno)
            path = f"{intent[index][0]}/{file}"
            if path != opened:
                if descriptor >= 0:
                    posix.close(descriptor)
                opened, descriptor = "", -1
                descriptor = _open(path, pointer, otherwise)
                if descriptor < 0:
                    if otherwise:
                        write(intent, [(index, *otherwise, pointer, None)], failed)
                    continue
                opened = path
            try:
                posix.write(descriptor, value.encode())
            except OSError as error:
                raise explained(f"write {value!r} to {path}", error, pointer) from None
    finally:
        if descriptor >= 0:
            posix.close(descriptor)


def _open(path: str, pointer: str, otherwise: "tuple[()] | tuple[str, str] | None") -> int:
    """A descriptor, or -1 where the file is absent and that is expected."""
    try:
        return posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT and otherwise is not None:
            return -1
        raise explained(f"open {path}", error, pointer) from None


# What to do, by errno and a word of the tried file. The first that fits counts.
REMEDIES = (
    (errno.ENOENT, "memory.memsw", "the kernel does not account for swap: boot it with swapaccount=1"),
    (errno.ENOENT, "memory.swap", "the kernel does not account for swap: boot it with swapaccount=1"),
    (errno.ENOENT, "leaf_weight", "leaf weights went from Linux in 5.0: remove them"),
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
    (errno.EOPNOTSUPP, "kmem", "kernel memory limits went from Linux in 5.16: remove it"),
)


def explained(tried: str, error: OSError, pointer: str) -> OcirunError:
    failure = system_failure(tried, error, pointer)
    for number, word, remedy in REMEDIES:
        if error.errno == number and word in tried:
            failure.message += f"; {remedy}"
            break
    return failure


# The type of a cgroup below one whose members are threads.
_UNUSABLE = b"domain invalid\n"


def enable(places: "list[Place]", intent: "Intent", writes: "list[Write]") -> None:
    """Enable the controllers on the way to the container's v2 cgroup.

    On a pure v2 host all of them, as the peers do, so that stats and later updates find them; there, only what a limit
    needs is an error when it cannot be had. Beside v1 hierarchies only what a limit needs.
    """
    from runtime.cgroups.resources import needed

    for index, (path, _, hierarchy) in enumerate(places):
        if hierarchy["version"] == 2 and intent[index][1] != tree.NOT_OURS:
            pointers = needed(writes, places)
            if path.rpartition("/")[0] != hierarchy["mountpoint"] and tree.read(f"{path}/cgroup.type") == _UNUSABLE:
                from runtime.cgroups import threaded

                threaded.join(path, hierarchy["mountpoint"], pointers)
            wanted = set(pointers) if len(places) > 1 else set(hierarchy["controllers"])
            refusal = _enable_on_the_way(path, hierarchy["mountpoint"], wanted) if wanted else ""
            lacking = sorted(set(pointers) - _controllers(path)) if wanted else []
            if lacking:
                words = f"cgroup {path} cannot have the {lacking[0]} controller{refusal}"
                raise OcirunError(words, pointers[lacking[0]])


def _controllers(path: str) -> set[str]:
    return set(tree.read(f"{path}/cgroup.controllers").decode().split())


def _enable_on_the_way(path: str, mountpoint: str, wanted: set[str]) -> str:
    """Write cgroup.subtree_control from the nearest ancestor that has all of `wanted` down to the parent of `path`.

    Returns the words of the last refusal, "" without one: a controller that is not needed may be refused.
    """
    missing = wanted - _controllers(path)
    trail = []
    while missing and len(path) > len(mountpoint.rstrip("/")):
        path = path.rpartition("/")[0]
        trail.append(path)
        if missing <= _controllers(path):
            break
    refusal = ""
    for parent in reversed(trail):
        refusal = _enable_below(parent, missing & _controllers(parent)) or refusal
    return refusal


def _enable_below(parent: str, names: set[str]) -> str:
    """All at once, and where the kernel refuses, one by one; but not below a cgroup with processes.

    There it would enable the threaded controllers, such as pids, which makes the cgroup a thread root: no cgroup below
    it could take a process then (cgroup-v2, "Threads").
    """
    refusal = ""
    for words in (sorted(names), *([name] for name in sorted(names) if len(names) > 1)):
        file = f"{parent}/cgroup.subtree_control"
        try:
            tree.write(file, " ".join(f"+{word}" for word in words).encode())
        except OSError as error:
            refusal = f": {system_failure(f'enable it in {file}', error).message}"
            if error.errno == errno.EBUSY:
                refusal += "; that cgroup has processes of its own: choose a cgroupsPath whose parents have none"
                break
            continue
        if len(words) == len(names):
            return ""
    return refusal


def attach(path: str, device_filter: "Filter", replace: bool = False) -> None:
    """Attach the program to the v2 cgroup, beside those that ancestors have: a device must pass every one (bpf(2)).

    ``replace``: in place of the one attached before; an empty program takes that away.
    """
    from runtime.cgroups.device_program import INSTRUCTION_SIZE
    from runtime.shim import lib

    _, program, pointer = device_filter
    directory = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    call = lib.device_filter_replace if replace else lib.device_filter_attach
    try:
        result = call(directory, program, len(program) // INSTRUCTION_SIZE)
    finally:
        posix.close(directory)
    if result < 0:
        error = OSError(-result, posix.strerror(-result))
        raise explained(f"attach the device filter to {path}", error, pointer)
