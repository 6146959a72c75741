"""The limits of a container that is there already, changed. Not hot."""

import errno
import posix

from oci_spec import BadDocument, check, load, load_checked
from runtime.cgroups import apply, resources, tree
from runtime.cgroups import update as limits
from runtime.errors import InvalidConfig, OcirunError, WrongState
from runtime.host import cgroups as host
from runtime.lifecycle import config, state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.cgroups.layout import Place
    from runtime.shapes import Record

_BEFORE, _AFTER = b'{"ociVersion":"1.3.0","linux":{"resources":', b"}}"
_POINTER = "/linux/resources"
# What the kernel, or the conversion to v2, wants to be told together.
_PARTNERS = (("memory", "swap", "limit"), ("cpu", "quota", "period"), ("cpu", "period", "quota"))
_USAGE = ("memory.current", "memory.usage_in_bytes")


def checked(data: bytes, warn: "Callable[[str], None]") -> "dict[str, Any]":
    """The resources of a JSON text of the form of /linux/resources. InvalidConfig for the first thing that is wrong."""
    try:
        load(data)
    except BadDocument:
        problem = next(problem for problem in check(data) if problem.severity == "error")
        raise InvalidConfig(f"resources: line {problem.line}: {config.words(problem)}") from None
    spec, problems = load_checked(_BEFORE + data.strip() + _AFTER, unknown=True)
    for problem in problems:
        if not problem.pointer.startswith(_POINTER):
            continue  # of the rest of a config, which is not there
        words = f"resources: {problem.pointer.removeprefix(_POINTER)}: {config.words(problem)}"
        if problem.severity == "error":
            raise InvalidConfig(words)
        warn(words)
    given: dict[str, Any] = spec["linux"].get("resources") or {}  # null is as if it were not given
    return given


def update(
    root: str, id: str, data: bytes, warn: "Callable[[str], None]", schemas: "dict[str, str] | None" = None
) -> None:
    """Change the limits that ``data`` names (JSON of the form of /linux/resources), and leave the others.

    ``schemas``: l3CacheSchema and memBwSchema, new shares of the container's resctrl group. WrongState unless created, running or
    paused. OcirunError when one is refused; then all limits are as before. Device rules, where given, replace all earlier ones.
    """
    given = checked(data, warn)
    handle = store.open_locked(root, id)
    try:
        record = store.read_state(handle, id)
        status = state.status_of(handle, record, locked=True)
        if not state.can_kill(status):
            raise WrongState(f'cannot update container "{id}": container not running: it is {status}')
        undo = _change_shares(record, schemas) if schemas else None
        try:
            if given:
                _change_limits(handle, record, given)
        except BaseException:
            if undo:
                undo()
            raise
    except OcirunError as error:
        if error.pointer:
            words = f"resources: {error.pointer.removeprefix(_POINTER)}: {error.message}"
            raise type(error)(words, None, None, error.errno) from None
        raise
    finally:
        posix.close(handle)


def _change_limits(handle: int, record: "Record", given: "dict[str, Any]") -> None:
    current = record.get("resources")
    if current is None:
        current = config.resources(store.read_file(handle, store.CONFIG))
    _change(record, given, current)
    record["resources"] = merged(current, given)
    store.write_state(handle, record)


def _change_shares(record: "Record", schemas: "dict[str, str]") -> "Callable[[], None]":
    """The container's shares of cache and memory bandwidth. Returns what undoes it."""
    from runtime import resctrl
    from runtime.host.confinement import resctrl_mount

    if not record.get("resctrl"):
        raise OcirunError("the container is in no resctrl group, since its config has no linux.intelRdt")
    group = record["resctrl"]["tasks"][0].rpartition("/")[0]
    undo = resctrl.change(schemas, group, resctrl_mount() or group)
    return lambda: resctrl.restore(undo, group)


def merged(current: "dict[str, Any]", given: "dict[str, Any]") -> "dict[str, Any]":
    """The resources after an update: sections by property, lists as a whole. Pure."""
    result = dict(current)
    for name, section in given.items():
        both = isinstance(section, dict) and isinstance(result.get(name), dict)
        result[name] = {**result[name], **section} if both else section
    return result


def completed(given: "dict[str, Any]", current: "dict[str, Any]") -> "dict[str, Any]":
    """``given``, and what its values cannot be said without, as it is at present. Pure."""
    result = dict(given)
    for section, name, partner in _PARTNERS:
        wanted, there = result.get(section) or {}, current.get(section) or {}
        if wanted.get(name) and not wanted.get(partner) and there.get(partner):
            result[section] = {**wanted, partner: there[partner]}
    return result


def _change(record: "Record", given: "dict[str, Any]", current: "dict[str, Any]") -> None:
    intent = record["cgroups"]
    places = limits.places(intent, host.read())
    memory = {**(current.get("memory") or {}), **(given.get("memory") or {})}
    if given.get("memory") and memory.get("checkBeforeUpdate"):  # of the config, if not of the update
        _check_usage(places, given["memory"])
    if given.get("intelRdt"):
        raise InvalidConfig("intelRdt is not among a container's resources", f"{_POINTER}/intelRdt")
    wanted = completed(given, current)
    devices = wanted.pop("devices", None)
    # Without device rules `writes` would give the default ones.
    writes = [one for one in resources.writes(wanted, places)[0] if not one[3].startswith(f"{_POINTER}/devices")]
    undo = limits.change(places, intent, writes)
    unit = None
    try:
        if record.get("systemd"):
            from runtime.cgroups.systemd import scope

            unit = scope.Change(record["systemd"], intent, places)
            unit.make(wanted if devices is None else {**wanted, "devices": devices})
            limits.change(places, intent, scope.exact(writes))  # systemd has written what it made of them
        if devices is not None:
            _change_devices(places, devices)
    except BaseException:
        try:
            if unit:
                unit.undo()
        finally:
            limits.restore(undo)
        raise
    finally:
        if unit:
            unit.close()


def _change_devices(places: "list[Place]", rules: "list[dict[str, Any]]") -> None:
    where = resources.controllers(places).get("devices")
    if where is not None:
        limits.change_devices(places[where][0], rules, f"{_POINTER}/devices")
        return
    for index, (path, _, hierarchy) in enumerate(places):
        if hierarchy["version"] == 2:
            from runtime.cgroups.device_program import program

            apply.attach(path, (index, program(rules), f"{_POINTER}/devices"), replace=True)
            return
    raise OcirunError("device rules need the devices controller or cgroup v2", f"{_POINTER}/devices")


def _check_usage(places: "list[Place]", memory: "dict[str, Any]") -> None:
    """memory.checkBeforeUpdate: a limit below what is used would kill; it is refused instead (config-linux.md#memory)."""
    limit = int(memory.get("limit") or 0)
    for path, _, hierarchy in places if limit > 0 else ():
        if "memory" not in hierarchy["controllers"]:
            continue
        for file in _USAGE:
            usage = tree.read(f"{path}/{file}").strip()
            if usage and int(usage) > limit:
                words = f"the container uses {int(usage)} bytes of memory, which is more than {limit}"
                raise OcirunError(words, f"{_POINTER}/memory/limit", None, errno.EBUSY)
