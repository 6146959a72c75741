"""The systemd cgroup manager: a container's cgroup is a transient unit's, made and removed by systemd over D-Bus.

systemd moves init into the unit before init opens its cgroups; everything after that is as with the cgroupfs manager:
the record's `cgroups` name the directories, and every limit is written to its file once systemd has written its own.
Cold: loaded only when it is asked for, or when a container's record has a unit.

The record's `systemd`: unit; user (of the caller's own systemd); address (of the bus); below (that systemd's own cgroup).
"""

import posix

from runtime.cgroups import apply, freezer, tree
from runtime.cgroups.systemd import annotations, dbus, units
from runtime.cgroups.systemd import properties as table
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.cgroups.layout import Place
    from runtime.cgroups.resources import Filter, Write
    from runtime.cgroups.systemd.dbus import Connection
    from runtime.cgroups.systemd.properties import Property
    from runtime.cgroups.tree import Intent
    from runtime.host.cgroups import CgroupFacts
    from runtime.shapes import Facts

    Note = dict[str, Any]

POINTER = units.POINTER
JOB_LIMIT = 25.0  # seconds that systemd may take to start or stop the unit
NO_UNIT = f"{dbus.SYSTEMD}.NoSuchUnit"
EXISTS = f"{dbus.SYSTEMD}.UnitExists"


class Unit:
    """The unit of a container on its way. ``note`` is for the record, ``places`` are where its cgroups will be."""

    def __init__(self, spec: "dict[str, Any]", id: str, facts: "Facts") -> None:
        user = is_users(facts["in_user_namespace"])
        linux = spec["linux"]
        cgroups: CgroupFacts = facts["cgroup"]
        self.slice, self.name = units.names(linux.get("cgroupsPath"), id, user)
        self.pointer = POINTER if linux.get("cgroupsPath") else None
        self.annotated = annotations.properties(spec.get("annotations") or {})
        self.v2 = cgroups["mode"] == "v2"
        if user and not self.v2:
            raise OcirunError("a user's own systemd manages cgroup v2 only: use --cgroup-manager cgroupfs on this host")
        self.bus = dbus.connect(user)
        self.version = version(self.bus)
        below = root_of(self.bus)
        self.path = below + units.cgroup(self.slice, self.name)
        self.note: Note = {"unit": self.name, "user": user, "address": self.bus.address, "below": below}
        self.places = [units.place(self.path, one) for one in cgroups["hierarchies"]]
        resources = linux.get("resources") or {}
        self.properties = table.of_unit(self.slice, self.name, id, resources, self.v2, self.version, user)
        self.properties += self.annotated
        self._check_free()

    def _check_free(self) -> None:
        """The unit's end would be the container's: one that is there is another's. A failed one is only a memory."""
        try:
            path = self.bus.call(f"ask systemd for the unit {self.name}", "GetUnit", "s", (self.name,))[0]
        except dbus.Refused as error:
            if error.name == NO_UNIT:
                return
            raise
        state = self.bus.get(path, f"{dbus.SYSTEMD}.Unit", "ActiveState")
        if state not in ("failed", "inactive"):
            raise OcirunError(f"the systemd unit {self.name} is in use: it is {state}", self.pointer)

    def start(self, pid: int, intent: "Intent") -> None:
        """Make the unit, with process ``pid`` in it, and the cgroups that systemd leaves to us.

        An intent that names another's unit is changed, so that the clean-up leaves it alone.
        """
        properties = self.properties
        if not self.name.endswith(".slice"):
            properties = [("PIDs", ("au", [pid])), *properties]
        try:
            self._start(properties)
        except dbus.Refused as error:
            if error.name == EXISTS:
                for entry in intent:
                    entry[1] = tree.NOT_OURS
                self.note.clear()
            raise self._worded(error) from None
        found = self.bus.get(units.object_path(self.name), interface(self.name), "ControlGroup")
        if found != self.path:
            raise OcirunError(f"systemd gave the unit {self.name} the cgroup {found}, not {self.path}", self.pointer)
        tree.make([entry for entry in intent if not posix.access(str(entry[0]), posix.F_OK)])

    def fill(
        self, intent: "Intent", writes: "list[Write]", device_filter: "Filter | None", tolerate: bool
    ) -> list[OcirunError]:
        """Write every limit to its file, as systemd has written what it made of them. Returns what to warn about."""
        return apply.fill(self.places, intent, exact(writes), device_filter, {}, tolerate)

    def _start(self, properties: "list[Property]") -> None:
        words = f"start the systemd unit {self.name}"
        body: tuple[Any, ...] = (self.name, "fail", properties, [])
        self.bus.subscribe("JobRemoved")
        try:
            job = self.bus.call(words, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)[0]
        except dbus.Refused as error:
            if error.name != EXISTS:
                raise
            reset(self.bus, self.name)  # a failed one of the same name
            job = self.bus.call(words, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)[0]
        result = finished(self.bus, job)
        if result != "done":
            remedy = f"journalctl{' --user' if self.note['user'] else ''} -u {self.name} may tell more"
            raise OcirunError(f"{words}: {result or f'not within {JOB_LIMIT:g} seconds'}; {remedy}", self.pointer)

    def _worded(self, error: "dbus.Refused") -> OcirunError:
        """With the place of the property that systemd names. It does not name one whose type is wrong."""
        names = [name for name, _ in self.annotated]
        named = [name for name in names if name in error.text.replace(",", " ").split()]
        if not named and error.name.startswith(("System.Error.", "org.freedesktop.DBus.Error.InvalidArgs")):
            named = names
        if not named:
            return OcirunError(error.message, self.pointer)
        place = annotations.pointer(named[0]) if len(named) == 1 else "/annotations"
        return OcirunError(f"{error.message}; a property's type may be another: see org.freedesktop.systemd1(5)", place)

    def close(self) -> None:
        self.bus.close()


