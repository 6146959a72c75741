"""The entries of /mounts, each with the mount that it became, and what all who look at mounts need."""

import posix

from runtime.files import clean
from runtime.host.mountinfo import place_of
from runtime.kernel import MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE
from runtime.plan import mount_options
from runtime.plan.mount_options import BINDS

from .check import OK, Check, equal, judge, unknown, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Mount as Entry
    from runtime.host.mountinfo import Mount
    from runtime.plan.mount_options import Options

    from .container import Container


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
    def follows_source(self) -> bool:
        """Whether a link is bound as what it leads to."""
        return "src-nofollow" not in self.options.keywords

    @property
    def is_remount(self) -> bool:
        return "remount" in self.options.keywords

    @property
    def changes_superblock(self) -> bool:
        """Whether it remounts the file system, not only its mount."""
        return self.is_remount and not self.options.keywords & BINDS

    @property
    def kind(self) -> str:
        return self.entry.get("type") or ""


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


def host_path(container: "Container", source: str, follow: bool = True) -> str:
    """A source on the host, without links; ``follow``: nor at its end."""
    from os.path import realpath

    full = source if source[:1] == "/" else f"{container.bundle}/{source}"
    if follow:
        return realpath(full)
    parent, _, name = full.rstrip("/").rpartition("/")
    return f"{realpath(parent or '/').rstrip('/')}/{name}"


def same_place(
    container: "Container", pointer: str, what: str, source: str, mount: "Mount", path: str, follow: bool = True
) -> Check:
    """Whether the mount shows the host's ``source``, by device and path, or by inode."""
    full = host_path(container, source, follow)
    place = place_of(container.host_mounts, full)
    expected = f"{source} ({place[1]})" if place else source
    try:
        status = posix.stat(full, follow_symlinks=False)
    except OSError as error:
        if place and place[1] == mount.place:
            return Check(pointer, what, expected, mount.place, OK)
        if mount.root.endswith("//deleted"):
            return judge(pointer, what, expected, mount.place, False, f"the host's {full}: {words(error)}")
        return unknown(pointer, what, expected, f"the host's {full}: {words(error)}")
    if place and place[1] == mount.place:
        return Check(pointer, what, expected, mount.place, OK)
    try:
        with container.tree.open(path, follow=False) as node:
            there = node.status
            same = (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)
    except OSError:
        same = False
    note = "the host's file was replaced since" if mount.root.endswith("//deleted") else ""
    return judge(pointer, what, expected, mount.place, same and not note, note)


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
