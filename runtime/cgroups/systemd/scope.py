"""The systemd cgroup manager: a container's cgroup belongs to a transient unit, which systemd makes and removes, over D-Bus.

systemd moves init into the unit before init opens its cgroups. Everything after that is as with the cgroupfs manager: the
record's `cgroups` name the directories, and every limit is written to its file once systemd has written its own. Cold:
loaded only when it is asked for, or when a container's record has a unit.
"""

import posix

from runtime import files
from runtime.cgroups import apply, freezer, tree
from runtime.cgroups.intent import NOT_OURS, POINTER
from runtime.cgroups.systemd import annotations, dbus, units
from runtime.cgroups.systemd import properties as table
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oci_spec.types import Linux, Resources
    from runtime.cgroups.intent import Intent
    from runtime.cgroups.resources import DeviceFilter
    from runtime.cgroups.setting import Write
    from runtime.cgroups.systemd.dbus import Body, Connection
    from runtime.cgroups.systemd.properties import Property
    from runtime.shapes import Facts, Location, Record, UnitRow

JOB_LIMIT = 25.0  # seconds that systemd may take to start or stop the unit
NO_UNIT = f"{dbus.SYSTEMD}.NoSuchUnit"
EXISTS = f"{dbus.SYSTEMD}.UnitExists"
TASKS_OF_ONE = ("TasksMax", ("t", 1))  # the least that systemd takes


def late(properties: "list[Property]") -> "list[Property]":
    """The TasksMax that counts, which is the last, if it is a limit of one process."""
    limits = [one for one in properties if one[0] == "TasksMax"]
    return limits[-1:] if limits[-1:] == [TASKS_OF_ONE] else []


class Unit:
    """The unit of a container that is being created. ``row`` is for the record; ``locations`` are its cgroups to be."""

    def __init__(self, linux: "Linux", annotated: dict[str, str], id: str, facts: "Facts") -> None:
        user = is_users(facts["in_user_namespace"])
        cgroups = facts["cgroup"]
        self.slice, self.name = units.names(linux.get("cgroupsPath"), id, user)
        self.pointer = POINTER if linux.get("cgroupsPath") else None
        self.annotated = annotations.properties(annotated)
        self.v2 = cgroups["mode"] == "v2"
        if user and not self.v2:
            raise OcirunError("a user's own systemd manages cgroup v2 only: use --cgroup-manager cgroupfs on this host")
        self.bus = dbus.connect(user)
        self.version = version(self.bus)
        below = root_of(self.bus)
        self.path = below + units.cgroup(self.slice, self.name)
        self.row: UnitRow = {"unit": self.name, "user": user, "address": self.bus.address, "below": below}
        self.locations = [units.location(self.path, hierarchy) for hierarchy in cgroups["hierarchies"]]
        resources = linux.get("resources") or {}
        properties = table.of_unit(self.slice, self.name, id, resources, self.v2, self.version, user) + self.annotated
        self.late = late(properties)
        self.late_writes: list[Write] = []
        self.properties = [one for one in properties if not self.late or one[0] != "TasksMax"]
        self._check_free()

    def _check_free(self) -> None:
        """Refuse the name of a unit that exists: its end would be the container's. A failed unit counts as gone."""
        try:
            path = str(self.bus.call(f"ask systemd for the unit {self.name}", "GetUnit", "s", (self.name,))[0])
        except dbus.Refused as error:
            if error.name == NO_UNIT:
                return
            raise
        state = self.bus.get(path, f"{dbus.SYSTEMD}.Unit", "ActiveState")
        if state not in ("failed", "inactive"):
            raise OcirunError(f"the systemd unit {self.name} is in use: it is {state}", self.pointer)

    def start(self, pid: int, record: "Record") -> None:
        """Make the unit with process ``pid`` in it, and the cgroups that systemd does not make.

        Where the unit turns out to be another's, the record changes: the clean-up must leave that unit alone.
        """
        properties = self.properties
        if not self.name.endswith(".slice"):
            properties = [("PIDs", ("au", [pid])), *properties]
        intent = record["cgroups"]
        try:
            self._start(properties)
        except dbus.Refused as error:
            if error.name == EXISTS:
                for row in intent:
                    row["made"] = NOT_OURS
                record.pop("systemd", None)
            raise self._worded(error) from None
        cgroup = self.bus.get(units.object_path(self.name), interface(self.name), "ControlGroup")
        if cgroup != self.path:
            raise OcirunError(f"systemd gave the unit {self.name} the cgroup {cgroup}, not {self.path}", self.pointer)
        tree.make([row for row in intent if not posix.access(row["path"], posix.F_OK)])

    def fill(
        self, intent: "Intent", writes: "list[Write]", device_filter: "DeviceFilter | None", tolerate: bool
    ) -> list[OcirunError]:
        """Write every limit but the late one to its file, after systemd has written its own. Returns what to warn about."""
        writes = exact(writes)
        limits = [one for one in writes if one[1].file == "pids.max"]
        if limits and limits[-1][1].value == "1":
            self.late_writes = limits
            writes = [one for one in writes if one not in limits]
        return apply.fill(self.locations, intent, writes, device_filter, {}, tolerate)

    def finish(self) -> None:
        """Set a limit of one process. Init, which systemd has moved into the unit, could not fork under it."""
        if self.late:
            tried = f"set properties of the systemd unit {self.name}"
            self.bus.call(tried, "SetUnitProperties", "sba(sv)", (self.name, True, self.late))
            # systemd writes the cgroup files after it has answered, and before it takes the next call.
            self.bus.get(dbus.PATH, dbus.MANAGER, "Version")
        if self.late_writes:
            apply.write(self.late_writes, {})

    def _start(self, properties: "list[Property]") -> None:
        tried = f"start the systemd unit {self.name}"
        body: Body = (self.name, "fail", properties, [])
        self.bus.subscribe("JobRemoved")
        try:
            job = self.bus.call(tried, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)[0]
        except dbus.Refused as error:
            if error.name != EXISTS:
                raise
            reset(self.bus, self.name)  # a failed one of the same name
            job = self.bus.call(tried, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)[0]
        result = finished(self.bus, job)
        if result != "done":
            remedy = f"journalctl{' --user' if self.row['user'] else ''} -u {self.name} may tell more"
            raise OcirunError(f"{tried}: {result or f'not within {JOB_LIMIT:g} seconds'}; {remedy}", self.pointer)

    def _worded(self, error: "dbus.Refused") -> OcirunError:
        """The error with the pointer of the property that systemd names. It does not name one whose type is wrong."""
        names = [name for name, _ in self.annotated]
        named = [name for name in names if name in error.text.replace(",", " ").split()]
        if not named and error.name.startswith(("System.Error.", "org.freedesktop.DBus.Error.InvalidArgs")):
            named = names
        if not named:
            return OcirunError(error.message, self.pointer)
        pointer = annotations.pointer(named[0]) if len(named) == 1 else "/annotations"
        return OcirunError(
            f"{error.message}; a property's type may be another: see org.freedesktop.systemd1(5)", pointer
        )

    def close(self) -> None:
        self.bus.close()


