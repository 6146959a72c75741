"""Default devices, linux.devices and the symlinks of /dev → operations (config-linux.md#devices). Pure and hot."""

from runtime.files import clean
from runtime.kernel import S_IFBLK, S_IFCHR, S_IFIFO

from . import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, LinuxDevice
    from runtime.shapes import Facts

    from .ops import Operation

    Warnings = list[tuple[str, str]]

TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}
DEFAULT_MODE = 0o666
BOUND = ("fileMode", "uid", "gid")  # where the host's node is bound, these are the node's
# config-linux.md#default-devices: character devices, mode 0666
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


def has_own_dev(spec: "Config") -> bool:
    """False if /dev is a bind mount. It may be the host's, so nothing is made in it, as with runc."""
    for entry in spec.get("mounts", ()):
        options = entry.get("options", ())
        if ("bind" in options or "rbind" in options) and clean(entry["destination"]) == "/dev":
            return False
    return True


def operations(spec: "Config", facts: "Facts", warnings: "Warnings") -> "list[Operation]":
    """Nodes (in a user namespace, binds of the host's), then symlinks. A listed device replaces a default one."""
    if not has_own_dev(spec):
        if spec.get("linux", {}).get("devices"):
            warnings.append(("/linux/devices", "not made: /dev is a bind mount"))
        return []
    bound = bool(facts["new_user_namespace"] or facts["in_user_namespace"])
    linux = spec.get("linux", {})
    listed, label = linux.get("devices", ()), linux.get("mountLabel") or None
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
        # A node would open the host's pseudoterminals; the symlink below leads to the container's.
        if clean(entry["path"]) != PTMX:
            plan += _listed(entry, facts, bound, label, f"/linux/devices/{i}", warnings)
        elif not _is_multiplexer(entry):
            warnings.append((f"/linux/devices/{i}", "not made: /dev/ptmx leads to the container's own pts/ptmx"))
    return plan + _links(spec)


def _is_multiplexer(entry: "LinuxDevice") -> bool:
    """Whether the entry is the plain ptmx, mode 0666, as managers list it for privileged containers."""
    mode = entry.get("fileMode")
    number = TYPES[entry["type"]], entry.get("major"), entry.get("minor")
    return number == (S_IFCHR, 5, 2) and (mode is None or mode & 0o7777 == DEFAULT_MODE)


def _listed(
    entry: "LinuxDevice", facts: "Facts", bound: bool, label: "str | None", origin: str, warnings: "Warnings"
) -> "list[Operation]":
    kind = TYPES[entry["type"]]
    path, major, minor = entry["path"], entry.get("major", 0), entry.get("minor", 0)
    mode = entry.get("fileMode")
    mode = DEFAULT_MODE if mode is None else mode & 0o7777
    uid, gid = entry.get("uid", 0), entry.get("gid", 0)
    if bound and kind != S_IFIFO:
        own = any(entry.get(name) is not None for name in BOUND)
        if facts["privileged"]:  # the parent may make the node, init may not
            made = ops.device_tree(path, kind, major, minor, mode, uid, gid, label, None if own else path, origin)
            return [made, ops.device_bind(path, None, kind, major, minor, origin)]
        if own:
            warnings.append((origin, "bound from the host, it keeps the host's mode and owner"))
        return [ops.device_bind(path, path, kind, major, minor, origin)]
    return [ops.device(path, kind, major, minor, mode, uid, gid, origin)]


def _links(spec: "Config") -> "list[Operation]":
    """Each link only if its target exists; a procfs in the config guarantees those in /proc/self."""
    has_proc = any(clean(entry["destination"]) == "/proc" for entry in spec.get("mounts", ()))
    flags = 0 if has_proc else ops.SYMLINK_IF_TARGET
    plan = [ops.symlink("pts/ptmx", PTMX, ops.SYMLINK_REPLACE)]
    plan += [ops.symlink(target, path, flags) for target, path in LINKS]
    plan.append(ops.symlink(*KCORE, ops.SYMLINK_IF_TARGET))
    return plan
