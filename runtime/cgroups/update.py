"""The writes of an update: the limits of a running container changed, or none of them where the kernel refuses one.

Files are written in the given order, but one that the kernel calls invalid (EINVAL) is tried again after the others: the
memory limit goes before memory and swap when it falls and after it when it rises, likewise quota, period and burst. When
a write is refused for good, the files that were written get back their former values.
"""

import errno
import posix

from runtime import files
from runtime.cgroups import apply, devices
from runtime.cgroups.intent import NOT_OURS
from runtime.cgroups.setting import Setting
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import ResourcesDevice
    from runtime.cgroups.intent import Intent
    from runtime.cgroups.setting import Write
    from runtime.host.cgroups import CgroupFacts
    from runtime.shapes import Location

    # Device of the v1 devices controller ("c 1:3") -> its access letters
    Exceptions = dict[str, str]

_EVERYTHING = "a"  # devices.list of a cgroup that allows all but its exceptions, which it does not show


def locations(intent: "Intent", facts: "CgroupFacts") -> "list[Location]":
    """Where the container's cgroups are, a location for each row of the intent. OcirunError when it has none.

    A hierarchy in which the container has no cgroup counts as having no controllers.
    """
    result: list[Location] = []
    for row in intent:
        for hierarchy in facts["hierarchies"]:
            base = hierarchy["mountpoint"].rstrip("/")
            if row["version"] == hierarchy["version"] and row["path"].startswith(base + "/"):
                usable = hierarchy["controllers"] if row["made"] != NOT_OURS else ()
                result.append({"path": row["path"], "base": base, "hierarchy": {**hierarchy, "controllers": usable}})
                break
    if len(result) != len(intent) or not result:
        raise OcirunError("the container has no cgroups of its own, so its limits cannot be changed")
    return result


def change(locations: "list[Location]", intent: "Intent", writes: "list[Write]") -> "list[tuple[str, str]]":
    """Write all, or raise OcirunError for the first that is refused and leave everything as it was.

    Returns what would undo it: (path, value), last first.
    """
    apply.enable(locations, intent, writes)
    pending = [write for write in (_present(location, setting) for location, setting in writes) if write]
    undo: list[tuple[str, str]] = []
    while pending:
        again: list[tuple[Write, OcirunError]] = []
        for location, setting in pending:
            path = f"{location['path']}/{setting.file}"
            before = files.read_or_empty(path).decode(errors="replace")
            try:
                apply.write([(location, setting)], {})
            except OcirunError as error:
                again.append(((location, setting), error))
                if error.errno != errno.EINVAL:
                    restore(undo)
                    raise
                continue
            undo.insert(0, (path, former(setting.file, setting.value, before)))
        if len(again) == len(pending):
            restore(undo)
            raise again[0][1]
        pending = [write for write, _ in again]
    return undo


def _present(location: "Location", setting: Setting) -> "Write | None":
    """The write, or its fallback where the file is absent; None where the default is meant and nothing can be written."""
    optional = setting.is_default or setting.fallback
    if not optional or posix.access(f"{location['path']}/{setting.file}", posix.F_OK):
        return location, setting
    return (location, Setting(*setting.fallback, setting.pointer)) if setting.fallback else None


def restore(undo: "Sequence[tuple[str, str]]") -> None:
    """Undo what `change` did, as far as the kernel allows it, in any order that works."""
    pending = list(undo)
    while pending:
        again = []
        for path, value in pending:
            try:
                files.write(path, value.encode())
            except OSError:
                again.append((path, value))
        if len(again) == len(pending):
            return
        pending = again


def former(file: str, value: str, text: str) -> str:
    """What to write to a cgroup file to undo the write of ``value``. ``text`` is its content before that. Pure."""
    key = value.split(" ")[0]
    lines = text.splitlines()
    if " " in value:  # one line of several, found by its first word: a disk, an interface, an rdma device
        for line in lines:
            if line.split(" ")[0] == key and " " in line:
                return line
    if ":" in key:  # a disk without a line had no limit
        if file == "io.max":
            return f"{key} rbps=max wbps=max riops=max wiops=max"
        return f"{key} {'default' if file.startswith('io.') else 0}"
    if lines and lines[0].startswith(("default ", "oom_kill_disable ")):
        return lines[0].split(" ")[1]
    return text.strip() or "\n"  # an empty cpuset is set by an empty line


# The v1 devices controller


def change_devices(directory: str, rules: "list[ResourcesDevice]") -> None:
    """Replace the device rules of a v1 cgroup. A device that stays allowed is never refused in between.

    When the kernel refuses a step (a parent forbids a device), the old rules are put back.
    """
    before = files.read_or_empty(f"{directory}/devices.list").decode()
    start, rest = devices.normal(rules)
    first, *others = devices.computed(start, rest)
    if before.startswith(_EVERYTHING) or first.file == "devices.allow":
        steps = [(setting.file, setting.value) for setting in (first, *others)]
    else:
        steps = transition(_exceptions(before.splitlines()), _exceptions([setting.value for setting in others]))
    try:
        for file, value in steps:
            files.write(f"{directory}/{file}", value.encode())
    except OSError as error:
        _restore_devices(directory, before)
        raise apply.explained(f"write {value!r} to {directory}/{file}", error, devices.POINTER) from None


def _restore_devices(directory: str, before: str) -> None:
    if before.startswith(_EVERYTHING):
        return  # "a" is written first, and refused only as a whole
    now = files.read_or_empty(f"{directory}/devices.list").decode()
    for file, value in transition(_exceptions(now.splitlines()), _exceptions(before.splitlines())):
        try:
            files.write(f"{directory}/{file}", value.encode())
        except OSError:
            continue


def _exceptions(lines: "Sequence[str]") -> "Exceptions":
    """From lines such as "c 1:3 rwm"."""
    return {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines if line}


def transition(old: "Exceptions", new: "Exceptions") -> list[tuple[str, str]]:
    """(file, value) of the writes that turn one list of exceptions into another; additions come first. Pure."""
    steps = []
    for name, access in new.items():
        if set(access) - set(old.get(name, "")):
            steps.append(("devices.allow", f"{name} {access}"))
    for name, access in old.items():
        surplus = "".join(letter for letter in access if letter not in new.get(name, ""))
        if surplus:
            steps.append(("devices.deny", f"{name} {surplus}"))
    return steps
