"""Limits of a running container changed: all of them, or, where the kernel refuses one, none.

Files are written in the given order, but one that the kernel calls invalid (EINVAL) is tried again after the others: memory
before memory and swap when the limit falls and behind it when it rises, likewise quota, period and burst. When one is
refused for good, those that were written get back what they held before.
"""

import errno
import posix

from runtime.cgroups import apply, devices, tree
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from runtime.cgroups.layout import Place
    from runtime.cgroups.resources import Write
    from runtime.cgroups.tree import Intent
    from runtime.host.cgroups import CgroupFacts

    # What an exception of the v1 devices controller names ("c 1:3") -> its access letters
    Exceptions = dict[str, str]

_EVERYTHING = "a"  # devices.list of a cgroup that allows all but its exceptions, which it does not show


def places(intent: "Intent", facts: "CgroupFacts") -> "list[Place]":
    """Where the container's cgroups are, as `resources.writes` wants it, by the intent's index. OcirunError when it has none.

    A place that the container is not in has no controllers.
    """
    found: list[Place] = []
    for path, made, version in intent:
        for hierarchy in facts["hierarchies"]:
            base = hierarchy["mountpoint"].rstrip("/")
            if version == hierarchy["version"] and str(path).startswith(base + "/"):
                usable = hierarchy["controllers"] if made != tree.NOT_OURS else ()
                found.append((str(path), base, {**hierarchy, "controllers": usable}))
                break
    if len(found) != len(intent) or not found:
        raise OcirunError("the container has no cgroups of its own, so its limits cannot be changed")
    return found


def change(places: "list[Place]", intent: "Intent", writes: "list[Write]") -> "list[tuple[str, str]]":
    """Write all, or raise OcirunError for the first that is refused and leave everything as it was.

    Returns what would undo it: (path, value), last first.
    """
    apply.enable(places, intent, writes)
    pending = [one for one in (_present(intent, each) for each in writes) if one]
    undo: list[tuple[str, str]] = []
    while pending:
        again: list[tuple[Write, OcirunError]] = []
        for one in pending:
            path = f"{intent[one[0]][0]}/{one[1]}"
            before = tree.read(path).decode(errors="replace")
            try:
                apply.write(intent, [one], {})
            except OcirunError as error:
                again.append((one, error))
                if error.errno != errno.EINVAL:
                    restore(undo)
                    raise
                continue
            undo.insert(0, (path, former(one[1], one[2], before)))
        if len(again) == len(pending):
            restore(undo)
            raise again[0][1]
        pending = [one for one, _ in again]
    return undo


def _present(intent: "Intent", one: "Write") -> "Write | None":
    """The write, or the other way to say it where its file is absent; None where nothing needs to be said."""
    index, file, _, pointer, otherwise = one
    if otherwise is None or posix.access(f"{intent[index][0]}/{file}", posix.F_OK):
        return one
    return (index, *otherwise, pointer, None) if otherwise else None


def restore(undo: "Sequence[tuple[str, str]]") -> None:
    """Undo what `change` did, as far as the kernel lets it, in the order in which that works."""
    pending = list(undo)
    while pending:
        again = []
        for path, value in pending:
            try:
                tree.write(path, value.encode())
            except OSError:
                again.append((path, value))
        if len(again) == len(pending):
            return
        pending = again


def former(file: str, value: str, text: str) -> str:
    """What to write to a cgroup file so that it says again what it said in ``text``, before ``value`` was written. Pure."""
    key = value.split(" ")[0]
    lines = text.splitlines()
    if " " in value:  # a line of several, by its first word: a disk, an interface, an rdma device
        for line in lines:
            if line.split(" ")[0] == key and " " in line:
                return line
    if ":" in key:  # a disk without a line has no limit
        if file == "io.max":
            return f"{key} rbps=max wbps=max riops=max wiops=max"
        return f"{key} {'default' if file.startswith('io.') else 0}"
    if lines and lines[0].startswith(("default ", "oom_kill_disable ")):
        return lines[0].split(" ")[1]
    return text.strip() or "\n"  # an empty cpuset is set by an empty line


# The v1 devices controller


def change_devices(directory: str, rules: "list[dict[str, Any]]", pointer: str) -> None:
    """Replace the device rules of a v1 cgroup, without a moment in which a device that stays allowed is refused.

    A refusal (a parent forbids a device) leaves the old rules.
    """
    before = tree.read(f"{directory}/devices.list").decode()
    start, rest = devices.normal(rules)
    wanted = devices.computed(start, rest)
    if before.startswith(_EVERYTHING) or wanted[0][0] == "devices.allow":
        steps = [(file, value) for file, value, _ in wanted]
    else:
        steps = transition(_exceptions(before.splitlines()), _exceptions([value for _, value, _ in wanted[1:]]))
    try:
        for file, value in steps:
            tree.write(f"{directory}/{file}", value.encode())
    except OSError as error:
        _restore_devices(directory, before)
        raise apply.explained(f"write {value!r} to {directory}/{file}", error, pointer) from None


def _restore_devices(directory: str, before: str) -> None:
    if before.startswith(_EVERYTHING):
        return  # "a" is written first, and refused only as a whole
    now = tree.read(f"{directory}/devices.list").decode()
    for file, value in transition(_exceptions(now.splitlines()), _exceptions(before.splitlines())):
        try:
            tree.write(f"{directory}/{file}", value.encode())
        except OSError:
            continue


def _exceptions(lines: "Sequence[str]") -> "Exceptions":
    """From lines such as "c 1:3 rwm"."""
    return {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines if line}


def transition(old: "Exceptions", new: "Exceptions") -> list[tuple[str, str]]:
    """(file, value) of the writes from one list of exceptions to another: first what is added, then what goes. Pure."""
    steps = []
    for name, access in new.items():
        if set(access) - set(old.get(name, "")):
            steps.append(("devices.allow", f"{name} {access}"))
    for name, access in old.items():
        gone = "".join(letter for letter in access if letter not in new.get(name, ""))
        if gone:
            steps.append(("devices.deny", f"{name} {gone}"))
    return steps
