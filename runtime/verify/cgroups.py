"""The container's cgroups: is its first process in them, and does each file have the value that ocirun would write?"""

from runtime import files
from runtime.cgroups import intent, layout, resources, update
from runtime.cgroups.setting import Setting
from runtime.errors import OcirunError

from . import cgroup_values, devices
from .check import Check, judge, unknown, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.host.cgroups import Hierarchy
    from runtime.shapes import Location

    from .container import Container

POINTER = "/linux/cgroupsPath"


def membership(container: "Container") -> "dict[str, str]":
    """The directory of the process's cgroup by hierarchy: `key` → path. Raises OSError."""
    own = {
        parts[1]: parts[2] for parts in (line.split(":", 2) for line in container.text("cgroup").split("\n") if line)
    }
    result = {}
    for hierarchy in container.facts["cgroup"]["hierarchies"]:
        if (path := own.get(key(hierarchy))) is not None:
            below = layout.below_mount(path, hierarchy["root"])
            result[key(hierarchy)] = (hierarchy["mountpoint"].rstrip("/") + below).rstrip("/")
    return result


def key(hierarchy: "Hierarchy") -> str:
    """The hierarchy's name in /proc/PID/cgroup: its controllers, "" for v2."""
    return ",".join(hierarchy["controllers"]) if hierarchy["version"] == 1 else ""


def locations(container: "Container") -> "list[Location]":
    """Where the config's cgroups are: of the record, or by cgroupsPath, or else where the process is.

    Those that the container could not be given are left out.
    """
    facts = container.facts["cgroup"]
    if container.rows is not None:
        rows = intent.entered(list(container.rows))
        return update.locations(rows, facts) if rows else []
    given, present = container.spec["linux"].get("cgroupsPath"), membership(container)
    if _is_absolute(given):
        by_path = layout.locations(given, container.id, facts)
        # Other runtimes leave the v2 hierarchy of a hybrid host alone, or the ones that they cannot see.
        return [row for row in by_path if facts["mode"] != "hybrid" or row["hierarchy"]["version"] == 1]
    return [
        {"path": present[key(row)], "base": row["mountpoint"], "hierarchy": row}
        for row in facts["hierarchies"]
        if key(row) in present
    ]


def _is_absolute(path: "str | None") -> bool:
    return bool(path) and str(path).startswith("/")


def checks(container: "Container", places: "list[Location]") -> "Iterator[Check]":
    """``places``: from `locations`."""
    yield from _members(container, places)
    yield from _limits(container, places)
    if places:
        yield from devices.rule_checks(container, places)


def _members(container: "Container", places: "list[Location]") -> "Iterator[Check]":
    given = container.spec["linux"].get("cgroupsPath")
    try:
        present = membership(container)
    except OSError as error:
        yield unknown(POINTER, "cgroups", given or "", words(error))
        return
    if container.rows is None and not _is_absolute(given):
        if given and ":" in given:  # slice:prefix:name of a systemd unit
            yield _unit(given, present)
        elif given:
            yield unknown(POINTER, "cgroups", given, "a relative path counts from the cgroup of create's caller")
        return
    for location in places:
        actual = present.get(key(location["hierarchy"]), "")
        name = key(location["hierarchy"]) or "v2"
        yield judge(POINTER, f"{name} cgroup", location["path"], actual, actual == location["path"])


def _unit(given: str, present: "dict[str, str]") -> Check:
    from runtime.cgroups.systemd import units

    try:
        _, name = units.names(given, "", False)
    except OcirunError as error:
        return unknown(POINTER, "systemd unit", given, error.message)
    actual = ", ".join(sorted({path.rpartition("/")[2] for path in present.values()}))
    return judge(POINTER, "systemd unit", name, actual, any(path.endswith(f"/{name}") for path in present.values()))


def _limits(container: "Container", places: "list[Location]") -> "Iterator[Check]":
    """Each file once: of several writes to the same, all must hold."""
    given = {name: section for name, section in container.resources.items() if name != "devices"}
    if not given:
        return
    try:
        writes = resources.writes(given, places)[0]  # type: ignore[arg-type]  # the same sections
    except OcirunError as error:
        yield unknown(error.pointer or "/linux/resources", "limits", "", error.message)
        return
    idle = any(setting.file == "cpu.idle" and setting.value == "1" for _, setting in writes)
    for location, setting in writes:
        if setting.pointer.startswith("/linux/resources/devices") or setting.file.startswith("devices."):
            continue
        if idle and setting.file in ("cpu.shares", "cpu.weight"):  # SCHED_IDLE has a weight of its own
            continue
        yield _limit(location["path"], setting)


def _limit(directory: str, setting: Setting) -> Check:
    name, value = setting.file, setting.value
    try:
        text = files.read(f"{directory}/{name}")
    except FileNotFoundError as error:
        if setting.fallback:
            return _limit(directory, Setting(*setting.fallback, setting.pointer))
        if setting.is_default:
            return judge(setting.pointer, name, value, "no such file", True)
        return unknown(setting.pointer, name, value, f"{directory}/{name}: {words(error)}")
    except OSError as error:
        return unknown(setting.pointer, name, value, f"{directory}/{name}: {words(error)}")
    actual = update.former(name, value, text.decode(errors="replace")).strip()
    return judge(setting.pointer, name, value, actual, cgroup_values.same(name, value, actual))
