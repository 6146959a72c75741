"""The sentences and remedies of `explain` for what `attributes` plans. Pure, and cold."""

from errno import EACCES, EBUSY, EINVAL, ENOENT, EOPNOTSUPP, EPERM

from . import attributes, ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MODE_BITS = (1 << 13) - 1  # of a memory policy: what is above are its flags


def words(value: "Any") -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value or ""


def listed(values: "Any") -> str:
    """Decimal numbers as ranges: 0-3, 7."""
    spans: list[list[int]] = []
    for number in map(int, values):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def name(number: int, table: "dict[str, int]") -> str:
    return next((name for name, value in table.items() if value == number), str(number))


def flags(bits: int, table: "dict[str, int]") -> str:
    found = [name for name, bit in table.items() if bits & bit]
    return f", {', '.join(found)}" if found else ""


def scheduler(n: "Any") -> str:
    policy = name(n[0], attributes.POLICIES)
    text = f"schedule by {policy}"
    if policy in attributes.REAL_TIME:
        text += f", priority {n[2]}"
    elif n[2]:
        text += f", nice {n[2]}"
    if n[3]:
        text += f", {n[3]} ns of each {n[5] or n[4]} ns within {n[4]} ns"
    return text + flags(n[1], attributes.SCHEDULER_FLAGS)


def memory_policy(n: "Any", s: "Any") -> str:
    mode = name(n[0] & MODE_BITS, attributes.MEMORY_MODES)
    nodes = f" on the nodes {listed(s[0])}" if s[0] else ""
    return f"take memory by {mode}{nodes}{flags(n[0], attributes.MEMORY_FLAGS)}"


def label(s: "Any") -> str:
    path = f"/proc/{s[0]}"
    return f"take back what was written to {path}" if s[2] is None else f"write {words(s[2])!r} to {path}"


SENTENCES: "dict[int, Callable[[Any, Any], str]]" = {
    ops.OP_AFFINITY: lambda n, s: f"run on the cpus {listed(s[0])}" if s[0] else "run on all cpus of the cgroup",
    ops.OP_RESCTRL: lambda n, s: f"write init's pid to {' and '.join(map(words, s[0]))}",
    ops.OP_FILE_LABEL: lambda n, s: f"give {s[0]} the SELinux label {s[1]}",
    ops.OP_LABEL: lambda n, s: label(s),
    ops.OP_SCHEDULER: lambda n, s: scheduler(n),
    ops.OP_IO_PRIORITY: lambda n, s: (
        f"set the I/O priority to {name(n[0] >> attributes.IO_CLASS_SHIFT, attributes.IO_CLASSES)},"
        f" level {n[0] & ((1 << attributes.IO_CLASS_SHIFT) - 1)}"
    ),
    ops.OP_PERSONALITY: lambda n, s: f"set the personality to {name(n[0], attributes.DOMAINS)}",
    ops.OP_MEMORY_POLICY: memory_policy,
}


def scheduler_remedy(policy: str, error: int) -> str:
    if error == EPERM and policy in attributes.REAL_TIME:
        return "; it takes CAP_SYS_NICE, and on many kernels /linux/resources/cpu/realtimeRuntime"
    if error == EPERM and policy == "SCHED_DEADLINE":
        return "; it takes CAP_SYS_NICE, and every cpu: no cpuset that leaves some out"
    if error == EPERM:
        return "; a lower nice value than the caller's takes CAP_SYS_NICE"
    if error == EBUSY:
        return "; the cpus have no such part of their time left"
    if error == EINVAL and policy == "SCHED_ISO":
        return "; Linux reserves the name and has no such policy"
    return "; this kernel has no utilisation clamping" if error == EOPNOTSUPP else ""


def transition_remedy(origin: "str | None", error: int) -> str:
    """For an execve that was to change to the label of ``origin``: the kernel says no more than these two numbers.

    Under no_new_privs SELinux asks for a permission that the policies of many systems do not give (EPERM).
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


def remedy(code: int, numbers: "Any", strings: "Any", error: int) -> str:
    """What to do about a failure, where that is known; "" where it is not."""
    if code == ops.OP_SCHEDULER:
        return scheduler_remedy(name(numbers[0], attributes.POLICIES), error)
    if code == ops.OP_IO_PRIORITY and error == EPERM:
        return "; IOPRIO_CLASS_RT takes CAP_SYS_NICE or CAP_SYS_ADMIN"
    if code == ops.OP_MEMORY_POLICY and error == EINVAL:
        balancing = attributes.MEMORY_FLAGS["MPOL_F_NUMA_BALANCING"]
        if numbers[0] & balancing and numbers[0] & MODE_BITS != attributes.MEMORY_MODES["MPOL_BIND"]:
            return "; MPOL_F_NUMA_BALANCING goes with MPOL_BIND alone, since Linux 6.10 with MPOL_PREFERRED_MANY too"
        return "; are these nodes there, and in the cgroup's cpuset? see /sys/devices/system/node/online"
    if code == ops.OP_AFFINITY and error == EINVAL:
        return "; are these cpus there, and in the cgroup's cpuset? see /sys/devices/system/cpu/online"
    if code == ops.OP_LABEL and words(strings[2]).startswith("exec "):
        if error == ENOENT:
            return "; is the profile loaded? see /sys/kernel/security/apparmor/profiles"
        return "; is AppArmor enabled?" if error == EINVAL else ""
    if code == ops.OP_LABEL and error in (EINVAL, EACCES):
        return "; does the policy know this label, and let the runtime set it?"
    return ""
