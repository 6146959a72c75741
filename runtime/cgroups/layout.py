"""Where a container's cgroups are: cgroupsPath and the host's facts become one directory in each hierarchy.

Pure: nothing here looks at the disk. `tree` makes what this names.
"""

from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.host.cgroups import CgroupFacts, Hierarchy

    # (absolute directory, the ancestor that is certainly there, the hierarchy it is in)
    Place = tuple[str, str, Hierarchy]

POINTER = "/linux/cgroupsPath"


def places(cgroups_path: str | None, container_id: str, facts: "CgroupFacts") -> "list[Place]":
    """One place in each mounted hierarchy, v2 first (config-linux.md#cgroups-path).

    A leading "/" counts from the mount's root, anything else from the caller's own cgroup; none (or "", as Go
    writes none) is `<caller's own cgroup>/<id>`. On pure v2 both count from the parent of that, where the caller may
    write there, as with runc: it has processes, at least the caller, and so can give no controller to a cgroup below.
    Raises OcirunError for a path that leaves its place or names the place itself: the container would share its
    limits, and its end, with the caller.
    """
    absolute = bool(cgroups_path) and str(cgroups_path).startswith("/")
    below = _below(cgroups_path or container_id, cgroups_path)
    result: list[Place] = []
    for hierarchy in facts["hierarchies"]:
        base = hierarchy["mountpoint"].rstrip("/")
        if not absolute:
            own = _own_below_mount(hierarchy)
            base += own.rpartition("/")[0] if hierarchy.get("beside") else own
        result.append((base + below, base, hierarchy))
    return result


def unplaced(cgroups_path: str | None, places: "list[Place]") -> "list[tuple[str, str]]":
    """The warning, (pointer, message), for a path that there is no hierarchy for."""
    if places or not cgroups_path:
        return []
    return [(POINTER, "done without: no cgroup hierarchy is mounted where the caller sees it")]


def _below(path: str, cgroups_path: str | None) -> str:
    """The path as "/a/b": no empty parts, no "." and no "..", not empty."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        reason = "names the root of the hierarchies, which the host's own processes use"
    elif ".." in parts:
        reason = 'must not contain ".."'
    elif "\0" in path or "\n" in path:
        reason = "contains a character that no cgroup's name can have"
    else:
        return "/" + "/".join(parts)
    raise OcirunError(f"{path!r} {reason}", pointer=POINTER if cgroups_path else None)


def _own_below_mount(hierarchy: "Hierarchy") -> str:
    """The caller's own cgroup relative to what is mounted: "" or "/a/b".

    A bind mount shows only the part of the hierarchy below its root; a caller outside of that part (or a mount
    made in another cgroup namespace, whose root reads "/..") is taken to stand at the mount's root.
    """
    return below_mount(hierarchy["own"], hierarchy["root"])


def below_mount(own: str, root: str) -> str:
    """The same for any cgroup ``own`` and root of a mount."""
    own, root = own.rstrip("/"), root.rstrip("/")
    if own == root or "/.." in own + "/":
        return ""
    if not root:
        return own
    return own[len(root) :] if own.startswith(root + "/") else ""


def mount_entries(places: "list[Place]", cgroup_namespace: bool) -> list[tuple[str, str, str, str]]:
    """What a mount of type `cgroup` holds: (kind, source, data, target below the destination), in order.

    As runc has it. v2: one ("cgroup2", fallback, "", ""), where `fallback` is the directory to bind when the
    kernel refuses the mount (in a user namespace without a cgroup namespace of its own). v1 and hybrid: a tmpfs,
    then for each v1 hierarchy a fresh ("cgroup", source, data, target) within a cgroup namespace, else a
    ("bind", the container's own directory, "", target), then a ("symlink", "cpu,cpuacct", "", "cpu") for each
    name of a joined pair. The v2 hierarchy of a hybrid host is not shown. Empty: the host has no cgroups.
    """
    if not places:
        return []
    v1 = [place for place in places if place[2]["version"] == 1]
    if not v1:
        path, _, hierarchy = places[0]
        return [("cgroup2", path if cgroup_namespace else hierarchy["mountpoint"], "", "")]
    entries = [("tmpfs", "tmpfs", "mode=755", "")]
    links = []
    for path, _, hierarchy in v1:
        target = hierarchy["mountpoint"].rsplit("/", 1)[1]
        data = ",".join(hierarchy["controllers"])
        if cgroup_namespace:
            source = "systemd" if data == "name=systemd" else "cgroup"
            entries.append(("cgroup", source, data, target))
        else:
            entries.append(("bind", path, "", target))
        if "," in target:
            links += [("symlink", target, "", name) for name in target.split(",")]
    return entries + links
