"""Names of systemd: what cgroupsPath means to it, and where a unit's cgroup is. Pure.

The form is `slice:prefix:name` (runc's, which the managers write): the unit is `prefix-name.scope` in the slice, or the
slice `name` where that ends in ".slice".
"""

from runtime.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.layout import Place
    from runtime.host.cgroups import Hierarchy

POINTER = "/linux/cgroupsPath"
PREFIX = "ocirun"
SLICE, USER_SLICE = "system.slice", "user.slice"
# The v1 controllers in which systemd makes cgroups; it leaves the others to us.
MANAGED = {"cpu", "cpuacct", "memory", "blkio", "devices", "pids", "name=systemd"}
LONGEST = 255  # characters (unit-name.h)
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")
_ALLOWED = _PLAIN | frozenset("\\@")
# Names that a cgroup has files of: systemd puts "_" before those (cgroup-util.c).
_FILES = ("notify_on_release", "release_agent", "tasks")
_CONTROLLERS = ("cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids")
_PSEUDO = ("bpf-firewall", "bpf-devices", "bpf-foreign", "bpf-socket-bind", "bpf-restrict-network-interfaces")


def names(cgroups_path: str | None, id: str, user: bool) -> tuple[str, str]:
    """(slice, unit) of a container. ``user``: of a user's own systemd. InvalidConfig where the path is of another form.

    Without a path, `ocirun-<id>.scope` in the default slice; an empty slice is the default one, an empty prefix none,
    an empty name the id.
    """
    default = USER_SLICE if user else SLICE
    if not cgroups_path:
        return default, _unit(f"{PREFIX}-{_escaped(id)}.scope", None)
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        words = f'the systemd cgroup manager needs the form "slice:prefix:name", not {cgroups_path!r}'
        raise InvalidConfig(f"{words}, such as {default}:{PREFIX}:{id}; or use --cgroup-manager cgroupfs", POINTER)
    slice, prefix, name = parts
    slice = slice or default
    if directory(slice) is None:
        words = f"{slice!r} is no slice: it ends in .slice, and its parts, between single dashes, are not empty"
        raise InvalidConfig(words, POINTER)
    if name.endswith(".slice"):
        if directory(name) in (None, ""):
            raise InvalidConfig(f"{name!r} is no slice of its own", POINTER)
        return slice, _unit(name, POINTER)
    stem = name or _escaped(id)
    return slice, _unit(f"{prefix}-{stem}.scope" if prefix else f"{stem}.scope", POINTER)


def _escaped(id: str) -> str:
    """As systemd-escape has it, for what a container's id may have and a unit's name may not."""
    return "".join(one if one in _PLAIN else f"\\x{ord(one):02x}" for one in id)


def _unit(name: str, pointer: str | None) -> str:
    if len(name) > LONGEST:
        raise InvalidConfig(f"the unit's name {name!r} is longer than {LONGEST} characters", pointer)
    if not _ALLOWED.issuperset(name):
        raise InvalidConfig(f"{name!r} is no unit's name: letters, digits and : - _ . \\ @ are allowed", pointer)
    return name


def directory(slice: str) -> str | None:
    """The cgroup of a slice below systemd's own: "a-b.slice" is "/a.slice/a-b.slice", "-.slice" "". None: no slice's name."""
    stem = slice.removesuffix(".slice")
    if stem == slice or not _ALLOWED.issuperset(stem) or len(slice) > LONGEST:
        return None
    if stem == "-":
        return ""
    parts = stem.split("-")
    if not all(parts):
        return None
    return "".join("/" + _component(f"{'-'.join(parts[: i + 1])}.slice") for i in range(len(parts)))


def cgroup(slice: str, unit: str) -> str:
    """The cgroup of a unit that `names` gave, below systemd's own."""
    if unit.endswith(".slice"):
        return directory(unit) or ""
    return f"{directory(slice)}/{_component(unit)}"


def place(path: str, hierarchy: "Hierarchy") -> "Place":
    """Where a unit's cgroup is in a hierarchy. What systemd makes has its parent there, as far as removal goes: slices stay."""
    mountpoint, root = hierarchy["mountpoint"].rstrip("/"), hierarchy["root"].rstrip("/")
    where = mountpoint + (path.removeprefix(root) if path.startswith(f"{root}/") else path)
    managed = hierarchy["version"] == 2 or MANAGED & set(hierarchy["controllers"])
    return where, where.rpartition("/")[0] if managed else mountpoint, hierarchy


def _component(name: str) -> str:
    stem = name.partition(".")[0]
    reserved = name[0] in "_." or name in _FILES or stem in _CONTROLLERS or stem in _PSEUDO
    return f"_{name}" if reserved else name


def object_path(unit: str) -> str:
    """The unit's object on the bus (sd_bus_path_encode(3))."""
    letters = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    encoded = "".join(
        one if one in letters and not (at == 0 and one.isdigit()) else f"_{ord(one):02x}" for at, one in enumerate(unit)
    )
    return f"/org/freedesktop/systemd1/unit/{encoded}"
