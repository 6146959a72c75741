"""The facts about the machine that a plan needs: one dict, read once per container. Decides nothing. Hot."""

import posix

from runtime.files import clean
from runtime.host import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, IdMapping, Linux, LinuxNamespace
    from runtime.shapes import Facts

CAP_SETGID, CAP_SYS_ADMIN = 1 << 6, 1 << 21
KEEP_GROUPS = "run.oci.keep_original_groups"  # crun's annotation, for `podman run --group-add keep-groups`
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
    """Whether the caller is in a user namespace other than the initial one. Its uid does not tell."""
    try:
        return read_file("/proc/self/uid_map").split() != WHOLE_MAP
    except FileNotFoundError:
        return False  # a kernel without user namespaces


def own_map(kind: str, process: "int | str" = "self") -> "list[IdMapping]":
    """The map of the user namespace of the caller or of another process, in the form of linux.uidMappings. ``kind``: uid or gid."""
    rows = [list(map(int, line.split())) for line in read_file(f"/proc/{process}/{kind}_map").splitlines()]
    return [{"containerID": first, "hostID": host, "size": size} for first, host, size in rows]


def setgroups_denied(process: str) -> bool:
    """Whether nobody in the user namespace of ``process`` (a directory of /proc) may call setgroups(2)."""
    try:
        return read_file(f"{process}/setgroups").startswith(b"deny")
    except OSError:
        return False


def denies_setgroups(linux: "Linux", user: "LinuxNamespace | None", effective: int, inside: bool) -> bool:
    """Whether the container's processes cannot call setgroups(2) (user_namespaces(7), "/proc/pid/setgroups").

    ``user``: the config's user namespace. A caller without CAP_SETGID must deny it to map its own group.
    """
    path = user.get("path") if user else None
    if path:
        return path.endswith("/ns/user") and setgroups_denied(path.removesuffix("/ns/user"))
    if inside and setgroups_denied("/proc/self"):
        return True  # a new user namespace inherits it
    groups = linux.get("gidMappings", [])
    if user is None or effective & CAP_SETGID or len(groups) != 1:
        return False
    row = groups[0]
    return row["size"] == 1 and row["hostID"] == posix.getegid()


def absolute(path: str, base: str) -> str:
    """``path`` from ``base``, as written: symbolic links are not followed."""
    return clean(path if path.startswith("/") else f"{base}/{path}")


def links(spec: "Config", bundle: str) -> "dict[str, str]":
    """The target of each source that is a symbolic link, for mounts with copy-symlink; by the mount's pointer."""
    targets = {}
    for index, mount in enumerate(spec.get("mounts", ())):
        if "copy-symlink" in (mount.get("options", ())) and mount.get("source"):
            source = mount["source"]
            try:
                targets[f"/mounts/{index}"] = posix.readlink(source if source[0] == "/" else f"{bundle}/{source}")
            except OSError:  # no link, or no file: an ordinary bind mount
                pass
    return targets


def read(spec: "Config", bundle: str) -> "Facts":
    """What `runtime.plan.plan` takes. ``bundle`` is absolute.

    `runtime.shapes.Facts` says what each key means.
    """
    status = read_file("/proc/self/status")
    inside = in_user_namespace()
    linux = spec.get("linux", {})
    listed = [entry for entry in linux.get("namespaces", ()) if entry["type"] == "user"]
    user = bool(listed)
    effective = status_mask(status, b"CapEff:\t")
    privileged = bool(effective & CAP_SYS_ADMIN) and not inside
    return {
        "bundle": bundle,
        "rootfs": absolute(spec["root"]["path"], bundle),
        "privileged": privileged,
        "in_user_namespace": inside,
        "capable": bool(effective & CAP_SYS_ADMIN),
        "capabilities": ~0 if user else status_mask(status, b"CapBnd:\t") & status_mask(status, b"CapPrm:\t"),
        "new_user_namespace": user,
        "uid_map": linux.get("uidMappings", []),
        "gid_map": linux.get("gidMappings", []),
        "own_uid_map": own_map("uid") if inside else [],
        "own_gid_map": own_map("gid") if inside else [],
        "deny_setgroups": denies_setgroups(linux, listed[0] if user else None, effective, inside),
        "keep_groups": spec.get("annotations", {}).get(KEEP_GROUPS, "0") != "0",
        "cgroup": cgroups.read(),
        "links": links(spec, bundle),
    }
