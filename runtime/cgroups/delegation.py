"""A v2 cgroup that the container may divide itself: its owner, and the cgroup below it that init has moved to. Cold."""

import errno
import posix

from runtime import files
from runtime.cgroups import layout
from runtime.cgroups.intent import POINTER, unified_directory
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Linux, Mount
    from runtime.cgroups.intent import Intent
    from runtime.host.cgroups import Hierarchy
    from runtime.shapes import Location

DELEGATE = "/sys/kernel/cgroup/delegate"
# Where that file is absent (config-linux.md#cgroup-ownership).
FILES = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def asked(linux: "Linux", mounts: "list[Mount]", locations: "list[Location]") -> bool:
    """Whether the container's cgroup is to belong to its user: pure v2, a new cgroup namespace and a writable cgroup mount."""
    if len(locations) != 1 or locations[0]["hierarchy"]["version"] != 2:
        return False
    namespaces = linux.get("namespaces") or ()
    if not any(namespace["type"] == "cgroup" and not namespace.get("path") for namespace in namespaces):
        return False
    return any(
        mount.get("source") == "cgroup"
        and (mount["destination"].rstrip("/") or "/") == "/sys/fs/cgroup"
        and "ro" not in (mount.get("options") or ())
        for mount in mounts
    )


def give(intent: "Intent", uid: int, pid: int) -> OcirunError | None:
    """Make user ``uid`` of process ``pid``'s user namespace the owner of the container's cgroup.

    Returns what to warn about: that the caller may not. Changes the directory, and the files that the kernel lists for
    delegation: the limits stay the caller's. An id that is not mapped gets nothing.
    """
    directory, owner = unified_directory(intent), _outside(files.read_or_empty(f"/proc/{pid}/uid_map"), uid)
    if directory is None or owner is None or posix.stat(directory).st_uid == owner:
        return None
    names = files.read_or_empty(DELEGATE).decode().split() or FILES
    for path in (directory, *(f"{directory}/{name}" for name in names)):
        try:
            posix.chown(path, owner, -1, follow_symlinks=False)
        except FileNotFoundError:
            continue  # a file of a controller that is not enabled here
        except OSError as error:
            failure = system_failure(f"give {path} to user {owner}, who is {uid} in the container", error, POINTER)
            if error.errno not in (errno.EPERM, errno.EACCES, errno.EINVAL, errno.EROFS):
                raise failure from None
            return failure
    return None


def _outside(uid_map: bytes, uid: int) -> int | None:
    """The caller's id for a user of a user namespace (user_namespaces(7)); None where it is not mapped."""
    for line in uid_map.split(b"\n"):
        if line:
            inside, outside, length = map(int, line.split())
            if inside <= uid < inside + length:
                return outside + uid - inside
    return None


def home(path: str, own: str, hierarchies: "Sequence[Hierarchy]") -> str:
    """The directory of an init that is in v2 cgroup ``own``, if that is below the recorded ``path``; otherwise ``path``.

    systemd, Docker and others move themselves to a cgroup below and divide theirs, which may have no processes then (EBUSY).
    """
    for hierarchy in hierarchies:
        if hierarchy["version"] == 2:
            directory = hierarchy["mountpoint"].rstrip("/") + layout.below_mount(own, hierarchy["root"])
            return directory if directory.startswith(f"{path}/") else path
    return path
