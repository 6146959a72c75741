"""What an unprivileged caller's config asks for but cannot have, and what to do about it. Pure.

Loaded for such callers, and to describe a failure. uid 0 proves nothing: rootless managers call as the root of a user
namespace. Such a caller is `capable`, but only over what belongs to that namespace.
"""

from errno import EACCES, EPERM

from runtime.errors import InvalidConfig
from runtime.kernel import CLONE_NEWUSER

from . import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, IdMapping
    from runtime.shapes import Facts


SPEC = "`ocirun spec --rootless` writes a config that has it"
# File systems that the root of a user namespace may mount (FS_USERNS_MOUNT).
USER_TYPES = ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay", "ramfs", "binder", "bpf")


def check(spec: "Config", facts: "Facts") -> None:
    """Raises InvalidConfig, with pointer and remedy, for what the kernel would refuse halfway through."""
    namespaces = spec["linux"].get("namespaces", ())
    user = next(((i, entry) for i, entry in enumerate(namespaces) if entry["type"] == "user"), None)
    if user is None:
        if not facts["capable"]:
            message = "without root a container needs a user namespace of its own, with the caller's ids mapped"
            raise InvalidConfig(f"{message}: {SPEC}", "/linux/namespaces")
    elif not user[1].get("path") and facts["in_user_namespace"] and facts["capable"]:
        _check_known(spec["linux"].get("uidMappings", []), facts["own_uid_map"], "uid")
        _check_known(spec["linux"].get("gidMappings", []), facts["own_gid_map"], "gid")
    asked = not facts["keep_groups"]  # with keep_groups, none are set
    if facts["deny_setgroups"] and asked and ((spec.get("process", {}).get("user") or {}).get("additionalGids")):
        message = "the user namespace denies setgroups, since only the caller's own group is mapped"
        remedy = "map more groups (newgidmap, /etc/subgid), or leave additionalGids out"
        raise InvalidConfig(f"{message}: {remedy}", "/process/user/additionalGids")


def _check_known(mappings: "list[IdMapping]", own: "list[IdMapping]", kind: str) -> None:
    """Each mapping's host ids must lie within one range of the caller's user namespace (user_namespaces(7))."""
    for i, row in enumerate(mappings):
        first, last = row["hostID"], row["hostID"] + row["size"]
        if not any(o["containerID"] <= first and last <= o["containerID"] + o["size"] for o in own):
            has = ", ".join(f"{o['containerID']} to {o['containerID'] + o['size'] - 1}" for o in own) or "none"
            message = f"{kind}s {first} to {last - 1} are not all in the caller's own user namespace, which has {has}"
            raise InvalidConfig(message, f"/linux/{kind}Mappings/{i}")


def remedy(operation: "ops.Operation", error: int) -> str:
    """What an unprivileged caller can do about a refusal; "" if unknown."""
    code, _, _, numbers, strings = operation
    if error not in (EPERM, EACCES):
        return ""
    if code == ops.OP_UNSHARE:
        (flags,) = numbers
        return _namespace_remedy(flags)
    if code == ops.OP_MOUNT:
        _, kind, _, _ = strings
        known = error != EPERM or kind in USER_TYPES or "fuse" in str(kind)
        return "" if known else "; a user namespace can mount this file system only by a bind of where the host has it"
    return REMEDIES.get(code, "")


def _namespace_remedy(flags: int) -> str:
    if flags & CLONE_NEWUSER:
        return (
            "; user namespaces are closed to this caller: see the sysctls user.max_user_namespaces, "
            "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns; a chroot has none either"
        )
    return f"; it takes CAP_SYS_ADMIN, or a user namespace in the config: {SPEC}"


_SEARCH = "; each directory of the path must be open to the caller, whose own ids the config's mappings should have"
REMEDIES = {
    ops.OP_OPEN_NAMESPACE: "; the process is another user's",
    ops.OP_JOIN_NAMESPACE: "; it belongs to another user namespace: join that one too, by its path",
    ops.OP_JOIN_PROCESS: "; the container is another user's",
    ops.OP_OPEN_CGROUP: "; the cgroup is not delegated to the caller",
    ops.OP_ENTER_CGROUPS: (
        "; moving a process takes write permission for the common parent's cgroup.procs too: start ocirun inside the "
        "delegated cgroup, as with `systemd-run --user --scope -p Delegate=yes`"
    ),
    ops.OP_ROOT: _SEARCH,
    ops.OP_BIND: _SEARCH,
    ops.OP_USER: "; the user namespace lacks these ids, or denies setgroups",
}
