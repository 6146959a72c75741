"""The flags and the propagation of a mount: the config's options against mountinfo. Pure but for the container's files."""

from runtime.host.mountinfo import place_of
from runtime.kernel import (
    MOUNT_ATTR_ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
)

from . import mount_data
from .check import DIFFERS, OK, Check, gone, judge
from .entries import covers, host_path, propagation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.host.mountinfo import Mount

    from .container import Container
    from .entries import Wanted

# Bits → the word in mountinfo.
FLAGS = {
    MOUNT_ATTR_RDONLY: "ro",
    MOUNT_ATTR_NOSUID: "nosuid",
    MOUNT_ATTR_NODEV: "nodev",
    MOUNT_ATTR_NOEXEC: "noexec",
    MOUNT_ATTR_NODIRATIME: "nodiratime",
    MOUNT_ATTR_NOSYMFOLLOW: "nosymfollow",
}
TIMES = {0: "relatime", MOUNT_ATTR_NOATIME: "noatime", MOUNT_ATTR_STRICTATIME: "strictatime"}


def checks(container: "Container", row: "Wanted", mount: "Mount", rows: "list[Wanted]") -> "Iterator[Check]":
    """Flags of the mount and of those below it, access times, id maps, propagation."""
    options, pointer = row.options, f"{row.pointer}/options"
    changed = [other for other in rows if other.is_remount and other.path == row.path]
    protected = row.path in {path for path in covers(container, []) if path == row.path}
    if not changed:
        wanted, unwanted = _expected(container, row)
        if protected:  # by readonlyPaths, with a mount of its own
            unwanted -= {"ro"}
        if container.rows is None and row.kind == "cgroup" and mount.type == "tmpfs":
            wanted -= {"ro"}  # other runtimes leave the directory of the v1 mounts writable
        yield flags(pointer, f"flags of {row.path}", wanted, unwanted, mount)
        yield from _times(row, mount)
    if options.rec_set | options.rec_clear or (row.kind == "cgroup" and options.set):
        yield from _recursive(container, row)
    if options.keywords & {"idmap", "ridmap"} or row.entry.get("uidMappings"):
        yield judge(
            pointer, f"id map of {row.path}", "idmapped", ",".join(sorted(mount.flags)), "idmapped" in mount.flags
        )
    shared_root = container.spec["linux"].get("rootfsPropagation", "").endswith("shared")
    if options.propagation or not shared_root:
        yield propagation(pointer, f"propagation of {row.path}", options.propagation, mount)


def _expected(container: "Container", row: "Wanted") -> "tuple[set[str], set[str]]":
    """The flags that the mount must have, and those that it must not have."""
    options = row.options
    bits = (options.set & ~options.rec_clear) | options.rec_set
    cleared = (options.clear & ~options.rec_set) | options.rec_clear
    wanted = {word for bit, word in FLAGS.items() if bits & bit}
    unwanted = {word for bit, word in FLAGS.items() if not bits & bit}
    if row.is_bind:  # what the config leaves open is as in the source
        inherited = _of_source(container, row)
        unwanted -= {word for bit, word in FLAGS.items() if word in inherited and not cleared & bit}
    elif row.kind == "cgroup" or container.new_user_namespace:  # the runtime may restrict it further
        unwanted = {word for bit, word in FLAGS.items() if cleared & bit}
    return wanted, unwanted


def _of_source(container: "Container", row: "Wanted") -> "set[str]":
    """The flags of the mount that has the source of a bind, as the host sees it now."""
    source = row.entry.get("source") or ""
    place = place_of(container.host_mounts, host_path(container, source, row.follows_source))
    return place[0].flags if place else set(FLAGS.values())


def flags(pointer: str, what: str, wanted: "set[str]", unwanted: "set[str]", mount: "Mount") -> Check:
    """One comparison of all flags. Read-only also counts if it is the superblock."""
    present = mount.flags | ({"ro"} if mount.read_only and "ro" in wanted else set())
    missing, surplus = wanted - present, unwanted & present
    expected = (
        ",".join(sorted(wanted) if wanted or not surplus else [f"no {word}" for word in sorted(surplus)]) or "none"
    )
    actual = ",".join(word for word in FLAGS.values() if word in present) or "none"
    return Check(pointer, what, expected, actual, DIFFERS if missing or surplus else OK)


def _times(row: "Wanted", mount: "Mount") -> "Iterator[Check]":
    options = row.options
    if (options.clear | options.rec_clear) & MOUNT_ATTR_ATIME != MOUNT_ATTR_ATIME:
        return
    expected = TIMES.get((options.set | options.rec_set) & MOUNT_ATTR_ATIME, "relatime")
    if row.is_bind and expected == "relatime":
        return  # without an effect on a bind, in some runtimes
    actual = next((word for word in ("noatime", "relatime") if word in mount.flags), "strictatime")
    yield judge(f"{row.pointer}/options", f"access times of {row.path}", expected, actual, expected == actual)


def _recursive(container: "Container", row: "Wanted") -> "Iterator[Check]":
    """The mounts below one with recursive options, and those that a mount of type cgroup consists of."""
    options = row.options
    bits = options.rec_set | (options.set if row.kind == "cgroup" else 0)
    wanted = {word for bit, word in FLAGS.items() if bits & bit}
    unwanted = {word for bit, word in FLAGS.items() if options.rec_clear & ~options.rec_set & bit}
    for mount in container.mounts.below(row.path):
        yield flags(f"{row.pointer}/options", f"flags of {mount.point}", wanted, unwanted, mount)


def remounted(container: "Container", row: "Wanted") -> "Iterator[Check]":
    """A remount gives its flags to what is there."""
    mount = container.mounts.seen(row.path)
    if mount is None or mount.point != row.path:
        yield gone(row.pointer, f"mount on {row.path}", "something to remount")
        return
    wanted = {word for bit, word in FLAGS.items() if row.options.set & bit}
    unwanted = {word for bit, word in FLAGS.items() if row.options.clear & ~row.options.set & bit}
    yield flags(f"{row.pointer}/options", f"flags of {row.path}", wanted, unwanted, mount)
    if row.changes_superblock:
        yield from mount_data.checks(container, row, mount)
