"""The config's mounts against the container's mountinfo: each there, visible, of its type and source, with its options."""

from runtime.files import clean
from runtime.kernel import MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE
from runtime.plan import mount_options
from runtime.plan.mount_options import BINDS

from . import mount_data, mount_flags
from .check import DIFFERS, OK, Check, equal, gone, judge, unknown, words
from .mountinfo import Mounts, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import Mount as Entry
    from runtime.plan.mount_options import Options

    from .container import Container
    from .mountinfo import Mount

MISSING = "it is not mounted"


class Wanted:
    """One entry of /mounts: its options, where it is, and the mount that it became, if there is one."""

    __slots__ = ("entry", "found", "options", "path", "pointer")

    def __init__(self, index: int, entry: "Entry", path: str) -> None:
        self.pointer = f"/mounts/{index}"
        self.entry = entry
        self.options: Options = mount_options.parse(entry.get("options", []))
        self.path = path
        self.found: Mount | None = None

    @property
    def is_bind(self) -> bool:
        return bool(self.options.keywords & BINDS) and "remount" not in self.options.keywords

    @property
    def is_remount(self) -> bool:
        return "remount" in self.options.keywords

    @property
    def kind(self) -> str:
        return self.entry.get("type") or ""


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
            yield from _content(container, row, row.found)
            yield from mount_flags.checks(container, row, row.found, wanted)


def assigned(container: "Container") -> "list[Wanted]":
    """The entries of /mounts, each with the mount that it became: those on one path in their order."""
    rows = [
        Wanted(index, entry, _path(container, entry["destination"]))
        for index, entry in enumerate(container.spec.get("mounts", ()))
    ]
    taken: dict[str, int] = {}
    for row in rows:
        if row.is_remount or row.pointer in container.facts["links"]:
            continue
        there, position = container.mounts.at(row.path), taken.get(row.path, 0)
        taken[row.path] = position + 1
        # A mount below the config's, such as a submount of a recursive bind, comes first: look for one that fits.
        fitting = [mount for mount in there[position:] if row.is_bind or mount.type == row.kind]
        row.found = next(iter(fitting or there[position:]), None)
    return rows


def _path(container: "Container", destination: str) -> str:
    """Where the destination leads to; as written if it leads nowhere now."""
    try:
        path = container.tree.resolve(destination)
    except OSError:
        return clean(destination)
    plain = clean(destination)
    # A later mount may hide the links that led there.
    return path if container.mounts.at(path) or not container.mounts.at(plain) else plain


def _link(container: "Container", row: Wanted, target: str) -> Check:
    what, pointer = f"copied link {row.path}", f"{row.pointer}/source"
    try:
        return equal(pointer, what, target, container.tree.link(row.entry["destination"]))
    except OSError as error:
        return gone(pointer, what, target, words(error))


def _visible(container: "Container", row: Wanted, wanted: "list[Wanted]") -> Check:
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


def covers(container: "Container", wanted: "list[Wanted]") -> "set[str]":
    """Paths on which the runtime itself mounts something for the config."""
    linux = container.spec["linux"]
    given = [*linux.get("maskedPaths", ()), *linux.get("readonlyPaths", ())]
    given += [device["path"] for device in linux.get("devices", ())]
    given += ["/dev/console"] if container.spec.get("process", {}).get("terminal") else []
    paths = {clean(path) for path in given}
    for path in given:
        try:
            paths.add(container.tree.resolve(path))
        except OSError:
            continue
    if container.new_user_namespace or container.facts["in_user_namespace"]:
        from runtime.plan.devices import DEFAULTS

        paths |= {path for path, _, _ in DEFAULTS}
    return paths | {row.path for row in wanted if row.is_remount}


def _content(container: "Container", row: Wanted, mount: "Mount") -> "Iterator[Check]":
    """File system, source, and the file system's own options."""
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
        yield from mount_data.checks(container, row, mount)


