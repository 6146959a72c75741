"""linux.intelRdt: a container's group in the resctrl file system, made, filled and removed. Imported only for one that asks.

A group is a directory with the files `schemata` and `tasks`; one for monitoring is below `mon_groups` of it. The kernel
gives a new directory its files (Documentation/filesystems/resctrl.rst).
"""

import posix

from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Section = dict[str, Any]
    Groups = dict[str, list[str]]

POINTER = "/linux/intelRdt"
# Directories of the kernel's own at the root of the file system.
RESERVED = ("info", "mon_groups", "mon_data")


def monitored(wanted: "Section") -> bool:
    """enableMonitoring, or one of the two names by which older specs asked for it."""
    return any(wanted.get(name) is True for name in ("enableMonitoring", "enableCMT", "enableMBM"))


def places(wanted: "Section", id: str, mount: str) -> "tuple[str, str]":
    """The directory of the group, and that of its monitoring group or ""."""
    name = wanted.get("closID") or id
    if name in RESERVED:
        raise OcirunError(f"the name {name!r} is one that resctrl keeps for itself", f"{POINTER}/closID")
    group = mount if name == "/" else f"{mount}/{name}"
    return group, f"{group}/mon_groups/{id}" if monitored(wanted) else ""


def is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except (FileNotFoundError, NotADirectoryError):
        return False


def survey(wanted: "Section", id: str, mount: str) -> "Groups":
    """What the container will be in, for its record, before anything is made (config-linux.md#intelrdt).

    ``tasks``: the files that take the pid of each of its processes; ``made``: the directories that `delete` removes, those
    which are not there yet. A group that the config names is never removed: others may be in it.
    """
    group, monitor = places(wanted, id, mount)
    tasks = [f"{path}/tasks" for path in (group, monitor) if path]
    candidates = (monitor, "" if wanted.get("closID") else group)
    return {"tasks": tasks, "made": [path for path in candidates if path and not is_directory(path)]}


def lines(wanted: "Section", names: "tuple[str, ...]") -> "list[tuple[str, str]]":
    """(line of `schemata`, pointer) in the order in which they are written."""
    found = [(wanted[name], f"{POINTER}/{name}") for name in names if wanted.get(name)]
    return found + [(line, f"{POINTER}/schemata/{i}") for i, line in enumerate(wanted.get("schemata") or ())]


def parse(text: str) -> "dict[str, dict[str, str]]":
    """`schemata` as resource → domain → value; values are compared as the kernel prints them, but for leading zeros."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        resource, colon, rest = line.strip().partition(":")
        for item in rest.split(";") if colon else ():
            domain, _, value = item.partition("=")
            found.setdefault(resource.strip(), {})[domain.strip()] = value.strip().lower().lstrip("0")
    return found


def read(path: str) -> str:
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = b""
        while piece := posix.read(descriptor, 1 << 16):
            data += piece
        return data.decode(errors="replace")
    finally:
        posix.close(descriptor)


def compare(wanted: "Section", group: str) -> None:
    """OcirunError where an existing group has another share than l3CacheSchema and memBwSchema say."""
    asked = [(wanted[name], f"{POINTER}/{name}") for name in ("l3CacheSchema", "memBwSchema") if wanted.get(name)]
    if not asked:
        return
    try:
        there = parse(read(f"{group}/schemata"))
    except OSError as error:
        raise system_failure(f"read {group}/schemata", error, POINTER) from None
    for line, pointer in asked:
        for resource, domains in parse(line).items():
            for domain, value in domains.items():
                actual = there.get(resource, {}).get(domain)
                if actual != value:
                    raise OcirunError(
                        f"{line!r} differs from the group {group}, which has {resource}:{domain}={actual or 'nothing'}",
                        pointer,
                    )


def reason(mount: str) -> str:
    """What the kernel says about the last failure, in words."""
    try:
        said = read(f"{mount}/info/last_cmd_status").strip()
    except OSError:
        return ""
    return f" ({said})" if said and said != "ok" else ""


def write_schemata(wanted: "Section", group: str, mount: str) -> None:
    for line, pointer in lines(wanted, ("l3CacheSchema", "memBwSchema")):
        try:
            write_line(line, group)
        except OSError as error:
            failure = system_failure(f"write {line!r} to {group}/schemata", error, pointer)
            failure.message += reason(mount)
            raise failure from None


def write_line(line: str, group: str) -> None:
    descriptor = posix.open(f"{group}/schemata", posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, f"{line}\n".encode())
    finally:
        posix.close(descriptor)


def change(schemas: "Section", group: str, mount: str) -> "list[str]":
    """Write l3CacheSchema and memBwSchema of a group that is in use; returns the lines that would undo it.

    OcirunError for the first that is refused; then the group is as before.
    """
    try:
        there = parse_lines(read(f"{group}/schemata"))
    except OSError as error:
        raise system_failure(f"read {group}/schemata", error, POINTER) from None
    named = [line.partition(":")[0].strip() for line, _ in lines(schemas, ("l3CacheSchema", "memBwSchema"))]
    undo = [there[name] for name in named if name in there]
    try:
        write_schemata(schemas, group, mount)
    except OcirunError:
        restore(undo, group)
        raise
    return undo


def parse_lines(text: str) -> "dict[str, str]":
    """`schemata` as resource → its line, as it can be written back."""
    stripped = [line.strip() for line in text.splitlines()]
    return {line.partition(":")[0].strip(): line for line in stripped if ":" in line}


def restore(undo: "list[str]", group: str) -> None:
    """Undo what `change` did, as far as the kernel lets it."""
    for line in undo:
        try:
            write_line(line, group)
        except OSError:
            continue


def make_directory(path: str, mount: str, pointer: str) -> None:
    try:
        posix.mkdir(path, 0o755)
    except FileExistsError:
        pass  # somebody was faster, or a group that the config names
    except OSError as error:
        failure = system_failure(f"make the group {path}", error, pointer)
        failure.message += reason(mount)
        raise failure from None


def make(wanted: "Section", id: str, mount: str) -> None:
    """Make the group, or see that an existing one is what the config says; nobody is in it yet."""
    group, monitor = places(wanted, id, mount)
    pointer = f"{POINTER}/closID" if wanted.get("closID") else POINTER
    if is_directory(group):
        if wanted.get("closID"):
            compare(wanted, group)
    elif wanted.get("closID") and not lines(wanted, ("l3CacheSchema", "memBwSchema")):
        raise OcirunError(f"there is no group {group}, and no schema to make one with", pointer)
    else:
        make_directory(group, mount, pointer)
    write_schemata(wanted, group, mount)
    if monitor:
        make_directory(monitor, mount, f"{POINTER}/enableMonitoring")


def remove(made: "list[str]") -> None:
    """Remove what `make` made; the kernel gives processes that are left in it back to the default group."""
    for path in made:
        try:
            posix.rmdir(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise system_failure(f"remove {path}", error, POINTER) from None
