"""The machine as a plan needs to know it: one dict, read once for each container. Decides nothing. Hot."""

import posix

from runtime.host import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Spec = dict[str, Any]
    Facts = dict[str, Any]

CAP_SYS_ADMIN = 1 << 21
WHOLE_MAP = [b"0", b"0", b"4294967295"]


def read_file(path: str) -> bytes:
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 1 << 16)
    finally:
        posix.close(descriptor)


def status_mask(status: bytes, field: bytes) -> int:
    """A capability set of /proc/self/status as bits."""
    start = status.index(field) + len(field)
    return int(status[start : status.index(b"\n", start)], 16)


def in_user_namespace() -> bool:
    """Whether the caller stands in a user namespace other than the first; its uid says nothing about that."""
    try:
        return read_file("/proc/self/uid_map").split() != WHOLE_MAP
    except FileNotFoundError:
        return False  # a kernel without user namespaces


def own_gid_map() -> "list[dict[str, int]]":
    """The groups of the caller's user namespace, in the form of linux.gidMappings."""
    rows = [list(map(int, line.split())) for line in read_file("/proc/self/gid_map").splitlines()]
    return [{"containerID": first, "hostID": host, "size": size} for first, host, size in rows]


def absolute(path: str, base: str) -> str:
    """``path`` from ``base``, without empty, ``.`` and ``..`` parts, as written: symbolic links are not followed."""
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{base}/{path}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def read(spec: "Spec", bundle: str) -> "Facts":
    """What `runtime.plan.plan` takes. ``bundle`` is absolute.

    bundle, rootfs (absolute paths); privileged (CAP_SYS_ADMIN over the first user namespace); in_user_namespace (the
    caller); capabilities (bits that the container can be granted); new_user_namespace (the config makes or joins
    one); uid_map, gid_map (its mappings); own_gid_map (of the caller's user namespace, where the container stays in one);
    deny_setgroups; cgroup (`runtime.host.cgroups`).
    """
    status = read_file("/proc/self/status")
    inside = in_user_namespace()
    linux = spec.get("linux") or {}
    user = any(entry["type"] == "user" for entry in linux.get("namespaces") or ())
    effective = status_mask(status, b"CapEff:\t")
    privileged = bool(effective & CAP_SYS_ADMIN) and not inside
    return {
        "bundle": bundle,
        "rootfs": absolute(spec["root"]["path"], bundle),
        "privileged": privileged,
        "in_user_namespace": inside,
        "capabilities": ~0 if user else status_mask(status, b"CapBnd:\t") & status_mask(status, b"CapPrm:\t"),
        "new_user_namespace": user,
        "uid_map": linux.get("uidMappings") or [],
        "gid_map": linux.get("gidMappings") or [],
        "own_gid_map": own_gid_map() if inside and not user else [],
        "deny_setgroups": user and not effective & CAP_SYS_ADMIN and len(linux.get("gidMappings") or ()) <= 1,
        "cgroup": cgroups.read(),
    }
