"""systemd's names: the unit and slice of a cgroupsPath, and where a unit's cgroup is. Pure.

The form is `slice:prefix:name` (runc's, which the managers write): the unit is `prefix-name.scope` in the slice, or the
slice `name` where that ends in ".slice".
"""

from runtime.cgroups.intent import POINTER
from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.host.cgroups import Hierarchy
    from runtime.shapes import Location

PREFIX = "ocirun"
SLICE, USER_SLICE = "system.slice", "user.slice"
# The v1 controllers in which systemd makes cgroups; it leaves the others to the runtime.
MANAGED = {"cpu", "cpuacct", "memory", "blkio", "devices", "pids", "name=systemd"}
LONGEST = 255  # characters (unit-name.h)
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")
_ALLOWED = _PLAIN | frozenset("\\@")
# Names that files of a cgroup have: systemd puts "_" before those (cgroup-util.c).
_FILES = ("notify_on_release", "release_agent", "tasks")
_CONTROLLERS = ("cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids")
_PSEUDO = ("bpf-firewall", "bpf-devices", "bpf-foreign", "bpf-socket-bind", "bpf-restrict-network-interfaces")


def names(cgroups_path: str | None, id: str, user: bool) -> tuple[str, str]:
    """(slice, unit) of a container. ``user``: of a user's own systemd. InvalidConfig where the path has another form.

    Without a path: `ocirun-<id>.scope` in the default slice. An empty slice means the default one, an empty prefix none,
    an empty name the id.
    """
    default = USER_SLICE if user else SLICE
    if not cgroups_path:
        return default, _unit(f"{PREFIX}-{_escaped(id)}.scope", None)
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        message = f'the systemd cgroup manager needs the form "slice:prefix:name", not {cgroups_path!r}'
        raise InvalidConfig(f"{message}, such as {default}:{PREFIX}:{id}; or use --cgroup-manager cgroupfs", POINTER)
    slice, prefix, name = parts
    slice = slice or default
    if directory(slice) is None:
        message = f"{slice!r} is no slice: it ends in .slice, and its parts, between single dashes, are not empty"
        raise InvalidConfig(message, POINTER)
    if name.endswith(".slice"):
        if directory(name) in (None, ""):
            raise InvalidConfig(f"{name!r} is no slice of its own", POINTER)
        return slice, _unit(name, POINTER)
    stem = name or _escaped(id)
    return slice, _unit(f"{prefix}-{stem}.scope" if prefix else f"{stem}.scope", POINTER)


def _escaped(id: str) -> str:
    """The id as systemd-escape writes it: an id may have characters that a unit's name may not."""
    return "".join(letter if letter in _PLAIN else f"\\x{ord(letter):02x}" for letter in id)


def _unit(name: str, pointer: str | None) -> str:
    if len(name) > LONGEST:
        raise InvalidConfig(f"the unit's name {name!r} is longer than {LONGEST} characters", pointer)
    if not _ALLOWED.issuperset(name):
        raise InvalidConfig(f"{name!r} is no unit's name: letters, digits and : - _ . \\ @ are allowed", pointer)
    return name


def directory(slice: str) -> str | None:
    """The cgroup of a slice below systemd's own: "/a.slice/a-b.slice" for "a-b.slice", "" for "-.slice". None: not a slice."""
    stem = slice.removesuffix(".slice")
    if stem == slice or not _ALLOWED.issuperset(stem) or len(slice) > LONGEST:
        return None
    if stem == "-":
        return ""
    parts = stem.split("-")
    if not all(parts):
        return None
    slices = [f"{'-'.join(parts[:length])}.slice" for length in range(1, len(parts) + 1)]
    return "".join(f"/{_component(name)}" for name in slices)


def cgroup(slice: str, unit: str) -> str:
    """The cgroup of a unit that `names` gave, below systemd's own."""
    if unit.endswith(".slice"):
        return directory(unit) or ""
    return f"{directory(slice)}/{_component(unit)}"


def location(cgroup: str, hierarchy: "Hierarchy") -> "Location":
    """Where a unit's cgroup is in a hierarchy. What systemd makes has its parent as the base: removal leaves slices alone."""
    mountpoint, root = hierarchy["mountpoint"].rstrip("/"), hierarchy["root"].rstrip("/")
    path = mountpoint + (cgroup.removeprefix(root) if cgroup.startswith(f"{root}/") else cgroup)
    managed = hierarchy["version"] == 2 or MANAGED & set(hierarchy["controllers"])
    return {"path": path, "base": path.rpartition("/")[0] if managed else mountpoint, "hierarchy": hierarchy}


def _component(name: str) -> str:
    stem = name.partition(".")[0]
    reserved = name[0] in "_." or name in _FILES or stem in _CONTROLLERS or stem in _PSEUDO
    return f"_{name}" if reserved else name


def object_path(unit: str) -> str:
    """The unit's object on the bus (sd_bus_path_encode(3))."""
    letters = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    encoded = "".join(
        letter if letter in letters and not (index == 0 and letter.isdigit()) else f"_{ord(letter):02x}"
        for index, letter in enumerate(unit)
    )
    return f"/org/freedesktop/systemd1/unit/{encoded}"