def is_users(in_user_namespace: bool) -> bool:
    """Whether the caller's systemd is a user's own. Root of a user namespace has the system's if process 1 is in it too."""
    if posix.geteuid() or not in_user_namespace:
        return bool(posix.geteuid())
    try:
        return posix.stat("/proc/1/ns/user").st_ino != posix.stat("/proc/self/ns/user").st_ino
    except OSError:
        return True


def exact(writes: "list[Write]") -> "list[Write]":
    """What can be written after systemd. It has made the cgroup idle by then, and the weight of an idle one is locked."""
    idle = any(setting.file == "cpu.idle" and setting.value.strip() == "1" for _, setting in writes)
    return [(location, setting) for location, setting in writes if not (idle and setting.file == "cpu.weight")]


def interface(unit: str) -> str:
    return f"{dbus.SYSTEMD}.{'Slice' if unit.endswith('.slice') else 'Scope'}"


def version(bus: "Connection") -> int:
    """Such as 252, of "252.39-1~deb12u1" or "v252"."""
    text = str(bus.get(dbus.PATH, dbus.MANAGER, "Version")).lstrip("v")
    digits = text[: next((index for index, letter in enumerate(text) if not letter.isdecimal()), len(text))]
    return int(digits or 0)


def root_of(bus: "Connection") -> str:
    """The cgroup below which this systemd makes its units: "", or "/user.slice/user-1000.slice/user@1000.service"."""
    return str(bus.get(dbus.PATH, dbus.MANAGER, "ControlGroup")).rstrip("/").removesuffix("/init.scope")


def finished(bus: "Connection", job: str) -> str:
    """How a job ended: "done", or systemd's name for its failure; "" when it did not end in time."""
    body = bus.signal("JobRemoved", lambda body: len(body) == 4 and body[1] == job, JOB_LIMIT)
    return str(body[3]) if body else ""


