"""Where a container's cgroups are: cgroupsPath and the host's facts give one directory in each hierarchy.

Pure: nothing here looks at the disk. `tree` makes the directories.
"""

from runtime.cgroups.intent import POINTER
from runtime.errors import OcirunError
from runtime.files import components

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.host.cgroups import CgroupFacts
    from runtime.shapes import Location

INVISIBLE = "done without: no cgroup hierarchy is mounted where the caller sees it"


def locations(cgroups_path: str | None, container_id: str, facts: "CgroupFacts") -> "list[Location]":
    """The cgroup in each mounted hierarchy, v2 first (config-linux.md#cgroups-path).

    A leading "/" counts from the mount's root, any other path from the caller's own cgroup. No path (or "", as Go writes
    it) is `<caller's own cgroup>/<id>`. On pure v2 both count from the parent of the caller's cgroup, if the caller may
    write there, as with runc: the caller's cgroup has processes, at least the caller, so it cannot enable a controller
    for cgroups below it. Raises OcirunError for a path that contains ".." or names the root itself: the container would
    share its limits, and its end, with the caller.
    """
    absolute = bool(cgroups_path) and str(cgroups_path).startswith("/")
    below = _below(cgroups_path or container_id, cgroups_path)
    result: list[Location] = []
    for hierarchy in facts["hierarchies"]:
        base = hierarchy["mountpoint"].rstrip("/")
        if not absolute:
            own = below_mount(hierarchy["own"], hierarchy["root"])
            base += own.rpartition("/")[0] if hierarchy.get("beside") else own
        result.append({"path": base + below, "base": base, "hierarchy": hierarchy})
    return result


def is_ignored(cgroups_path: str | None, locations: "list[Location]") -> bool:
    """Whether linux.cgroupsPath has no effect, since no hierarchy is visible. INVISIBLE is the warning's text."""
    return bool(cgroups_path) and not locations


def _below(path: str, cgroups_path: str | None) -> str:
    """The path as "/a/b": not empty, without empty parts, "." and ".."."""
    parts = components(path)
    if not parts:
        reason = "names the root of the hierarchies, which the host's own processes use"
    elif ".." in parts:
        reason = 'must not contain ".."'
    elif "\0" in path or "\n" in path:
        reason = "contains a character that a cgroup's name cannot have"
    else:
        return "/" + "/".join(parts)
    raise OcirunError(f"{path!r} {reason}", pointer=POINTER if cgroups_path else None)


def below_mount(own: str, root: str) -> str:
    """Cgroup ``own`` relative to a mount whose root is ``root``: "" or "/a/b".

    A bind mount shows only the part of the hierarchy below its root. A process outside of that part counts as being at
    the mount's root; so does one under a mount made in another cgroup namespace, whose root reads "/..".
    """
    own, root = own.rstrip("/"), root.rstrip("/")
    if own == root or "/.." in own + "/":
        return ""
    if not root:
        return own
    return own[len(root) :] if own.startswith(root + "/") else ""


def mount_entries(locations: "list[Location]", cgroup_namespace: bool) -> list[tuple[str, str, str, str]]:
    """What a mount of type `cgroup` consists of: (kind, source, data, target below the destination), in order.

    As with runc. v2: one ("cgroup2", fallback, options, ""), where `fallback` is the directory to bind when the kernel
    refuses the mount (in a user namespace without a cgroup namespace of its own). Without a cgroup namespace it has the
    host's options, since the kernel takes those of the newest mount for the whole hierarchy. v1 and hybrid: a tmpfs; then, for each
    v1 hierarchy, a new ("cgroup", source, data, target) within a cgroup namespace, else a ("bind", the container's own
    directory, "", target); then a ("symlink", "cpu,cpuacct", "", "cpu") for each name of a joined pair. The v2 hierarchy
    of a hybrid host is not shown. [] on a host without cgroups.
    """
    if not locations:
        return []
    v1 = [location for location in locations if location["hierarchy"]["version"] == 1]
    if not v1:
        shown = locations[0]["path"] if cgroup_namespace else locations[0]["hierarchy"]["mountpoint"]
        data = "" if cgroup_namespace else ",".join(locations[0]["hierarchy"].get("options", ()))
        return [("cgroup2", shown, data, "")]
    entries = [("tmpfs", "tmpfs", "mode=755", "")]
    links = []
    for location in v1:
        target = location["hierarchy"]["mountpoint"].rsplit("/", 1)[1]
        data = ",".join(location["hierarchy"]["controllers"])
        if cgroup_namespace:
            source = "systemd" if data == "name=systemd" else "cgroup"
            entries.append(("cgroup", source, data, target))
        else:
            entries.append(("bind", location["path"], "", target))
        if "," in target:
            links += [("symlink", target, "", name) for name in target.split(",")]
    return entries + links
