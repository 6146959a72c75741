"""Rules on the Linux section: namespaces, id mappings, devices, paths, kernel parameters."""

from oci_spec.rules import escape, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config, IdMapping, Linux, Mount

# user_namespaces(7): a map has at most 340 lines.
MAP_LINES = 340

# Properties that become mounts, or properties of mounts.
_MOUNTED = ("devices", "maskedPaths", "readonlyPaths", "rootfsPropagation", "mountLabel")
_IPC_SYSCTLS = frozenset(
    "msgmax msgmnb msgmni msg_next_id sem sem_next_id shmall shmmax shmmni shm_next_id shm_rmid_forced auto_msgmni".split()
)


def namespace_once(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#namespaces: no type is listed twice."""
    seen = set()
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces", ())):
        if entry["type"] in seen:
            yield (
                f"/linux/namespaces/{index}/type",
                "error",
                f"the {entry['type']} namespace is listed twice",
                "leave one out",
            )
        seen.add(entry["type"])


def namespace_path_absolute(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#namespaces: the path of a namespace to join is absolute."""
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces", ())):
        path = entry.get("path")
        if path and path[0] != "/":
            yield f"/linux/namespaces/{index}/path", "error", f"{path!r} is not an absolute path", "begin it with /"


def hostname_own_namespace(spec: "Config") -> "Iterator[Finding]":
    """config.md#hostname: without a uts namespace the host itself would be renamed."""
    for name in ("hostname", "domainname"):
        if spec.get(name) and "uts" not in namespaces(spec):
            message = f"{name} would be set on the host, the container has no uts namespace"
            yield f"/{name}", "error", message, 'add {"type": "uts"} to /linux/namespaces'


def hostname_length(spec: "Config") -> "Iterator[Finding]":
    """config.md#hostname: the kernel accepts names of at most 64 bytes."""
    name: Literal["hostname", "domainname"]
    for name in ("hostname", "domainname"):
        if len(spec.get(name, "").encode()) > 64:
            yield f"/{name}", "error", f"{name} is longer than 64 bytes", "shorten it"


def domainname_once(spec: "Config") -> "Iterator[Finding]":
    """config.md#domainname: the sysctl kernel.domainname, if given too, has the same value."""
    domainname = spec.get("domainname")
    for name, value in spec.get("linux", {}).get("sysctl", {}).items() if domainname else ():
        if name.replace("/", ".") == "kernel.domainname" and value != domainname:
            yield (
                f"/linux/sysctl/{escape(name)}",
                "error",
                f"{name} would replace what /domainname sets",
                "leave one out",
            )


def mounts_own_namespace(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#namespaces: without a mount namespace, mounts would be the host's, so what needs one is refused."""
    if "linux" not in spec or "mount" in namespaces(spec):
        return
    linux = spec["linux"]
    wanted = [
        ("/root/readonly", "a read-only root", spec.get("root", {}).get("readonly")),
        ("/mounts", "mounts", spec.get("mounts")),
        ("/process/terminal", "a terminal", spec.get("process", {}).get("terminal")),
        *((f"/linux/{name}", name, linux.get(name)) for name in _MOUNTED),
    ]
    for pointer, what, value in wanted:
        if value:
            message = f"{what} would take effect in the host's mount namespace, the container has none"
            yield pointer, "error", message, 'add {"type": "mount"} to /linux/namespaces'


def mappings_need_user_namespace(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#user-namespace-mappings: mappings need a user namespace."""
    if "user" not in namespaces(spec):
        for name in ("uidMappings", "gidMappings"):
            if spec.get("linux", {}).get(name):
                message = f"{name} has no meaning without a user namespace"
                yield f"/linux/{name}", "error", message, 'add {"type": "user"} to /linux/namespaces'


def user_namespace_needs_mappings(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#user-namespace-mappings: a new user namespace needs both mappings: without them it has no ids."""
    if namespaces(spec).get("user") == "":
        for name in ("uidMappings", "gidMappings"):
            if not spec["linux"].get(name):
                yield (
                    f"/linux/{name}",
                    "error",
                    f"a new user namespace needs {name}",
                    f"map user and group 0 at least, in linux.{name}",
                )


def mapping_ranges(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#user-namespace-mappings: ranges of ids are not empty, fit into 32 bits and do not overlap."""
    owners: list[tuple[str, Linux | Mount]] = [("/linux", spec.get("linux", {}))]
    owners += [(f"/mounts/{index}", mount) for index, mount in enumerate(spec.get("mounts", ()))]
    for pointer, owner in owners:
        yield from _faulty_ranges(f"{pointer}/uidMappings", owner.get("uidMappings", []))
        yield from _faulty_ranges(f"{pointer}/gidMappings", owner.get("gidMappings", []))


def _faulty_ranges(pointer: str, mappings: "list[IdMapping]") -> "Iterator[Finding]":
    if len(mappings) > MAP_LINES:
        yield (
            pointer,
            "error",
            f"{len(mappings)} mappings are more than the kernel's {MAP_LINES}",
            "join ranges that follow each other",
        )
    for index, mapping in enumerate(mappings):
        size = mapping["size"]
        if size == 0:
            yield f"{pointer}/{index}/size", "error", "a mapping of no ids", "write the number of ids, 1 or more"
        for side in ("containerID", "hostID"):
            first = mapping[side]
            if first + size > 1 << 32:
                yield (
                    f"{pointer}/{index}/size",
                    "error",
                    f"{side} {first} and the size {size} go beyond 32 bits",
                    "write a smaller size",
                )
            for other in mappings[:index] if len(mappings) <= MAP_LINES else ():
                if first < other[side] + other["size"] and other[side] < first + size:
                    message = f"the ids from {first} overlap those of mapping {mappings.index(other)}"
                    yield f"{pointer}/{index}/{side}", "error", message, "begin it after the other range"
                    break


def cgroups_path_inside(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#cgroups-path: the path leads below its starting point, without ".."."""
    path = spec.get("linux", {}).get("cgroupsPath")
    if not path:
        return
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        message = f"{path!r} names the root of the hierarchies, which the host's own processes use"
        yield "/linux/cgroupsPath", "error", message, "write a path below it"
    elif ".." in parts:
        yield "/linux/cgroupsPath", "error", f'{path!r} must not contain ".."', "write the path without it"


def device_numbers(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#devices: every device but a fifo has a major and a minor number."""
    for index, device in enumerate(spec.get("linux", {}).get("devices", ())):
        name: Literal["major", "minor"]
        for name in ("major", "minor"):
            if device["type"] != "p" and name not in device:
                yield (
                    f"/linux/devices/{index}/{name}",
                    "error",
                    f"a device of type {device['type']} needs {name}",
                    f"add {name}: ls -l shows both numbers of the host's device",
                )
            elif device.get(name, 0) < 0:
                yield f"/linux/devices/{index}/{name}", "error", f"{name} is negative", "write 0 or more"


def device_path_absolute(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#devices: a device's path is absolute, inside the container."""
    for index, device in enumerate(spec.get("linux", {}).get("devices", ())):
        if device["path"][:1] != "/":
            yield (
                f"/linux/devices/{index}/path",
                "error",
                f"{device['path']!r} is not an absolute path",
                "begin it with /",
            )


def device_mode(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#devices: fileMode has permission bits only; the file type that Podman adds is ignored."""
    for index, device in enumerate(spec.get("linux", {}).get("devices", ())):
        mode = device.get("fileMode", 0)
        if mode & 0o7000 or (mode > 0o777 and mode & 0o170000 not in (0o010000, 0o020000, 0o060000)):
            pointer = f"/linux/devices/{index}/fileMode"
            digits = str(mode) if mode < 1000 and not str(mode).strip("01234567") else "666"
            message = f"{mode} ({mode:#o}) has more than permission bits"
            yield pointer, "error", message, f"0{digits} is written {int(digits, 8)}"


def device_path_once(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#devices: a path cannot be two different devices."""
    seen: dict[str, tuple[object, ...]] = {}
    for index, device in enumerate(spec.get("linux", {}).get("devices", ())):
        identity = (device["type"], device.get("major"), device.get("minor"))
        if seen.setdefault(device["path"], identity) != identity:
            message = f"{device['path']} is listed before as another device"
            yield f"/linux/devices/{index}/path", "error", message, "leave one out"


def masked_paths_absolute(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#masked-paths: masked and read-only paths are absolute, inside the container."""
    name: Literal["maskedPaths", "readonlyPaths"]
    for name in ("maskedPaths", "readonlyPaths"):
        for index, path in enumerate(spec.get("linux", {}).get(name, ())):
            if path[:1] != "/":
                yield f"/linux/{name}/{index}", "error", f"{path!r} is not an absolute path", "begin it with /"


def sysctl_own_namespace(spec: "Config") -> "Iterator[Finding]":
    """config-linux.md#sysctl: a kernel parameter belongs to one of the container's namespaces."""
    listed = namespaces(spec) if "sysctl" in spec.get("linux", ()) else {}
    for name in spec.get("linux", {}).get("sysctl", ()):
        if not all(part.strip(".") for part in name.split("/")):
            yield (
                f"/linux/sysctl/{escape(name)}",
                "error",
                f"{name!r} is not the name of a kernel parameter",
                "sysctl -a lists the names",
            )
            continue
        needed, message = sysctl_namespace(name.replace("/", "."))
        if needed and needed not in listed:
            message = f"{name} would be set on the host, the container has no {needed} namespace"
        if needed not in listed:
            yield f"/linux/sysctl/{escape(name)}", "error", message, "set it on the host, or leave it out"


def sysctl_namespace(name: str) -> "tuple[str, str]":
    """The namespace that a parameter belongs to; if none, "" and the reason."""
    if name == "kernel.hostname":
        return "", "kernel.hostname is set by /hostname"
    if name.startswith("net."):
        return "network", ""
    if name.startswith("user."):
        return "user", ""
    if name == "kernel.domainname":
        return "uts", ""
    if name.startswith("fs.mqueue.") or (name.startswith("kernel.") and name[7:] in _IPC_SYSCTLS):
        return "ipc", ""
    return "", f"{name} belongs to no namespace, it would be set on the host"


RULES: "tuple[Rule, ...]" = (
    namespace_once,
    namespace_path_absolute,
    hostname_own_namespace,
    hostname_length,
    domainname_once,
    mounts_own_namespace,
    mappings_need_user_namespace,
    user_namespace_needs_mappings,
    mapping_ranges,
    cgroups_path_inside,
    device_numbers,
    device_path_absolute,
    device_mode,
    device_path_once,
    masked_paths_absolute,
    sysctl_own_namespace,
)
