"""The config's mounts against the container's mountinfo: each there, visible, of its type and source, with its options."""

from . import mount_data, mount_flags
from .check import DIFFERS, OK, Check, equal, gone, judge, unknown, words
from .entries import covers, same_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.host.mountinfo import Mount, Mounts

    from .container import Container
    from .entries import Wanted

MISSING = "it is not mounted"


def checks(container: "Container", wanted: "list[Wanted]") -> "Iterator[Check]":
    """Every entry of /mounts. ``wanted``: from `assigned`."""
    if not container.own_mounts:
        return
    for row in wanted:
        if row.is_remount:
            yield from mount_flags.remounted(container, row)
        elif (link := container.facts["links"].get(row.pointer)) is not None:
            yield _link(container, row, link)
        elif row.found is None:
            yield gone(row.pointer, f"mount on {row.path}", row.kind or "a bind", MISSING)
        else:
            yield _visible(container, row, wanted)
            later = [other for other in wanted if other.changes_superblock and other.path == row.path]
            yield from _content(container, row, row.found, later)
            yield from mount_flags.checks(container, row, row.found, wanted)


def _link(container: "Container", row: "Wanted", target: str) -> Check:
    what, pointer = f"copied link {row.path}", f"{row.pointer}/source"
    try:
        return equal(pointer, what, target, container.tree.link(row.entry["destination"]))
    except OSError as error:
        return gone(pointer, what, target, words(error))


def _visible(container: "Container", row: "Wanted", wanted: "list[Wanted]") -> Check:
    """What the path leads to is the last of the config's mounts there, or made by a mask."""
    what, expected = f"mount on {row.path}", row.kind or "a bind"
    seen = container.mounts.seen(row.path)
    if seen is None or seen is row.found:
        return Check(row.pointer, what, expected, expected, OK)
    if any(other.found is seen for other in wanted) or seen.point in covers(container, wanted):
        return Check(row.pointer, what, expected, f"{expected}, below another of the config", OK)
    return Check(
        row.pointer, what, expected, f"{seen.type} from {seen.source} on {seen.point}", DIFFERS, "it is covered"
    )


def _content(container: "Container", row: "Wanted", mount: "Mount", later: "list[Wanted]") -> "Iterator[Check]":
    """File system, source, and the file system's own options, unless ``later`` entries change them."""
    if row.is_bind:
        yield _bound(container, row, mount)
        return
    if row.kind == "cgroup":
        kinds = ("cgroup2", "tmpfs", "cgroup")
        actual = mount.type
        yield judge(f"{row.pointer}/type", f"type of {row.path}", "cgroups", actual, actual in kinds)
        return
    yield equal(f"{row.pointer}/type", f"type of {row.path}", row.kind, mount.type)
    source = row.entry.get("source")
    if source and mount.type == row.kind and not container.new_user_namespace:
        yield _source(row, source, mount)
    if mount.type == row.kind:
        yield from mount_data.checks(container, row, mount, later)


def _source(row: "Wanted", source: str, mount: "Mount") -> Check:
    from os.path import realpath

    actual = mount.source
    same = actual == source or (source[0] == "/" and realpath(source) == realpath(actual))
    return judge(f"{row.pointer}/source", f"source of {row.path}", source, actual, same)


def _bound(container: "Container", row: "Wanted", mount: "Mount") -> Check:
    """A bind shows the device and path of its source, as the host sees it now."""
    source = row.entry.get("source") or ""
    what, pointer = f"source of {row.path}", f"{row.pointer}/source"
    check = same_place(container, pointer, what, source, mount, row.path, row.follows_source)
    if check.verdict != OK and container.joined_mounts:
        return unknown(pointer, what, source, "it was looked up in the joined mount namespace")
    return check


def unexpected(container: "Container", wanted: "list[Wanted]") -> "Iterator[Check]":
    """Mounts that nothing in the config explains."""
    if not container.own_mounts or container.joined_mounts:
        return
    explained = {row.found.id for row in wanted if row.found}
    covered = covers(container, wanted) | _below_rootfs(container)
    reported = {seen.id for row in wanted if (seen := container.mounts.seen(row.path))}
    open_trees = [row.path for row in wanted if "rbind" in row.options.keywords or row.kind == "cgroup"]
    for mount in container.mounts.all:
        if mount.id in explained or mount.point == "/" or mount.point in covered:
            continue
        if any(mount.point.startswith(path.rstrip("/") + "/") for path in open_trees):
            continue
        if _propagated(mount, container.mounts):
            continue
        if mount.id in reported or any(mount.point == row.path for row in wanted):
            continue  # it covers one of the config's, or is covered: `_visible` tells
        actual = f"{mount.type} from {mount.source}"
        yield judge("/mounts", f"mount on {mount.point}", "not in the config", actual, False)


def _below_rootfs(container: "Container") -> "set[str]":
    """Submounts of the root file system, which come along with it."""
    from os.path import realpath

    root = realpath(container.facts["rootfs"])
    return {mount.point[len(root.rstrip("/")) :] for mount in container.host_mounts.below(root)}


def _propagated(mount: "Mount", mounts: "Mounts") -> bool:
    """Whether it came by propagation: it is below a mount that receives what happens to its peers."""
    parent = next((other for other in mounts.all if other.id == mount.parent), None)
    return bool(parent and parent.tags & {"master", "shared"} and mount.tags & {"master", "shared"})
