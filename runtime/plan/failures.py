"""Failed operations as errors: the place in the config, what was tried, what the system said, the remedy. Pure, and cold."""

from runtime.errors import OcirunError, system_words

from . import explain_attributes, explain_mounts, ops
from .explain import sentence, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ops import Operation

# enum plan_step of csrc/plan.h, in its order: what init was trying.
STEPS = (
    "",
    "read the plan",
    "open",
    "read",
    "write",
    "look at",
    "talk to the runtime",
    "setns",
    "unshare",
    "fork",
    "make the directory",
    "create the file",
    "mknod",
    "make the symbolic link",
    "chmod",
    "chown",
    "verify",
    "fsopen",
    "configure the file system",
    "make the mount",
    "clone the mount",
    "attach the mount",
    "set the mount's attributes",
    "mount",
    "copy what the tmpfs covers",
    "pivot_root",
    "detach the old root",
    "change directory",
    "chroot",
    "setsid",
    "open the terminal",
    "prctl",
    "setgroups",
    "setgid",
    "setuid",
    "capset",
    "setrlimit",
    "join the keyring",
    "load the filter",
    "look up",
    "execve",
    "start the hook",
    "hook",
    "hook",
    "the runtime's part",
    "signal",
    "sched_setaffinity",
    "sched_setattr",
    "ioprio_set",
    "personality",
    "set_mempolicy",
    "setxattr",
    "userfaultfd",
    "make a thread",
)
STEP_OPEN, STEP_VERIFY, STEP_MOUNT_SETATTR, STEP_LOOKUP, STEP_EXEC, STEP_HOOK_EXIT, STEP_HOOK_TIMEOUT, STEP_THREAD = (
    2,
    16,
    22,
    39,
    40,
    42,
    43,
    53,
)
EPERM, ENOENT, EAGAIN, ENOMEM, EACCES, EBUSY, EEXIST = 1, 2, 11, 12, 13, 16, 17
ENODEV, ENOTDIR, ENOSPC, ELOOP, EUSERS, ESTALE, EDQUOT = 19, 20, 28, 40, 87, 116, 122
# What init found when it verified something: its errno says which finding, not what the system answered.
FINDINGS = {
    ENOTDIR: "it is not an ordinary directory in the root file system",
    EEXIST: "a different file is in its place",
    ENODEV: "the host has no such device there",
    ESTALE: "it was replaced by something else while it was being mounted on",
}


def found(operation: "Operation", error: int) -> str:
    """What init saw in place of what it verified; "" where errno says it all."""
    code = operation[0]
    if code == ops.OP_OPEN_NAMESPACE and error == EBUSY:
        return "the host itself is in it: the container's root would become the host's"
    if code == ops.OP_OPEN_NAMESPACE:
        return "the file is no namespace of this type"
    if code == ops.OP_MASK and error == ENODEV:
        return "the host's /dev/null is not the null device"
    if code in (ops.OP_CWD, ops.OP_CWD_AS_USER):
        return "the directory is outside the container's root"
    return FINDINGS.get(error, "")


MAGIC_LINK = "; a link of /proc to what a process has open, such as /proc/self/cwd, is not followed"
# What is the same for every operation of its kind.
REMEDIES = {
    (ops.OP_CWD, ELOOP): MAGIC_LINK,
    (ops.OP_CWD_AS_USER, ELOOP): MAGIC_LINK,
    (ops.OP_RLIMIT, EPERM): "; raising a hard limit takes CAP_SYS_RESOURCE: lower it in the config",
    (ops.OP_OOM_SCORE_ADJ, EACCES): "; a lower score than the caller's takes CAP_SYS_RESOURCE",
    (ops.OP_OOM_SCORE_ADJ, EPERM): "; a lower score than the caller's takes CAP_SYS_RESOURCE",
    (ops.OP_KEYRING, EPERM): "; with --no-new-keyring the program has the caller's keyring",
    (ops.OP_KEYRING, EDQUOT): "; the user has as many keys as /proc/sys/kernel/keys allows",
}


