"""Default devices, linux.devices and the symlinks of /dev → operations (config-linux.md#devices). Pure and hot."""

from . import ops
from .mounts import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.shapes import Facts

    from .ops import Operation

    Spec = dict[str, Any]
    Warnings = list[tuple[str, str]]

S_IFIFO, S_IFCHR, S_IFBLK = 0o010000, 0o020000, 0o060000
TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}
DEFAULT_MODE = 0o666
BOUND = ("fileMode", "uid", "gid")  # of the host's node, where that is bound
# config-linux.md#default-devices: character devices for everybody
DEFAULTS = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
PTMX = "/dev/ptmx"
# runtime-linux.md#dev-symbolic-links
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
)
KCORE = ("/proc/kcore", "/dev/core")
# SYMLINK_* of plan.h
IF_TARGET, REPLACE = 1, 2


def has_own_dev(spec: "Spec") -> bool:
    """False where /dev is bound from elsewhere: then nothing is made in it, as with runc (it may be the host's)."""
    for entry in spec.get("mounts") or ():
        options = entry.get("options") or ()
        if ("bind" in options or "rbind" in options) and clean(entry["destination"]) == "/dev":
            return False
    return True


def operations(spec: "Spec", facts: "Facts", warnings: "Warnings") -> "list[Operation]":
    """Nodes (in a user namespace, binds of the host's), then symlinks. A listed device replaces a default one."""
    if not has_own_dev(spec):
        if (spec.get("linux") or {}).get("devices"):
            warnings.append(("/linux/devices", "not made: /dev is a bind mount"))
        return []
    bound = bool(facts["new_user_namespace"] or facts["in_user_namespace"])
    linux = spec.get("linux") or {}
    listed, label = linux.get("devices") or (), linux.get("mountLabel") or None
    paths = {clean(entry["path"]) for entry in listed}
    plan: list[Operation] = []
    for path, major, minor in DEFAULTS:
        if path in paths:
            continue
        if bound:
            plan.append(ops.device_bind(path, path, S_IFCHR, major, minor))
        else:
            plan.append(ops.device(path, S_IFCHR, major, minor, DEFAULT_MODE))
    for i, entry in enumerate(listed):
        # It would be the host's pseudo terminals; the symlink below is the container's.
        if clean(entry["path"]) != PTMX:
            plan += _listed(entry, facts, bound, label, f"/linux/devices/{i}", warnings)
        elif not _is_multiplexer(entry):
            warnings.append((f"/linux/devices/{i}", "not made: /dev/ptmx leads to the container's own pts/ptmx"))
    return plan + _links(spec)


def _is_multiplexer(entry: "dict[str, Any]") -> bool:
    """Whether the entry asks for no more than that one: for everybody, as managers list it for privileged containers."""
    mode = entry.get("fileMode")
    number = TYPES[entry["type"]], entry.get("major"), entry.get("minor")
    return number == (S_IFCHR, 5, 2) and (mode is None or mode & 0o7777 == DEFAULT_MODE)


def _listed(
    entry: "dict[str, Any]", facts: "Facts", bound: bool, label: "str | None", origin: str, warnings: "Warnings"
) -> "list[Operation]":
    kind = TYPES[entry["type"]]
    path, major, minor = entry["path"], entry.get("major") or 0, entry.get("minor") or 0
    mode = entry.get("fileMode")
    mode = DEFAULT_MODE if mode is None else mode & 0o7777
    uid, gid = entry.get("uid") or 0, entry.get("gid") or 0
    if bound and kind != S_IFIFO:
        own = any(entry.get(name) is not None for name in BOUND)
        if facts["privileged"]:  # who may make it, though init may not
            from . import rare_ops

            made = rare_ops.device_tree(path, kind, major, minor, mode, uid, gid, label, None if own else path, origin)
            return [made, ops.device_bind(path, None, kind, major, minor, origin)]
        if own:
            warnings.append((origin, "bound from the host, it keeps the mode and owner of there"))
        return [ops.device_bind(path, path, kind, major, minor, origin)]
    return [ops.device(path, kind, major, minor, mode, uid, gid, origin)]


def _links(spec: "Spec") -> "list[Operation]":
    """Each link where its source exists; with a procfs in the config that need not be looked at."""
    has_proc = any(clean(entry["destination"]) == "/proc" for entry in spec.get("mounts") or ())
    flags = 0 if has_proc else IF_TARGET
    plan = [ops.symlink("pts/ptmx", PTMX, REPLACE)]
    plan += [ops.symlink(target, path, flags) for target, path in LINKS]
    plan.append(ops.symlink(*KCORE, IF_TARGET))
    return plan
