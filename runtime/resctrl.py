"""linux.intelRdt: a container's group in the resctrl file system, made, configured and removed. Imported only for a config with it.

A group is a directory with the files `schemata` and `tasks`; its monitoring groups are below `mon_groups`. The kernel
fills a new directory (Documentation/filesystems/resctrl.rst).
"""

import posix

from runtime import files
from runtime.errors import OcirunError, system_failure
from runtime.kernel import S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import LinuxIntelRdt
    from runtime.shapes import ResctrlRow

POINTER = "/linux/intelRdt"
# The kernel's own directories at the root of the file system.
RESERVED = ("info", "mon_groups", "mon_data")
# The last two are from older specs: the schema and its types do not have them.
MONITORING = ("enableMonitoring", "enableCMT", "enableMBM")


def monitored(wanted: "LinuxIntelRdt") -> bool:
    return any(wanted.get(name) is True for name in MONITORING)


def directories(wanted: "LinuxIntelRdt", id: str, mount: str) -> "tuple[str, str]":
    """The directories of the group and of its monitoring group ("": none)."""
    name = wanted.get("closID") or id
    if name in RESERVED:
        raise OcirunError(f"the name {name!r} is reserved by resctrl", f"{POINTER}/closID")
    group = mount if name == "/" else f"{mount}/{name}"
    return group, f"{group}/mon_groups/{id}" if monitored(wanted) else ""


def is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & S_IFMT == S_IFDIR
    except (FileNotFoundError, NotADirectoryError):
        return False


def survey(wanted: "LinuxIntelRdt", id: str, mount: str) -> "ResctrlRow":
    """The groups that the container will be in, for its record, before anything is made (config-linux.md#intelrdt).

    ``made``: the directories that do not exist yet. A group that the config names is never removed: it may have other
    members.
    """
    group, monitor = directories(wanted, id, mount)
    tasks = [f"{path}/tasks" for path in (group, monitor) if path]
    candidates = (monitor, "" if wanted.get("closID") else group)
    return {"tasks": tasks, "made": [path for path in candidates if path and not is_directory(path)]}


def shares(wanted: "LinuxIntelRdt") -> "list[tuple[str, str]]":
    """(line of `schemata`, pointer) of l3CacheSchema and memBwSchema."""
    given = (("l3CacheSchema", wanted.get("l3CacheSchema")), ("memBwSchema", wanted.get("memBwSchema")))
    return [(line, f"{POINTER}/{name}") for name, line in given if line]


def lines(wanted: "LinuxIntelRdt") -> "list[tuple[str, str]]":
    """(line of `schemata`, pointer) of all writes, in order."""
    schemata = wanted.get("schemata") or ()
    return shares(wanted) + [(line, f"{POINTER}/schemata/{index}") for index, line in enumerate(schemata)]


def parse(text: str) -> "dict[str, dict[str, str]]":
    """`schemata` as resource → domain → value. Values are as the kernel prints them, without leading zeros."""
    result: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        resource, colon, rest = line.strip().partition(":")
        for item in rest.split(";") if colon else ():
            domain, _, value = item.partition("=")
            result.setdefault(resource.strip(), {})[domain.strip()] = value.strip().lower().lstrip("0")
    return result


def read_schemata(group: str) -> str:
    """The lines of a group as the kernel prints them. Raises OcirunError."""
    try:
        return files.read(f"{group}/schemata").decode(errors="replace")
    except OSError as error:
        raise system_failure(f"read {group}/schemata", error, POINTER) from None


def compare(wanted: "LinuxIntelRdt", group: str) -> None:
    """OcirunError if an existing group has other shares than l3CacheSchema and memBwSchema ask for."""
    asked = shares(wanted)
    if not asked:
        return
    present = parse(read_schemata(group))
    for line, pointer in asked:
        for resource, domains in parse(line).items():
            for domain, value in domains.items():
                actual = present.get(resource, {}).get(domain)
                if actual != value:
                    raise OcirunError(
                        f"{line!r} differs from the group {group}, which has {resource}:{domain}={actual or 'nothing'}",
                        pointer,
                    )


def reason(mount: str) -> str:
    """The kernel's explanation of the last failure, as the end of a message, or ""."""
    status = files.read_or_empty(f"{mount}/info/last_cmd_status").decode(errors="replace").strip()
    return f" ({status})" if status and status != "ok" else ""


def write_schemata(wanted: "LinuxIntelRdt", group: str, mount: str) -> None:
    for line, pointer in lines(wanted):
        try:
            write_line(line, group)
        except OSError as error:
            failure = system_failure(f"write {line!r} to {group}/schemata", error, pointer)
            failure.message += reason(mount)
            raise failure from None


def write_line(line: str, group: str) -> None:
    files.write(f"{group}/schemata", f"{line}\n".encode())


def change(schemas: "LinuxIntelRdt", group: str, mount: str) -> "list[str]":
    """Write l3CacheSchema and memBwSchema of a group in use. Returns the lines that undo it.

    OcirunError for the first line that is refused; then the group is as before.
    """
    present = parse_lines(read_schemata(group))
    resources = [line.partition(":")[0].strip() for line, _ in lines(schemas)]
    undo = [present[resource] for resource in resources if resource in present]
    try:
        write_schemata(schemas, group, mount)
    except OcirunError:
        restore(undo, group)
        raise
    return undo


def parse_lines(text: str) -> "dict[str, str]":
    """`schemata` as resource → line, as it can be written back."""
    stripped = [line.strip() for line in text.splitlines()]
    return {line.partition(":")[0].strip(): line for line in stripped if ":" in line}


def restore(undo: "list[str]", group: str) -> None:
    """Undo `change`, as far as the kernel allows."""
    for line in undo:
        try:
            write_line(line, group)
        except OSError:
            continue


def make_directory(path: str, mount: str, pointer: str) -> None:
    try:
        posix.mkdir(path, 0o755)
    except FileExistsError:
        pass  # another process was faster, or the config names an existing group
    except OSError as error:
        failure = system_failure(f"make the group {path}", error, pointer)
        failure.message += reason(mount)
        raise failure from None


def make(wanted: "LinuxIntelRdt", id: str, mount: str) -> None:
    """Make the group, or check that an existing one matches the config."""
    group, monitor = directories(wanted, id, mount)
    pointer = f"{POINTER}/closID" if wanted.get("closID") else POINTER
    if is_directory(group):
        if wanted.get("closID"):
            compare(wanted, group)
    elif wanted.get("closID") and not lines(wanted):
        raise OcirunError(f"there is no group {group}, and no schema to make one with", pointer)
    else:
        make_directory(group, mount, pointer)
    write_schemata(wanted, group, mount)
    if monitor:
        make_directory(monitor, mount, f"{POINTER}/enableMonitoring")


def remove(made: "list[str]") -> None:
    """Remove the directories. The kernel moves the processes of a removed group to the default one."""
    for path in made:
        try:
            posix.rmdir(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise system_failure(f"remove {path}", error, POINTER) from None
