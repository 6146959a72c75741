"""A v2 cgroup that the container may divide itself: its owner, and where its first process has gone below. Cold."""

import errno
import posix

from runtime.cgroups import layout, tree
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from runtime.cgroups.layout import Place
    from runtime.cgroups.tree import Intent
    from runtime.host.cgroups import Hierarchy

DELEGATE = "/sys/kernel/cgroup/delegate"
# Where that file is absent (config-linux.md#cgroup-ownership).
FILES = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def asked(spec: "dict[str, Any]", places: "list[Place]") -> bool:
    """Whether the container's cgroup is to belong to its user: on v2 alone, with a new cgroup namespace and a writable cgroup mount."""
    if len(places) != 1 or places[0][2]["version"] != 2:
        return False
    if not any(one["type"] == "cgroup" and not one.get("path") for one in spec["linux"].get("namespaces") or ()):
        return False
    return any(
        mount.get("source") == "cgroup"
        and (mount["destination"].rstrip("/") or "/") == "/sys/fs/cgroup"
        and "ro" not in (mount.get("options") or ())
        for mount in spec.get("mounts") or ()
    )


def give(intent: "Intent", uid: int, pid: int) -> OcirunError | None:
    """Make user ``uid`` of process ``pid``'s user namespace the owner of the container's cgroup. Returns what to warn about: a caller who may not.

    The directory, and of its files those that the kernel lists: the limits stay the caller's. An id that is not mapped owns nothing.
    """
    path, owner = tree.unified_directory(intent), _outside(tree.read(f"/proc/{pid}/uid_map"), uid)
    if path is None or owner is None or posix.stat(path).st_uid == owner:
        return None
    names = tree.read(DELEGATE).decode().split() or FILES
    for place in (path, *(f"{path}/{name}" for name in names)):
        try:
            posix.chown(place, owner, -1, follow_symlinks=False)
        except FileNotFoundError:
            continue  # of a controller that is not enabled here
        except OSError as error:
            failure = system_failure(
                f"give {place} to user {owner}, who is {uid} in the container", error, layout.POINTER
            )
            if error.errno not in (errno.EPERM, errno.EACCES, errno.EINVAL, errno.EROFS):
                raise failure from None
            return failure
    return None


def _outside(uid_map: bytes, uid: int) -> int | None:
    """The id that a user of a namespace has in ours (user_namespaces(7)); None where it has none."""
    for line in uid_map.split(b"\n"):
        if line:
            inside, outside, length = map(int, line.split())
            if inside <= uid < inside + length:
                return outside + uid - inside
    return None


def home(path: str, own: str, hierarchies: "Sequence[Hierarchy]") -> str:
    """The directory of a first process that is in cgroup ``own`` of v2, when it is below the recorded ``path``; else that.

    systemd, Docker and others move themselves below and divide their cgroup. It may have no processes of its own then (EBUSY).
    """
    for hierarchy in hierarchies:
        if hierarchy["version"] == 2:
            found = hierarchy["mountpoint"].rstrip("/") + layout.below_mount(own, hierarchy["root"])
            return found if found.startswith(f"{path}/") else path
    return path
