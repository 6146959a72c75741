"""The state side of `update`: change a container's limits, in its cgroups and in its record. Not hot."""

import errno
import posix

from oci_spec import BadDocument, check, load, load_checked
from runtime import files
from runtime.cgroups import apply, devices, resources
from runtime.cgroups import update as limits
from runtime.errors import InvalidConfig, OcirunError, WrongState
from runtime.host import cgroups as host
from runtime.lifecycle import config, state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import LinuxIntelRdt, Resources, ResourcesDevice, ResourcesMemory
    from runtime.shapes import Location, Record

_BEFORE, _AFTER = b'{"ociVersion":"1.3.0","linux":{"resources":', b"}}"
_POINTER = "/linux/resources"
_USAGE = ("memory.current", "memory.usage_in_bytes")


def checked(data: bytes, warn: "Callable[[str], None]") -> "Resources":
    """The resources in a JSON text in the form of /linux/resources. InvalidConfig for the first error."""
    try:
        load(data)
    except BadDocument:
        problem = next(problem for problem in check(data) if problem.severity == "error")
        raise InvalidConfig(f"resources: line {problem.line}: {config.message(problem)}") from None
    spec, problems = load_checked(_BEFORE + data.strip() + _AFTER, unknown=True)
    for problem in problems:
        if not problem.pointer.startswith(_POINTER):
            continue  # about the rest of the config, which is missing on purpose
        message = f"resources: {problem.pointer.removeprefix(_POINTER)}: {config.message(problem)}"
        if problem.severity == "error":
            raise InvalidConfig(message)
        warn(message)
    given: Resources = spec["linux"].get("resources", {})
    return given


def update(
    root: str, id: str, data: bytes, warn: "Callable[[str], None]", schemas: "LinuxIntelRdt | None" = None
) -> None:
    """Change the limits that ``data`` names (JSON in the form of /linux/resources), and leave the others.

    ``schemas``: l3CacheSchema and memBwSchema, new shares of the container's resctrl group. WrongState unless created,
    running or paused. OcirunError when one is refused; then all limits are as before. Device rules replace all earlier
    ones.
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
            message = f"resources: {error.pointer.removeprefix(_POINTER)}: {error.message}"
            raise type(error)(message, None, None, error.errno) from None
        raise
    finally:
        posix.close(handle)


def _change_limits(handle: int, record: "Record", given: "Resources") -> None:
    current = record.get("resources")
    if current is None:
        current = config.resources(store.read_file(handle, store.CONFIG))
    changed: Record = {**record, "resources": merged(current, given)}
    # Written first: on a full disk the limits stay as they are.
    store.write_next_state(handle, changed)
    _change(record, given, current)
    store.take_next_state(handle)


def _change_shares(record: "Record", schemas: "LinuxIntelRdt") -> "Callable[[], None]":
    """Change the container's shares of cache and memory bandwidth. Returns a function that undoes it."""
    from runtime import resctrl
    from runtime.host.confinement import resctrl_mount

    if not record.get("resctrl"):
        raise OcirunError("the container is in no resctrl group, since its config has no linux.intelRdt")
    group = record["resctrl"]["tasks"][0].rpartition("/")[0]
    undo = resctrl.change(schemas, group, resctrl_mount() or group)
    return lambda: resctrl.restore(undo, group)


def merged(current: "Resources", given: "Resources") -> "Resources":
    """The resources after an update: sections are merged by property, lists are replaced. Pure."""
    result: dict[str, object] = {**current}  # the sections need not be known here
    for name, section in given.items():
        present = result.get(name)
        result[name] = {**present, **section} if isinstance(present, dict) and isinstance(section, dict) else section
    return result  # type: ignore[return-value]  # merged section by section, it has the shape of both


def completed(given: "Resources", current: "Resources") -> "Resources":
    """``given``, plus the current values that the kernel or the conversion to v2 needs along with the new ones. Pure."""
    result: Resources = {**given}
    memory, present_memory = given.get("memory") or {}, current.get("memory") or {}
    if memory.get("swap") and not memory.get("limit") and present_memory.get("limit"):
        result["memory"] = {**memory, "limit": present_memory["limit"]}
    cpu, present_cpu = given.get("cpu") or {}, current.get("cpu") or {}
    if cpu.get("quota") and not cpu.get("period") and present_cpu.get("period"):
        result["cpu"] = {**cpu, "period": present_cpu["period"]}
    elif cpu.get("period") and not cpu.get("quota") and present_cpu.get("quota"):
        result["cpu"] = {**cpu, "quota": present_cpu["quota"]}
    return result


def _change(record: "Record", given: "Resources", current: "Resources") -> None:
    intent = record["cgroups"]
    locations = limits.locations(intent, host.read())
    changed = given.get("memory")
    memory: ResourcesMemory = {**(current.get("memory") or {}), **(changed or {})}
    if changed and memory.get("checkBeforeUpdate"):  # the config's, unless the update has one
        _check_usage(locations, changed)
    if given.get("intelRdt"):  # a section of linux, put here by mistake
        raise InvalidConfig("intelRdt is not among a container's resources", f"{_POINTER}/intelRdt")
    wanted = completed(given, current)
    rules = wanted.pop("devices", None)
    # `wanted` has no device rules now, so `resources.writes` adds the default ones: leave them out.
    writes = [
        (location, setting)
        for location, setting in resources.writes(wanted, locations)[0]
        if not setting.pointer.startswith(devices.POINTER)
    ]
    undo = limits.change(locations, intent, writes)
    unit = None
    try:
        if record.get("systemd"):
            from runtime.cgroups.systemd import scope

            unit = scope.Change(record["systemd"], intent, locations)
            unit.make(wanted if rules is None else {**wanted, "devices": rules})
            limits.change(locations, intent, scope.exact(writes))  # systemd has written its own values
        if rules is not None:
            _change_devices(locations, rules)
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


def _change_devices(locations: "list[Location]", rules: "list[ResourcesDevice]") -> None:
    location = resources.controllers(locations).get("devices")
    if location is not None:
        limits.change_devices(location["path"], rules)
        return
    location = resources.unified(locations)
    if location is None:
        raise OcirunError("device rules need the devices controller or cgroup v2", devices.POINTER)
    from runtime.cgroups.device_program import program

    apply.attach(location["path"], program(rules), replace=True)


def _check_usage(locations: "list[Location]", memory: "ResourcesMemory") -> None:
    """memory.checkBeforeUpdate: refuse a limit below the current usage, which would kill (config-linux.md#memory)."""
    limit = int(memory.get("limit") or 0)
    for location in locations if limit > 0 else ():
        if "memory" not in location["hierarchy"]["controllers"]:
            continue
        for file in _USAGE:
            usage = files.read_or_empty(f"{location['path']}/{file}").strip()
            if usage and int(usage) > limit:
                message = f"the container uses {int(usage)} bytes of memory, which is more than {limit}"
                raise OcirunError(message, f"{_POINTER}/memory/limit", None, errno.EBUSY)
