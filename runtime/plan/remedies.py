"""What to do about a failed operation, if known. Pure and cold. `rootless` has the advice for unprivileged callers."""

from errno import (
    EACCES,
    EAGAIN,
    EBUSY,
    EDQUOT,
    EINVAL,
    ELOOP,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EOPNOTSUPP,
    EPERM,
    EUSERS,
)

from runtime.kernel import MOUNT_ATTR_ATIME, MOUNT_ATTR_NODIRATIME

from . import attributes, ops, rootless
from .explain import text_of
from .operations import steps
from .operations.wording import mount_options, name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ops import Operation, String

TIMES = MOUNT_ATTR_ATIME | MOUNT_ATTR_NODIRATIME
LOWER_SCORE = "; a lower score than the caller's takes CAP_SYS_RESOURCE"
TOO_MANY = "; too many namespaces: see /proc/sys/user/max_*_namespaces"
ADMIN = "; without CAP_SYS_ADMIN a filter needs noNewPrivileges"
ONE_LISTENER = "; the runtime itself runs under a filter with a listener, and the kernel allows one"
MADE_BEFORE = "; create it beforehand: the user namespace's root may not create it in this directory"
MAGIC_LINK = "; a link of /proc to what a process has open, such as /proc/self/cwd, is not followed"
NO_ROOM = "; a cgroup above has as many processes as its pids.max allows, or the user as many as RLIMIT_NPROC allows"
CPUSET = "; are these {0}s there, and in the cgroup's cpuset? see /sys/devices/system/{0}/online"
# Of an overlay's directories; by errno.
LAYERS = {
    ENOENT: "; one of its directories is gone: if `bundle prune` removed a layer, unpack the image again",
    EACCES: "; the root of the user namespace must be able to search each directory above its layers, and to write to upperdir",
    EINVAL: "; upperdir and workdir must be on one file system, which is no overlay itself",
}
# Remedies that depend on the operation and errno alone.
REMEDIES = {
    (ops.OP_CWD, ELOOP): MAGIC_LINK,
    (ops.OP_CWD_AS_USER, ELOOP): MAGIC_LINK,
    (ops.OP_RLIMIT, EPERM): "; raising a hard limit takes CAP_SYS_RESOURCE: lower it in the config",
    (ops.OP_OOM_SCORE_ADJ, EACCES): LOWER_SCORE,
    (ops.OP_OOM_SCORE_ADJ, EPERM): LOWER_SCORE,
    (ops.OP_KEYRING, EPERM): "; with --no-new-keyring the program has the caller's keyring",
    (ops.OP_KEYRING, EDQUOT): "; the user has as many keys as /proc/sys/kernel/keys allows",
    (ops.OP_UNSHARE, ENOSPC): TOO_MANY,
    (ops.OP_UNSHARE, EUSERS): TOO_MANY,
    (ops.OP_MOUNT, ENODEV): "; the kernel does not know this file system",
    (ops.OP_SECCOMP, EACCES): ADMIN,
    (ops.OP_SECCOMP_NOTIFY, EACCES): ADMIN,
    (ops.OP_SECCOMP_NOTIFY, EBUSY): ONE_LISTENER,
    (ops.OP_IO_PRIORITY, EPERM): "; IOPRIO_CLASS_RT takes CAP_SYS_NICE or CAP_SYS_ADMIN",
    (ops.OP_FORK, EAGAIN): NO_ROOM,
    (ops.OP_AFFINITY, EINVAL): CPUSET.format("cpu"),
}


def locked(attr_set: int, attr_clr: int, rec_set: int, rec_clr: int) -> str:
    """The remedy for MOUNT_ATTR_* changes refused on a locked mount (mount_namespaces(7)); "" if none is locked."""
    asked = mount_options(attr_set & TIMES, attr_clr, rec_set & TIMES, rec_clr).strip(" ()")
    return f"; the host's mount differs, and a user namespace may not change it: leave out {asked}" if asked else ""


def bind(numbers: "tuple[int, ...]", step: int, error: int) -> str:
    _, attr_set, attr_clr, _, rec_set, rec_clr = numbers
    refused = step == steps.MOUNT_SETATTR and error == EPERM
    return locked(attr_set, attr_clr, rec_set, rec_clr) if refused else ""


def scheduler(policy: str, error: int) -> str:
    if error == EPERM and policy in attributes.REAL_TIME:
        return "; it takes CAP_SYS_NICE, and on many kernels /linux/resources/cpu/realtimeRuntime"
    if error == EPERM and policy == "SCHED_DEADLINE":
        return "; it takes CAP_SYS_NICE, and a cpuset with every cpu"
    if error == EPERM:
        return "; a lower nice value than the caller's takes CAP_SYS_NICE"
    if error == EBUSY:
        return "; the cpus do not have that much time left"
    if error == EINVAL and policy == "SCHED_ISO":
        return "; Linux reserves the name and has no such policy"
    return "; this kernel has no utilisation clamping" if error == EOPNOTSUPP else ""