def remedy(operation: "Operation", step: int, error: int) -> str:
    """What to do about it, where that is known; "" where it is not."""
    code = operation[0]
    if (code, error) in REMEDIES:
        return REMEDIES[code, error]
    if code == ops.OP_UNSHARE and error in (ENOSPC, EUSERS):
        return "; too many namespaces: see /proc/sys/user/max_*_namespaces"
    if code == ops.OP_MOUNT and error == ENODEV:
        return "; the kernel does not know this file system"
    if code == ops.OP_FORK and error == ENOMEM and operation[2]:
        return "; a pid namespace whose first process has ended takes no other: name that of a running container"
    if code == ops.OP_PIVOT and step == STEP_OPEN and error == EACCES:
        return "; a procfs or sysfs of the host that --no-pivot must cover is closed to the user namespace's root"
    if code == ops.OP_CONSOLE and step in (STEP_OPEN, STEP_VERIFY):
        return "; a terminal needs a mount of type devpts on /dev/pts"
    if code in (ops.OP_SECCOMP, ops.OP_SECCOMP_NOTIFY) and error == EACCES:
        return "; without CAP_SYS_ADMIN a filter needs noNewPrivileges"
    if code == ops.OP_SECCOMP_NOTIFY and step == STEP_THREAD and error == EAGAIN:
        return "; the pids limit or RLIMIT_NPROC leaves no room for the thread that hands over the listener"
    if code == ops.OP_SECCOMP_NOTIFY and error == EBUSY:
        return "; the runtime itself runs under a filter with a listener, and the kernel allows one"
    if found := explain_attributes.remedy(code, operation[3], operation[4], error):
        return found
    from . import rootless

    return rootless.remedy(operation, error)


def program_failure(name: str, step: int, error: int, origin: "str | None") -> OcirunError:
    """In the words that managers match: Docker's exit codes 127 and 126 depend on them.

    ``origin``: of the label that the execve was to change to, else /process/args.
    """
    pointer = "/process/args"
    if step == STEP_LOOKUP and error == ENOENT and "/" not in name:
        return OcirunError(f'exec: "{name}": executable file not found in $PATH', f"{pointer}/0", None, error)
    tried = f"stat {name}: " if step == STEP_LOOKUP and error == ENOENT else ""
    hint = explain_attributes.transition_remedy(origin, error) if step != STEP_LOOKUP else ""
    place = origin if hint else f"{pointer}/0"
    if step == STEP_EXEC and error == ENOENT:  # the file itself was found before
        words = (
            f"exec {name}: {system_words(error)}; the interpreter that it names, of a script or a linker, is not there"
        )
        return OcirunError(words, f"{pointer}/0", None, error)
    return OcirunError(f'exec: "{name}": {tried}{system_words(error)}{hint}', place, None, error)


def hook_name(pointer: "str | None", path: str) -> str:
    """How a failure of the hook at ``pointer`` ("/hooks/poststart/0") begins, as with runc."""
    _, _, kind, index = (pointer or "/hooks//").split("/")
    return f"error running {kind} hook #{index}: {path}"


NOT_FILTERED, NOT_EXECUTED, SIGSYS = 125, 127, 31
HOOK_ENDS = {
    NOT_EXECUTED: "; it could not be executed in the container",
    NOT_FILTERED: ", as when its seccomp filter cannot be loaded",
    -SIGSYS: "; the seccomp filter (/linux/seccomp) kills for a system call that it made",
}


def hook_failure(operation: "Operation", error: int, step: int, detail: int) -> OcirunError:
    import posix

    name = hook_name(operation[2], words(operation[4][0]))
    if step == STEP_HOOK_TIMEOUT:
        return OcirunError(f"{name}: not finished after its timeout of {operation[3][0]} s, killed", operation[2])
    if step == STEP_HOOK_EXIT:
        try:
            code = posix.waitstatus_to_exitcode(detail)
        except (ValueError, OverflowError):  # no status of a process that has ended
            return OcirunError(f"{name}: wait status {detail}", operation[2])
        how = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        hint = HOOK_ENDS.get(code, "") if code == NOT_EXECUTED or operation[3][3] else ""
        return OcirunError(f"{name}: {how}{hint}", operation[2])
    return OcirunError(f"{name}: start the hook: {system_words(error)}", operation[2], None, error)


def failure(operation: "Operation", error: int, step: int, detail: int = 0) -> OcirunError:
    """The error for a failed operation: the place in the config, what it does, what was tried, what the system said.

    ``error`` is errno, ``step`` of enum plan_step, ``detail`` what init adds: a hook's wait status.
    """
    code, _, origin, _, strings = operation
    if code in (ops.OP_PROGRAM, ops.OP_EXEC):
        first: Any = strings[0]
        return program_failure(words(first[0] if code == ops.OP_PROGRAM else first), step, error, origin)
    if code == ops.OP_RUN_HOOK:
        return hook_failure(operation, error, step, detail)
    if step == STEP_VERIFY and (finding := found(operation, error)):
        return OcirunError(f"{sentence(operation)}: {finding}", origin, None, error)
    tried = STEPS[step] if step < len(STEPS) else ""
    tried = f"{sentence(operation)}: {tried}: " if tried and tried != "mount" else f"{sentence(operation)}: "
    locked = code == ops.OP_BIND and step == STEP_MOUNT_SETATTR and error == EPERM
    hint = (explain_mounts.remedy_of(operation[3]) if locked else "") or remedy(operation, step, error)
    return OcirunError(tried + system_words(error) + hint, origin, None, error)