def is_users(in_user_namespace: bool) -> bool:
    """Whether the caller's systemd is a user's own. Root of a user namespace has the system's where process 1 is of that too."""
    if posix.geteuid() or not in_user_namespace:
        return bool(posix.geteuid())
    try:
        return posix.stat("/proc/1/ns/user").st_ino != posix.stat("/proc/self/ns/user").st_ino
    except OSError:
        return True


def exact(writes: "list[Write]") -> "list[Write]":
    """What can be written behind systemd. It has made the cgroup idle by then, and the weight of an idle one is locked."""
    idle = any(file == "cpu.idle" and value.strip() == "1" for _, file, value, _, _ in writes)
    return [one for one in writes if not (idle and one[1] == "cpu.weight")]


def interface(unit: str) -> str:
    return f"{dbus.SYSTEMD}.{'Slice' if unit.endswith('.slice') else 'Scope'}"


def version(bus: "Connection") -> int:
    """Such as 252, of "252.39-1~deb12u1" or "v252"."""
    text = str(bus.get(dbus.PATH, dbus.MANAGER, "Version")).lstrip("v")
    digits = text[: next((at for at, one in enumerate(text) if not one.isdecimal()), len(text))]
    return int(digits or 0)


def root_of(bus: "Connection") -> str:
    """The cgroup below which this systemd makes its own: "", or "/user.slice/user-1000.slice/user@1000.service"."""
    return str(bus.get(dbus.PATH, dbus.MANAGER, "ControlGroup")).rstrip("/").removesuffix("/init.scope")


def finished(bus: "Connection", job: str) -> str:
    """How a job ended: "done", or the word for its failure; "" when it has not in time."""
    body = bus.signal("JobRemoved", lambda body: len(body) == 4 and body[1] == job, JOB_LIMIT)
    return str(body[3]) if body else ""


def reset(bus: "Connection", unit: str) -> None:
    """Let systemd forget that a unit failed."""
    try:
        bus.call(f"reset the systemd unit {unit}", "ResetFailedUnit", "s", (unit,))
    except dbus.Refused:
        pass  # it is not loaded, or not failed


def remove(note: "Note", intent: "Intent", warn: "Callable[[str], None]") -> None:
    """Stop the unit, whose processes are the container's, and wait until it is gone. Twice is no error.

    Without a bus, systemd drops the unit by itself when its cgroup is empty: a warning says so.
    """
    from runtime.cgroups import members

    members.kill_all(intent)
    unit = note["unit"]
    try:
        bus = dbus.connect(note["user"], note["address"])
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


def stands_outside(note: "Note") -> bool:
    """Whether the caller is a user outside of his own systemd's cgroups, as in a login session: he may move nobody into them."""
    return note["user"] and not tree.read("/proc/self/cgroup").decode().startswith(f"0::{note['below']}/")


def admit(note: "Note", pid: int) -> None:
    """Let systemd bring a process of such a caller's into the unit."""
    bus = dbus.connect(True, note["address"])
    try:
        words = f"bring the process into the systemd unit {note['unit']}"
        bus.call(words, "AttachProcessesToUnit", "ssau", (note["unit"], "", [pid]))
    finally:
        bus.close()


class Change:
    """Properties of a container's unit, changed; `undo` gives it those that it had."""

    def __init__(self, note: "Note", intent: "Intent", places: "list[Place]") -> None:
        self.note = note
        self.unit: str = note["unit"]
        self.bus = dbus.connect(note["user"], note["address"])
        self.version = version(self.bus)
        self.v2 = all(hierarchy["version"] == 2 for _, _, hierarchy in places)
        self.intent = intent
        self.before: list[Property] = []

    def make(self, resources: "dict[str, Any]") -> None:
        """Set what ``resources`` names, and wait until systemd has written it."""
        properties = table.properties(resources, self.v2, self.version, self.note["user"])
        if not properties:
            return
        had = self.bus.get_all(units.object_path(self.unit), interface(self.unit))
        self.before = former(properties, had)
        self._set(properties)

    def undo(self) -> None:
        if self.before:
            before, self.before = self.before, []
            self._set(before)

    def _set(self, properties: "list[Property]") -> None:
        """On v1, systemd denies every device before it allows the right ones: nobody may see that."""
        stopped = not self.v2 and bool(freezer.place(self.intent)) and not freezer.frozen(self.intent)
        if stopped:
            freezer.freeze(self.intent)
        try:
            words = f"set properties of the systemd unit {self.unit}"
            self.bus.call(words, "SetUnitProperties", "sba(sv)", (self.unit, True, properties))
            # It writes cgroup files after it has answered, and before it takes the next call.
            self.bus.get(dbus.PATH, dbus.MANAGER, "Version")
        finally:
            if stopped:
                freezer.thaw(self.intent)

    def close(self) -> None:
        self.bus.close()


def former(properties: "list[Property]", had: "dict[str, tuple[str, Any]]") -> "list[Property]":
    """What sets the properties named by ``properties`` back to what they were, each once; lists are emptied first. Pure."""
    found: list[Property] = []
    for name in dict.fromkeys(name for name, _ in properties):
        if name not in had:
            continue
        signature, value = had[name]
        if signature.startswith("a("):
            found.append((name, (signature, [])))
        if value or not signature.startswith("a("):
            found.append((name, (signature, value)))
    return found
