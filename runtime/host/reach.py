"""Whether the container's user may execute a file of the container: directories, mode, owner, noexec. Cold, for messages.

Access control lists are not judged: a file that has one counts as allowed. Sources: path_resolution(7), execve(2),
user_namespaces(7).
"""

import posix

from runtime.errors import PROGRAM
from runtime.files import clean
from runtime.host.container_tree import Unknown
from runtime.host.executable import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oci_spec.types import Config, IdMapping, Mount
    from runtime.host.container_tree import Tree

    Fault = tuple[str, str, str]
    """Pointer, message, remedy."""

ACL = "system.posix_acl_access"
READ, EXECUTE = 4, 1
OVERFLOW = 65534  # the id that an id without a mapping has inside


class User:
    """The ids of the container's first process, as the files of the host have them."""

    def __init__(self, spec: "Config") -> None:
        process, linux = spec.get("process", {}), spec.get("linux", {})
        user = process.get("user", {})
        self.uid, self.gid = user.get("uid", 0), user.get("gid", 0)
        namespaces = [entry for entry in linux.get("namespaces", ()) if entry["type"] == "user"]
        self.unknown = any(entry.get("path") for entry in namespaces)
        mapped = bool(namespaces)
        self.host_uid = outside(self.uid, linux.get("uidMappings", []) if mapped else None)
        gids = linux.get("gidMappings", []) if mapped else None
        self.host_gids = {outside(group, gids) for group in (self.gid, *user.get("additionalGids", ()))}
        capabilities = process.get("capabilities", {})
        held = capabilities.get("effective", ()) if self.uid == 0 else capabilities.get("ambient", ())
        self.overrides = "CAP_DAC_OVERRIDE" in held

    def may(self, right: int, status: "posix.stat_result") -> bool:
        """Whether the permission bits give READ or EXECUTE."""
        if status.st_uid == self.host_uid:
            return bool(status.st_mode >> 6 & right)
        if status.st_gid in self.host_gids:
            return bool(status.st_mode >> 3 & right)
        return bool(status.st_mode & right)


def outside(number: int, mappings: "Sequence[IdMapping] | None") -> int:
    """The id that the host has for an id of the container; None: both have the same."""
    if mappings is None:
        return number
    for mapping in mappings:
        if mapping["containerID"] <= number < mapping["containerID"] + mapping["size"]:
            return mapping["hostID"] + number - mapping["containerID"]
    return OVERFLOW


def faults(spec: "Config", tree: "Tree", path: str, is_script: bool) -> "Iterator[Fault]":
    """Why the container's user may not execute the file at a path of the container."""
    reader = Reader(tree)
    try:
        resolved = tree.resolve(path)
        place = reader.locate(path)
    except (OSError, ValueError, Unknown):
        return
    try:
        yield from _noexec(spec, resolved, place)
    finally:
        posix.close(place)
    user = User(spec)
    if user.unknown or user.overrides:
        return
    names = resolved.strip("/").split("/")
    for depth in range(len(names)):
        directory = "/" + "/".join(names[:depth])
        fault = _denied(reader, directory, user, EXECUTE, "search")
        if fault:
            yield fault
            return
    fault = _denied(reader, resolved, user, EXECUTE, "execute") or (
        _denied(reader, resolved, user, READ, "read") if is_script else None
    )
    if fault:
        yield fault


def _denied(reader: Reader, path: str, user: User, right: int, verb: str) -> "Fault | None":
    try:
        place = reader.locate(path)
    except (OSError, ValueError, Unknown):
        return None
    try:
        status = posix.fstat(place)
        if user.may(right, status) or _has_acl(place):
            return None
    finally:
        posix.close(place)
    mode = f"{status.st_mode & 0o7777:04o}"
    message = f"user {user.uid} may not {verb} {path} (mode {mode}, owner {status.st_uid}:{status.st_gid} on the host)"
    remedy = f"chmod a+{'r' if right == READ else 'x'} it, or change its owner"
    return PROGRAM, message, remedy


def _has_acl(place: int) -> bool:
    import os

    try:
        return bool(os.getxattr(f"/proc/self/fd/{place}", ACL))
    except OSError:
        return False


def _noexec(spec: "Config", path: str, place: int) -> "Iterator[Fault]":
    """A mount that forbids the execution of all its files."""
    index, mount = _mount_of(spec.get("mounts", ()), path)
    for option in reversed(mount.get("options", ()) if mount else ()):
        if option in ("noexec", "rnoexec", "defaults"):
            if option != "defaults":
                message = f"{path} lies on {mount['destination'] if mount else ''}, which is mounted {option}"
                yield f"/mounts/{index}/options", message, f"leave {option} out, or move the program"
            return
        if option in ("exec", "rexec"):
            return
    if mount and not {"bind", "rbind"} & set(mount.get("options", ())):
        return
    try:
        if posix.fstatvfs(place).f_flag & posix.ST_NOEXEC:
            source = "it is on a file system that the host has mounted noexec"
            yield PROGRAM, f"{path} cannot be executed: {source}", "remount it with exec, or move the bundle"
    except OSError:
        return


def _mount_of(mounts: "Sequence[Mount]", path: str) -> "tuple[int, Mount | None]":
    """The mount that has a path: the last one on the longest of its parents."""
    found, length, number = None, 0, -1
    for index, mount in enumerate(mounts):
        target = clean(mount["destination"]).rstrip("/")
        if "remount" not in mount.get("options", ()) and f"{path}/".startswith(f"{target}/") and len(target) >= length:
            found, length, number = mount, len(target), index
    return number, found
