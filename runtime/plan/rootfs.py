"""root, rootfsPropagation, hooks, names and sysctls → operations: from the new namespaces to entering the root. Pure and hot."""

from runtime.files import clean, escape
from runtime.kernel import MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE

from . import ops
from .identity import NEW_LISTENER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Config, HookKind, Hooks
    from runtime.shapes import Facts, Filter, PlanOptions


PROPAGATION = {"shared": MS_SHARED, "slave": MS_SLAVE, "private": MS_PRIVATE, "unbindable": MS_UNBINDABLE}


def attach(spec: "Config", facts: "Facts", in_mount_namespace: bool) -> "list[ops.Operation]":
    """Mount the root over its own path. Nothing below it propagates to the host, unless the config asks for it."""
    if not in_mount_namespace:
        return [ops.root(facts["rootfs"], False, False)]
    wanted = PROPAGATION.get(spec["linux"].get("rootfsPropagation", "").removeprefix("r"))
    shared = wanted == MS_SHARED
    # A shared root stays in the host's peer groups, so that volumes mounted inside reach the host.
    origin = "/linux/rootfsPropagation" if wanted else None
    first = wanted if wanted in (MS_SHARED, MS_PRIVATE) else MS_SLAVE
    plan = [ops.propagation(first or MS_SLAVE, origin)]
    if facts["new_user_namespace"] and facts["privileged"]:
        # The container's root may have no right to the path.
        plan.append(ops.open_tree(facts["rootfs"], ops.BIND_REC, "/root/path", attach=2 if shared else 1))
    plan.append(ops.root(facts["rootfs"], True, shared))
    return plan


def host_hooks(hooks: "Hooks") -> "list[ops.Operation]":
    kinds: tuple[HookKind, ...] = ("prestart", "createRuntime")
    return [ops.hooks(kind, len(hooks[kind]), f"/hooks/{kind}") for kind in kinds if hooks.get(kind)]


def container_hooks(
    hooks: "Hooks",
    kind: "HookKind",
    state: int,
    environment: "Sequence[str] | None" = None,
    filtered: bool = False,
) -> "list[ops.Operation]":
    """One operation for each hook that init runs. ``environment``: for hooks without env; None means the program's."""
    plan = []
    for i, h in enumerate(hooks.get(kind, [])):
        args, env = h.get("args") or [h["path"]], environment if h.get("env") is None else h["env"]
        origin = f"/hooks/{kind}/{i}"
        plan.append(ops.run_hook(h["path"], args, env, h.get("timeout", 0), state, origin, env is None, filtered))
    return plan


def start_hooks(hooks: "Hooks", program: "Filter | None", warnings: "list[tuple[str, str]]") -> "list[ops.Operation]":
    """startContainer hooks are programs of the image, so they run under the container's filter.

    A notifying filter has only one listener, and that is the program's.
    """
    if program and program[1] & NEW_LISTENER and hooks.get("startContainer"):
        reason = "their system calls with SCMP_ACT_NOTIFY fail with ENOSYS"
        warnings.append(("/hooks/startContainer", reason))
    return container_hooks(hooks, "startContainer", ops.HOOK_CREATED, None, bool(program))


def create_hooks(spec: "Config", environment: "Sequence[str]") -> "list[ops.Operation]":
    """prestart, createRuntime, createContainer: after all mounts, before the root is entered.

    ``environment``: the caller's, for createContainer hooks without env.
    """
    hooks = spec.get("hooks", {})
    plan = host_hooks(hooks)
    if hooks.get("createContainer") or hooks.get("startContainer"):
        plan.append(ops.state_document())
    return plan + container_hooks(hooks, "createContainer", ops.HOOK_CREATING, environment)


def sysctl_path(key: str) -> str:
    """A sysctl's file below procfs. The first separator, a dot or a slash, says which one separates (sysctl(8))."""
    first = min((i for i in (key.find("."), key.find("/")) if i >= 0), default=-1)
    if first >= 0 and key[first] == ".":
        key = key.translate({ord("."): "/", ord("/"): "."})
    return f"sys/{key}"


def settings(spec: "Config", host_pids: bool, labelled: bool) -> "list[ops.Operation]":
    """hostname, domainname, sysctl: after the hooks, which may make network interfaces that a sysctl names.

    ``host_pids``: the pid namespace is the host's, whose procfs a user namespace may be unable to mount.
    ``labelled``: the process's labels need a procfs later.
    """
    plan = []
    if spec.get("hostname"):
        plan.append(ops.hostname(spec["hostname"]))
    if spec.get("domainname"):
        plan.append(ops.domainname(spec["domainname"]))
    sysctls = spec["linux"].get("sysctl", {})
    if sysctls or labelled:
        plan.append(ops.proc_handle(host_pids))
    for key, value in sysctls.items():
        plan.append(ops.sysctl(sysctl_path(key), value, f"/linux/sysctl/{escape(key)}"))
    return plan


def is_covered(spec: "Config") -> bool:
    """Whether the first mount is on /: then it is the root, and root.path only its place."""
    return any(clean(mount["destination"]) == "/" for mount in spec.get("mounts", ())[:1])


def read_only(spec: "Config") -> bool:
    """Whether the root becomes read-only, last: by root.readonly, or by an option of a mount on /."""
    if spec["root"].get("readonly"):
        return True
    if not is_covered(spec):
        return False
    from . import root_mount

    return root_mount.is_read_only(spec["mounts"][0])


def enter(spec: "Config", options: "PlanOptions", in_mount_namespace: bool) -> "list[ops.Operation]":
    """Make the container's root the root directory."""
    mode = ops.PIVOT_MOVE if options.get("no_pivot") else ops.PIVOT_ROOT
    plan = [ops.pivot(mode if in_mount_namespace else ops.PIVOT_CHROOT)]
    wanted = PROPAGATION.get(spec["linux"].get("rootfsPropagation", "").removeprefix("r"))
    if wanted and in_mount_namespace:
        plan.append(ops.root_propagation(wanted))
    return plan