def memory_policy(mode: int) -> str:
    """``mode``: MPOL_* with its MPOL_F_* bits."""
    balancing = attributes.MEMORY_FLAGS["MPOL_F_NUMA_BALANCING"]
    if mode & balancing and mode & attributes.MODE_BITS != attributes.MEMORY_MODES["MPOL_BIND"]:
        return "; MPOL_F_NUMA_BALANCING goes with MPOL_BIND alone, since Linux 6.10 with MPOL_PREFERRED_MANY too"
    return CPUSET.format("node")


def transition(origin: "str | None", error: int) -> str:
    """For an execve that was to change to the label at ``origin``. The kernel gives only EPERM or EACCES.

    EPERM: under no_new_privs SELinux requires a permission that many systems' policies do not grant.
    """
    if origin == "/process/selinuxLabel" and error == EPERM:
        return (
            "; under noNewPrivileges the SELinux policy has to allow the change to this label by nnp_transition"
            " (class process2, policy capability nnp_nosuid_transition), or bound it: else noNewPrivileges must be false"
        )
    if origin == "/process/selinuxLabel" and error == EACCES:
        return (
            "; if the program is executable: the SELinux policy has to allow transition to this label, with the program's"
            " file as an entrypoint; see `ausearch -m avc`"
        )
    if origin == "/process/apparmorProfile" and error == EPERM:
        return "; under noNewPrivileges AppArmor changes from the caller's profile only to one that allows no more"
    return ""


def label(value: str, error: int) -> str:
    """For a label write. AppArmor's values begin with "exec "."""
    if not value.startswith("exec "):
        return "; does the policy know this label, and let the runtime set it?" if error in (EINVAL, EACCES) else ""
    if error == ENOENT:
        return "; is the profile loaded? see /sys/kernel/security/apparmor/profiles"
    return "; is AppArmor enabled?" if error == EINVAL else ""


def by_step(code: int, origin: "str | None", step: int, error: int) -> str:
    """Remedies that depend on the step, or on the config pointer."""
    if step in (steps.MKDIR, steps.CREATE) and code in (ops.OP_MOUNT, ops.OP_BIND) and error == EACCES:
        return MADE_BEFORE
    if code == ops.OP_MOUNT and step == steps.COPY and error == EPERM:
        return "; tmpcopyup copies nothing of procfs, sysfs or cgroups: does a symlink of the root lead there?"
    if code == ops.OP_FORK and error == ENOMEM and origin:
        return "; a pid namespace whose first process has ended takes no other: name that of a running container"
    if code == ops.OP_PIVOT and step == steps.OPEN and error == EACCES:
        return "; a procfs or sysfs of the host that --no-pivot must cover is closed to the user namespace's root"
    if code == ops.OP_PIVOT and step == steps.UMOUNT and error in (EINVAL, EBUSY):
        return "; a mount of the host lies over a procfs or sysfs that --no-pivot must take away: unmount one of them"
    if code == ops.OP_CONSOLE and step in (steps.OPEN, steps.VERIFY):
        return "; a terminal needs a mount of type devpts on /dev/pts"
    if code == ops.OP_SECCOMP_NOTIFY and step == steps.THREAD and error == EAGAIN:
        return "; the pids limit or RLIMIT_NPROC leaves no room for the thread that hands over the listener"
    return ""


def by_arguments(code: int, numbers: "tuple[int, ...]", strings: "tuple[String, ...]", step: int, error: int) -> str:
    if code == ops.OP_BIND:
        return bind(numbers, step, error)
    if code == ops.OP_MOUNT and text_of(strings[1]) == "overlay" and step != steps.MKDIR:
        return LAYERS.get(error, "")
    if code == ops.OP_MEMORY_POLICY and error == EINVAL:
        (mode,) = numbers
        return memory_policy(mode)
    if code == ops.OP_SCHEDULER:
        policy, *_ = numbers
        return scheduler(name(policy, attributes.POLICIES), error)
    if code == ops.OP_LABEL:
        _, _, value = strings
        return label(text_of(value), error)
    return ""


def remedy(operation: "Operation", step: int, error: int) -> str:
    """What to do about the failure; "" if unknown."""
    code, _, origin, numbers, strings = operation
    return (
        REMEDIES.get((code, error), "")
        or by_step(code, origin, step, error)
        or by_arguments(code, numbers, strings, step, error)
        or rootless.remedy(operation, error)
    )
