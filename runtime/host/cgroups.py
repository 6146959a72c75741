"""Which cgroup hierarchies are mounted, and the caller's cgroup in each.

Reads /proc/self/mountinfo, /proc/self/cgroup and, with a v2 hierarchy, its cgroup.controllers: once each, since every
create pays for it. Decides nothing: `runtime.cgroups.layout` does.
"""

import posix

from runtime import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NotRequired, TypedDict

    class Hierarchy(TypedDict):
        """One mounted hierarchy. Paths are absolute."""

        version: int  # 1 or 2
        controllers: tuple[str, ...]
        mountpoint: str
        root: str  # the part of the hierarchy that the mount shows
        own: str  # the caller's cgroup, relative to the hierarchy's root: "/a/b"
        options: NotRequired[list[str]]  # v2: of the whole hierarchy, such as nsdelegate
        beside: NotRequired[bool]  # pure v2: whether the caller may also make cgroups beside its own

    class CgroupFacts(TypedDict):
        """What `read` returns."""

        mode: str  # "none", "v1", "hybrid" (v1 with a v2 mount beside it) or "v2"
        hierarchies: tuple[Hierarchy, ...]


def read() -> "CgroupFacts":
    """The cgroup facts, as the calling process sees them. Raises OSError if /proc is not mounted."""
    mounts = _visible(_text(files.read("/proc/self/mountinfo")), _is_there)
    unified = ""
    for line in mounts:
        if " - cgroup2 " in line:
            unified = _text(files.read_or_empty(unescape(line.split(" ", 5)[4]) + "/cgroup.controllers"))
            break
    facts = _facts(mounts, _text(files.read("/proc/self/cgroup")), unified)
    if facts["mode"] == "v2":
        hierarchy = facts["hierarchies"][0]
        if hierarchy["root"] == "/" and hierarchy["own"] != "/":
            parent = hierarchy["mountpoint"] + hierarchy["own"].rpartition("/")[0]
            hierarchy["beside"] = posix.access(parent, posix.W_OK)
    return facts


def parse(mountinfo: str, membership: str, unified_controllers: str) -> "CgroupFacts":
    """The facts from the texts of the three files (proc_pid_mountinfo(5), cgroups(7)). Pure.

    A hierarchy that is mounted twice counts once; a mount under /sys/fs/cgroup is preferred. The v2 hierarchy comes first,
    so that a container's first directory is the one with cgroup.kill.
    """
    return _facts(_visible(mountinfo, lambda _: True), membership, unified_controllers)


def _facts(mounts: list[str], membership: str, unified_controllers: str) -> "CgroupFacts":
    own = _membership(membership)
    by_name: dict[str, Hierarchy] = {}
    for line in mounts:
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)
        name = _name(kind, options, own)
        mountpoint = unescape(fields[4])
        if name is None or (name in by_name and not mountpoint.startswith("/sys/fs/cgroup")):
            continue
        if name in by_name and by_name[name]["mountpoint"].startswith("/sys/fs/cgroup"):
            continue
        by_name[name] = {
            "version": 1 if name else 2,
            "controllers": tuple(name.split(",") if name else unified_controllers.split()),
            "mountpoint": mountpoint,
            "root": unescape(fields[3]),
            "own": own[name],
        }
        if not name:
            by_name[name]["options"] = [option for option in options.split(",") if option not in ("rw", "ro")]
    mode = _mode(by_name)
    kept = [hierarchy for hierarchy in by_name.values() if mode != "v2" or hierarchy["version"] == 2]
    return {"mode": mode, "hierarchies": tuple(sorted(kept, key=lambda hierarchy: -hierarchy["version"]))}


def _visible(mountinfo: str, there: "Callable[[list[str]], bool]") -> list[str]:
    """The lines of cgroup mounts that no other mount covers, such as a v1 tree mounted over a v2 hierarchy.

    ``there`` is called with the fields of each mount that is not inside another cgroup mount, or of the mount that covers
    it: whether its path really leads to it.
    """
    mounts = [(line.split(" ", 5), line) for line in mountinfo.split("\n") if "cgroup" in line]
    points = {fields[0]: fields[4] for fields, _ in mounts}
    covered = {fields[1] for fields, _ in mounts if points.get(fields[1]) == fields[4]}
    outermost, hidden = set(), set()
    for fields, _ in mounts:  # a mount comes after its parent
        parent = fields[1]
        if parent not in points or (parent in outermost and points[parent] == fields[4]):
            outermost.add(fields[0])
            if fields[0] not in covered and not there(fields):
                hidden.add(fields[0])
        elif parent in hidden or (parent in covered and points[parent] != fields[4]):
            hidden.add(fields[0])
    return [line for fields, line in mounts if fields[0] not in covered | hidden and " - cgroup" in line]


def _is_there(fields: list[str]) -> bool:
    """Whether the path leads to the mount: another one may cover a parent directory, such as a new sysfs."""
    try:
        number = posix.stat(unescape(fields[4])).st_dev
    except OSError:
        return False
    return fields[2] == f"{posix.major(number)}:{posix.minor(number)}"


def _mode(by_name: "dict[str, Hierarchy]") -> str:
    """The mode of the host. A v2 host with a v1 hierarchy mounted elsewhere is not hybrid."""
    if "" not in by_name:
        return "v1" if by_name else "none"
    return "v2" if len(by_name) == 1 or by_name[""]["mountpoint"] == "/sys/fs/cgroup" else "hybrid"


def _membership(text: str) -> dict[str, str]:
    """{"memory": "/path", "cpu,cpuacct": "/path", "name=systemd": "/path", "": "/path of v2"}."""
    own = {}
    for line in text.split("\n"):
        parts = line.split(":", 2)
        if len(parts) == 3:
            own[parts[1]] = parts[2]
    return own


def _name(kind: str, options: str, own: dict[str, str]) -> str | None:
    """The key of a cgroup mount in `own`. A v1 mount names its controllers among its super options."""
    if kind == "cgroup2":
        return "" if "" in own else None
    if kind != "cgroup":
        return None
    given = options.split(",")
    for name in own:
        if name and name.split(",")[0] in given:
            return name
    return None


def unescape(path: str) -> str:
    """mountinfo escapes blank, tab, newline and backslash as three octal digits."""
    if "\\" not in path:
        return path
    parts = path.split("\\")
    return parts[0] + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts[1:])


def _text(data: bytes) -> str:
    """Decode names as os.fsdecode does: bytes that are not UTF-8 survive."""
    return data.decode("utf-8", "surrogateescape")
