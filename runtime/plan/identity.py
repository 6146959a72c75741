"""process → operations: from the entered root to execve, for `create` and `exec`. Pure and hot."""

from . import capabilities as caps
from . import ops, properties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Linux, Process
    from runtime.shapes import Facts, PlanOptions

RLIMITS = (
    "RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_NPROC RLIMIT_NOFILE RLIMIT_MEMLOCK "
    "RLIMIT_AS RLIMIT_LOCKS RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO RLIMIT_RTTIME"
).split()
# Without PATH, execvp(3) searches only /bin and /usr/bin; images rely on more.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_UMASK = 0o022
NEW_LISTENER = 8  # SECCOMP_FILTER_FLAG_NEW_LISTENER of linux/seccomp.h
NAMED = 4  # capabilities named in a warning, of up to 41


def limits(process: "Process", host_side: bool) -> "list[ops.Operation]":
    side = ops.HOST if host_side else ops.CONTAINER
    rows = process.get("rlimits", ())
    return [
        ops.rlimit(RLIMITS.index(r["type"]), r["soft"], r["hard"], f"/process/rlimits/{i}", side)
        for i, r in enumerate(rows)
        if r["type"] in RLIMITS
    ]


def groups(process: "Process", facts: "Facts", warnings: "list[tuple[str, str]]") -> "list[str] | None":
    """Supplementary gids in decimal; None keeps the caller's: an annotation asks for them, or setgroups is denied and none are given."""
    wanted = process["user"].get("additionalGids", [])
    keep = facts.get("keep_groups")
    if keep and wanted:
        message = "left out, since the annotation run.oci.keep_original_groups keeps the caller's groups"
        warnings.append(("/process/user/additionalGids", message))
    if keep or (not wanted and facts.get("deny_setgroups")):
        return None
    return [str(gid) for gid in wanted]


def privileges(
    process: "Process", facts: "Facts", filtered: bool, warnings: "list[tuple[str, str]]"
) -> "list[ops.Operation]":
    """The bounding set, the user, the capability sets. CAP_SYS_ADMIN stays for loading a filter; execve recomputes the sets."""
    sets, refused = caps.masks(process.get("capabilities", {}), facts["capabilities"])
    if refused:
        warnings.append(("/process/capabilities", f"cannot be granted, left out: {', '.join(refused)}"))
    user = process["user"]
    # execve grants root what is permitted and bounding: nothing is lost. Buildah's configs are such.
    granted = sets["bounding"] & sets["permitted"] if user["uid"] == 0 else 0
    lost = caps.not_ambient(process.get("capabilities", {}), sets, facts["capabilities"] & ~granted)
    if lost:
        more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        message = f"not both permitted and inheritable, left out: {', '.join(lost[:NAMED])}{more}"
        warnings.append(("/process/capabilities/ambient", message))
    no_new_privs = bool(process.get("noNewPrivileges"))
    extra = caps.SYS_ADMIN & facts["capabilities"] if filtered and not no_new_privs else 0
    plan = [ops.no_new_privs()] if no_new_privs else []
    origin = "/process/capabilities" if process.get("capabilities") else None
    plan.append(ops.bounding(sets["bounding"], origin and f"{origin}/bounding"))
    others = groups(process, facts, warnings)
    plan.append(ops.user(user["uid"], user["gid"], others is not None, others))
    effective, permitted = sets["effective"] | extra, sets["permitted"] | extra
    plan.append(ops.capabilities(effective, permitted, sets["inheritable"], sets["ambient"], origin))
    plan.append(ops.cwd_as_user(process["cwd"]))
    return plan


def keyring(process: "Process", options: "PlanOptions") -> "list[ops.Operation]":
    if options.get("no_new_keyring"):
        return []
    operation = ops.keyring(f"_ses.{options['id']}")
    if not process.get("selinuxLabel"):
        return [operation]
    from . import attributes

    return attributes.labelled_keyring(operation, process["selinuxLabel"])


def before(
    process: "Process", linux: "Linux", facts: "Facts", options: "PlanOptions", in_user_namespace: bool
) -> "list[ops.Operation]":
    """Everything that needs init's privileges. ``linux``: that section of the container's config."""
    user = process["user"]
    plan = [] if process.get("terminal") else [ops.stdio(user["uid"])]
    plan += keyring(process, options)
    plan.append(ops.cwd(process["cwd"], bool(options.get("make_cwd"))))
    if options.get("readonly_root"):
        plan.append(ops.root_readonly())
    plan.append(ops.umask(user.get("umask", DEFAULT_UMASK), "/process/user/umask" if "umask" in user else None))
    host_side = in_user_namespace and facts["privileged"]
    plan += limits(process, host_side)
    if properties.asks(process, properties.RARE_PROCESS) or properties.asks(linux, properties.RARE_LINUX):
        from . import attributes

        plan += attributes.operations(process, linux, ops.HOST if host_side else ops.CONTAINER)
    plan.append(ops.keep_descriptors(options.get("preserve_fds", 0), bool(options.get("wait_start"))))
    return plan


def program(process: "Process", environment: "Sequence[str]") -> "list[ops.Operation]":
    """The last value of a repeated variable wins (getenv(3) would return the first). An empty HOME counts as unset."""
    env = {entry.partition("=")[0]: entry for entry in (*process.get("env", ()), *environment)}
    find_home = env.get("HOME", "HOME=") == "HOME="
    if find_home:
        env.pop("HOME", None)
    path = env["PATH"][len("PATH=") :] if "PATH" in env else DEFAULT_PATH
    return [ops.program(process["args"], list(env.values()), path, process["user"]["uid"], find_home)]


def waiting(options: "PlanOptions") -> "list[ops.Operation]":
    """The end of a container without a program."""
    return [ops.created(), ops.wait_start()] if options.get("wait_start") else [ops.created()]


def ending(process: "Process", options: "PlanOptions", start_hooks: "list[ops.Operation]") -> "list[ops.Operation]":
    """From `created` to execve; ``options["seccomp"]`` is a Filter or None."""
    plan = [ops.created()]
    if options.get("wait_start"):
        plan.append(ops.wait_start())
    plan += start_hooks
    plan.append(ops.place_descriptors(options.get("preserve_fds", 0)))
    if program := options.get("seccomp"):
        code, flags, path, metadata = program
        notify = flags & NEW_LISTENER
        plan.append(ops.seccomp_notify(code, flags, path, metadata) if notify else ops.seccomp(code, flags))
    label = next((name for name in ("selinuxLabel", "apparmorProfile") if process.get(name)), "args")
    plan.append(ops.exec(process["args"][0], f"/process/{label}"))
    return plan