def _source(row: Wanted, source: str, mount: "Mount") -> Check:
    from os.path import realpath

    actual = mount.source
    same = actual == source or (source[0] == "/" and realpath(source) == realpath(actual))
    return judge(f"{row.pointer}/source", f"source of {row.path}", source, actual, same)


def _bound(container: "Container", row: Wanted, mount: "Mount") -> Check:
    """A bind shows the device and path of its source, as the host sees it now."""
    source = row.entry.get("source") or ""
    what, pointer = f"source of {row.path}", f"{row.pointer}/source"
    return same_place(container, pointer, what, source, mount, row.path)


def same_place(container: "Container", pointer: str, what: str, source: str, mount: "Mount", path: str) -> Check:
    """Whether the mount shows the host's ``source``, by device and path, or by inode."""
    import posix
    from os.path import realpath

    full = realpath(source if source[:1] == "/" else f"{container.bundle}/{source}")
    place = place_of(container.host_mounts, full)
    expected = f"{source} ({place[1]})" if place else source
    try:
        status = posix.stat(full)
    except OSError as error:
        if place and place[1] == mount.place:
            return Check(pointer, what, expected, mount.place, OK)
        if mount.root.endswith("//deleted"):
            return judge(pointer, what, expected, mount.place, False, f"the host's {full}: {words(error)}")
        return unknown(pointer, what, expected, f"the host's {full}: {words(error)}")
    if place and place[1] == mount.place:
        return Check(pointer, what, expected, mount.place, OK)
    try:
        with container.tree.open(path) as node:
            there = node.status
            same = (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)
    except OSError:
        same = False
    note = "the host's file was replaced since" if mount.root.endswith("//deleted") else ""
    return judge(pointer, what, expected, mount.place, same and not note, note)


def unexpected(container: "Container", wanted: "list[Wanted]") -> "Iterator[Check]":
    """Mounts that nothing in the config explains."""
    if not container.own_mounts or any(
        entry["type"] == "mount" and entry.get("path") for entry in container.spec["linux"]["namespaces"]
    ):
        return
    explained = {row.found.id for row in wanted if row.found}
    covered = covers(container, wanted) | _below_rootfs(container)
    open_trees = [row.path for row in wanted if "rbind" in row.options.keywords or row.kind == "cgroup"]
    for mount in container.mounts.all:
        if mount.id in explained or mount.point == "/" or mount.point in covered:
            continue
        if any(mount.point.startswith(path.rstrip("/") + "/") for path in open_trees):
            continue
        if _propagated(mount, container.mounts):
            continue
        if any(mount.point == row.path for row in wanted) and container.mounts.seen(mount.point) is not mount:
            continue  # a mount of the host's below the config's
        actual = f"{mount.type} from {mount.source}"
        yield judge("/mounts", f"mount on {mount.point}", "not in the config", actual, False)


def _below_rootfs(container: "Container") -> "set[str]":
    """Submounts of the root file system, which come along with it."""
    from os.path import realpath

    root = realpath(container.facts["rootfs"])
    return {mount.point[len(root.rstrip("/")) :] for mount in container.host_mounts.below(root)}


def _propagated(mount: "Mount", mounts: Mounts) -> bool:
    """Whether it came by propagation: it is below a mount that receives what happens to its peers."""
    parent = next((other for other in mounts.all if other.id == mount.parent), None)
    return bool(parent and parent.tags & {"master", "shared"} and mount.tags & {"master", "shared"})


def propagation(pointer: str, what: str, wanted: int, mount: "Mount") -> Check:
    """``wanted``: MS_*; 0: not shared. A slave of nobody is private."""
    kind = wanted & ~MS_REC
    tags = mount.tags
    if kind == MS_UNBINDABLE:
        return equal(pointer, what, "unbindable", mount.propagation)
    if kind == MS_PRIVATE:
        return equal(pointer, what, "private", mount.propagation)
    if kind & MS_SHARED:
        return judge(pointer, what, "shared", mount.propagation, "shared" in tags)
    expected = "slave" if kind & MS_SLAVE else "not shared"
    return judge(pointer, what, expected, mount.propagation, "shared" not in tags)