def reset(bus: "Connection", unit: str) -> None:
    """Let systemd forget that a unit failed."""
    try:
        bus.call(f"reset the systemd unit {unit}", "ResetFailedUnit", "s", (unit,))
    except dbus.Refused:
        pass  # it is not loaded, or not failed


def remove(row: "UnitRow", intent: "Intent", warn: "Callable[[str], None]") -> None:
    """Stop the unit, whose processes are the container's, and wait until it is gone. No error where it is gone already.

    Without a bus, systemd itself drops the unit when its cgroup is empty: a warning says so.
    """
    from runtime.cgroups import members

    members.kill_all(intent)
    unit = row["unit"]
    try:
        bus = dbus.connect(row["user"], row["address"])
    except dbus.Unreachable as error:
        warn(f"systemd could not be asked to stop the unit {unit}: {error}")
        return
    try:
        bus.subscribe("JobRemoved")
        job = bus.call(f"stop the systemd unit {unit}", "StopUnit", "ss", (unit, "replace"))[0]
        result = finished(bus, job)
        if result not in ("done", "skipped"):
            warn(f"stop the systemd unit {unit}: {result or f'not within {JOB_LIMIT:g} seconds'}")
        reset(bus, unit)
    except dbus.Refused as error:
        if error.name != NO_UNIT:
            warn(str(error))
    except dbus.Unreachable as error:
        warn(f"the systemd unit {unit} may be left: {error}")
    finally:
        bus.close()


def must_admit(row: "UnitRow", placement: "Sequence[str]") -> bool:
    """Whether the caller may not move a process by the files of ``placement``, but his own systemd may.

    He stands outside of its cgroups, as in a login session, or the container has given the cgroup to another of its users.
    """
    if not row["user"] or len(placement) != 1:
        return False
    outside = not files.read_or_empty("/proc/self/cgroup").decode().startswith(f"0::{row['below']}/")
    return outside or not posix.access(placement[0], posix.W_OK)


def admit(row: "UnitRow", pid: int, below: str) -> None:
    """Let systemd move a process of such a caller into the unit, to the cgroup ``below`` its own: "" or "/PATH"."""
    bus = dbus.connect(True, row["address"])
    try:
        tried = f"bring the process into the systemd unit {row['unit']}"
        bus.call(tried, "AttachProcessesToUnit", "ssau", (row["unit"], below, [pid]))
    finally:
        bus.close()


class Change:
    """A change of properties of a container's unit; `undo` restores them."""

    def __init__(self, row: "UnitRow", intent: "Intent", locations: "list[Location]") -> None:
        self.user = row["user"]
        self.unit = row["unit"]
        self.bus = dbus.connect(self.user, row["address"])
        self.version = version(self.bus)
        self.v2 = all(location["hierarchy"]["version"] == 2 for location in locations)
        self.intent = intent
        self.before: list[Property] = []

    def make(self, resources: "Resources") -> None:
        """Set what ``resources`` names, and wait until systemd has written it."""
        properties = table.properties(resources, self.v2, self.version, self.user)
        if not properties:
            return
        present = self.bus.get_all(units.object_path(self.unit), interface(self.unit))
        self.before = former(properties, present)
        self._set(properties)

    def undo(self) -> None:
        if self.before:
            before, self.before = self.before, []
            self._set(before)

    def _set(self, properties: "list[Property]") -> None:
        """On v1, systemd denies every device before it allows the right ones: no process may run meanwhile."""
        freeze = not self.v2 and bool(freezer.freezable(self.intent)) and not freezer.frozen(self.intent)
        if freeze:
            freezer.freeze(self.intent)
        try:
            tried = f"set properties of the systemd unit {self.unit}"
            self.bus.call(tried, "SetUnitProperties", "sba(sv)", (self.unit, True, properties))
            # systemd writes the cgroup files after it has answered, and before it takes the next call.
            self.bus.get(dbus.PATH, dbus.MANAGER, "Version")
        finally:
            if freeze:
                freezer.thaw(self.intent)

    def close(self) -> None:
        self.bus.close()


def former(properties: "list[Property]", present: "dict[str, tuple[str, object]]") -> "list[Property]":
    """What sets the named properties back to their ``present`` values, each once; lists are emptied first. Pure."""
    result: list[Property] = []
    for name in dict.fromkeys(name for name, _ in properties):
        if name not in present:
            continue
        signature, value = present[name]
        if signature.startswith("a("):
            result.append((name, (signature, [])))
        if value or not signature.startswith("a("):
            result.append((name, (signature, value)))
    return result
