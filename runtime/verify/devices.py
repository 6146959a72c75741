"""The nodes of /dev and the cgroup's device rules."""

import posix

from runtime.cgroups import devices as rules
from runtime.cgroups import resources
from runtime.errors import OcirunError
from runtime.files import clean, read
from runtime.kernel import S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT
from runtime.plan import devices as plan

from .check import Check, equal, gone, judge, unknown, words
from .container import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.cgroups.setting import Setting
    from runtime.shapes import Location

    from .container import Container

KINDS = {S_IFCHR: "c", S_IFBLK: "b", S_IFIFO: "p"}
RUNTIMES = ("c 5:1", "c 10:200")  # the default devices on which runtimes differ: the console, and tun
Owner = tuple[int, int]


def checks(container: "Container") -> "Iterator[Check]":
    """The listed devices, and the default ones that the list does not replace."""
    listed = container.spec["linux"].get("devices", ())
    if not container.own_mounts:
        return
    if not plan.has_own_dev(container.spec):
        for index, entry in enumerate(listed):
            reason = "/dev is a bind mount, in which runtimes make nothing"
            yield unknown(f"/linux/devices/{index}", f"device {entry['path']}", "", reason)
        return
    paths = {clean(entry["path"]) for entry in listed}
    # crun gives a node that is a standard stream to the container's user, and no config says whose it is.
    root = None if container.rows is None else (0, 0)
    for path, major, minor in plan.DEFAULTS:
        if path not in paths:
            yield _node(container, "/linux/devices", path, ("c", major, minor), plan.DEFAULT_MODE, root)
    for index, entry in enumerate(listed):
        path, kind = entry["path"], KINDS[plan.TYPES[entry["type"]]]
        mode = entry.get("fileMode")
        mode = plan.DEFAULT_MODE if mode is None else mode & 0o7777
        owner = entry.get("uid") or 0, entry.get("gid") or 0
        number = (kind, entry.get("major", 0), entry.get("minor", 0))
        if clean(path) != plan.PTMX:
            yield _node(container, f"/linux/devices/{index}", path, number, mode, owner)


def _node(
    container: "Container", pointer: str, path: str, number: "tuple[str, int, int]", mode: int, owner: "Owner | None"
) -> Check:
    """A node as "c 1:3 mode 0666 owner 0:0". In a user namespace it is the host's, with the host's mode and owner.

    ``owner``: None if any will do.
    """
    what = f"device {path}"
    bound = container.new_user_namespace or container.facts["in_user_namespace"]
    expected = _text(*number, mode, owner, bound)
    try:
        with container.tree.open(path, follow=False) as node:
            status = node.status
    except (FileNotFoundError, NotADirectoryError):
        return gone(pointer, what, expected)
    except OSError as error:
        return unknown(pointer, what, expected, words(error))
    kind = KINDS.get(status.st_mode & S_IFMT)
    if kind is None:
        return judge(pointer, what, expected, "not a device", False)
    major, minor = posix.major(status.st_rdev), posix.minor(status.st_rdev)
    if owner:
        ids = outside(owner[0], container.uids), outside(owner[1], container.gids)
        present = status.st_uid, status.st_gid
        owner = owner if ids == present else present
    return equal(pointer, what, expected, _text(kind, major, minor, status.st_mode & 0o7777, owner, bound))


def _text(kind: str, major: int, minor: int, mode: int, owner: "Owner | None", bound: bool) -> str:
    number = kind if kind == "p" else f"{kind} {major}:{minor}"
    whose = f" owner {owner[0]}:{owner[1]}" if owner else ""
    return number if bound else f"{number} mode {mode:04o}{whose}"


def rule_checks(container: "Container", locations: "list[Location]") -> "Iterator[Check]":
    """devices.list of v1, line by line; on v2 whether a program filters devices at all."""
    given = container.resources.get("devices") or []
    if not given and not container.facts["privileged"]:
        return  # an ordinary user gets the default ones only where he may set them
    location = resources.controllers(locations).get("devices")
    try:
        if location is not None:
            yield from _list(container, rules.settings(given), location["path"])
        elif (location := resources.unified(locations)) is not None and not rules.allows_all(given):
            yield _filter(location["path"])
    except OSError as error:
        yield unknown(rules.POINTER, "device rules", "", words(error))
    except OcirunError as error:
        yield unknown(error.pointer or rules.POINTER, "device rules", "", error.message)


def _filter(path: str) -> Check:
    from runtime.shim import has_device_filter

    fd = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        present = has_device_filter(fd)
    finally:
        posix.close(fd)
    return judge(rules.POINTER, f"device filter of {path}", "a program", "a program" if present else "none", present)


def _list(container: "Container", settings: "Sequence[Setting]", path: str) -> "Iterator[Check]":
    ignored = RUNTIMES if container.rows is None else ()
    text = read(f"{path}/devices.list").decode()
    first, *others = settings
    if first.file == "devices.allow":
        actual = text.strip().replace("\n", ", ")
        yield judge(
            rules.POINTER,
            "device rules",
            "a *:* rwm, with exceptions that the kernel does not show",
            actual,
            text[:1] == "a",
        )
        return
    if text[:1] == "a":
        note = "" if container.facts["privileged"] else "an ordinary user cannot set them"
        yield judge(rules.POINTER, "device rules", f"{len(others)} rules", "everything is allowed", False, note)
        return
    present = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in text.splitlines()}
    for setting in others:
        device, _, access = setting.value.rpartition(" ")
        actual = present.pop(device, "")
        same = set(actual) == set(access) or (not actual and device in ignored and setting.pointer == rules.POINTER)
        yield judge(setting.pointer, f"rule for {device}", access, actual or "denied", same)
    for device, access in present.items():
        yield judge(rules.POINTER, f"rule for {device}", "denied", access, False)
