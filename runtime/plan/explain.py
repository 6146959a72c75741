"""Operations and failures as sentences: what `ocirun plan` prints and what an error says. Pure, and cold: no good path imports it."""

from runtime.errors import OcirunError, system_words

from . import capabilities, identity, namespaces, ops, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
)
STEP_VERIFY, STEP_LOOKUP, STEP_EXEC, STEP_HOOK_EXIT, STEP_HOOK_TIMEOUT = 16, 39, 40, 42, 43
EPERM, ENOENT, EACCES, EEXIST, ENODEV, ENOTDIR, ENOSPC, EUSERS, ESTALE = 1, 2, 13, 17, 19, 20, 28, 87, 116
# What init found when it verified something: its errno says which finding, not what the system answered.
FINDINGS = {
    ENOTDIR: "it is not an ordinary directory in the root file system",
    EEXIST: "a different file is in its place",
    ENODEV: "the host has no such device there",
    ESTALE: "it was replaced by something else while it was being mounted on",
}


def words(value: "Any") -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value or ""


def names(flags: int, table: "dict[str, int]") -> str:
    """The names in ``table`` of the bits of ``flags``, which may be a signed 64-bit number."""
    return ", ".join(name for name, bit in table.items() if flags & bit) or "none"


def attributes(set_bits: int, recursive: int = 0) -> str:
    table = {
        "ro": 1,
        "nosuid": 2,
        "nodev": 4,
        "noexec": 8,
        "noatime": 0x10,
        "strictatime": 0x20,
        "nodiratime": 0x80,
        "nosymfollow": 0x200000,
    }
    found = [name for name, bit in table.items() if set_bits & bit] + [
        f"r{name}" for name, bit in table.items() if recursive & bit
    ]
    return f" ({', '.join(found)})" if found else ""


def spread(flags: int) -> str:
    return next((name for name, bit in rootfs.PROPAGATION.items() if flags & bit), "unchanged")


def command(args: "Any") -> str:
    import shlex

    return shlex.join(words(a) for a in args)


def bits(mask: int) -> str:
    if mask & ((1 << 41) - 1) == (1 << 41) - 1:
        return "all capabilities"
    found = [name.removeprefix("CAP_").lower() for name, bit in capabilities.BITS.items() if mask & bit]
    return ", ".join(found) or "no capabilities"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def limit(value: int) -> str:
    return "unlimited" if value & ((1 << 64) - 1) == (1 << 64) - 1 else str(value)


CLONES = namespaces.CLONE_FLAGS
DEVICES = {0o020000: "character device", 0o060000: "block device", 0o010000: "fifo"}

# A sentence for each operation, from its numbers and its strings.
SENTENCES: "dict[int, Callable[[Any, Any], str]]" = {
    ops.OP_OOM_SCORE_ADJ: lambda n, s: f"set oom_score_adj to {n[0]}",
    ops.OP_DUMPABLE: lambda n, s: (
        "let the runtime write the id maps" if n[0] else "keep other processes from tracing init"
    ),
    ops.OP_CGROUPS: lambda n, s: "make the cgroups and write their limits",
    ops.OP_OPEN_CGROUP: lambda n, s: (
        f"open {s[0]}, to be born in that cgroup" if n[0] else f"open {s[0]}, to enter that cgroup later"
    ),
    ops.OP_OPEN_NAMESPACE: lambda n, s: f"open the {names(n[0], CLONES)} namespace {s[0]}",
    ops.OP_JOIN_NAMESPACE: lambda n, s: f"join that {names(n[0], CLONES)} namespace",
    ops.OP_JOIN_PROCESS: lambda n, s: f"join the container's namespaces: {names(n[0], CLONES)}",
    ops.OP_UNSHARE: lambda n, s: f"make new namespaces: {names(n[0], CLONES)}",
    ops.OP_ID_MAPS: lambda n, s: (
        "write the id maps: uids "
        + "; ".join(words(s[0]).splitlines())
        + ", gids "
        + "; ".join(words(s[1]).splitlines())
    ),
    ops.OP_BECOME: lambda n, s: f"become uid {n[0]}, gid {n[1]} of the user namespace",
    ops.OP_TIME_OFFSETS: lambda n, s: "set the clock offsets: " + "; ".join(words(s[0]).splitlines()),
    ops.OP_FORK: lambda n, s: "go on in a child, inside the new pid or time namespace",
    ops.OP_ENTER_CGROUPS: lambda n, s: "enter the cgroups",
    ops.OP_SETSID: lambda n, s: "start a session",
    ops.OP_PROPAGATION: lambda n, s: f"make every mount {spread(n[0])}",
    ops.OP_OPEN_TREE: lambda n, s: f"clone the mount at {s[0]}" + (" with what is below it" if n[0] else ""),
    ops.OP_ROOT: lambda n, s: f"attach the root {s[0]}" if n[0] else f"open the root {s[0]}",
    ops.OP_PROC_HANDLE: lambda n, s: "open a private procfs",
    ops.OP_MOUNT: lambda n, s: (
        f"mount {s[1]} on {s[0]}{attributes(n[0], n[2])}" + (f" with {','.join(map(words, s[3]))}" if s[3] else "")
    ),
    ops.OP_BIND: lambda n, s: f"bind {s[1] or 'that mount'} on {s[0]}{attributes(n[1], n[4])}",
    ops.OP_REMOUNT: lambda n, s: f"change the mount at {s[0]}{attributes(n[0])}",
    ops.OP_SYMLINK: lambda n, s: f"link {s[1]} to {s[0]}",
    ops.OP_DEVICE: lambda n, s: f"make the {DEVICES.get(n[0], 'node')} {s[0]} ({n[1]}:{n[2]}, mode {n[3]:04o})",
    ops.OP_DEVICE_BIND: lambda n, s: f"bind the host's device {s[1]} on {s[0]}",
    ops.OP_MASK: lambda n, s: f"mask {s[0]} if it is there",
    ops.OP_READONLY: lambda n, s: f"make {s[0]} read-only if it is there",
    ops.OP_CONSOLE: lambda n, s: (
        "open a terminal as standard input, output and error" + (" and bind it on /dev/console" if n[2] else "")
    ),
    ops.OP_HOSTNAME: lambda n, s: f"set the host name to {s[0]}",
    ops.OP_DOMAINNAME: lambda n, s: f"set the domain name to {s[0]}",
    ops.OP_SYSCTL: lambda n, s: f"write {words(s[1])!r} to /proc/{s[0]}",
    ops.OP_HOOKS: lambda n, s: f"run {count(n[0], f'{s[0]} hook')}",
    ops.OP_STATE_DOCUMENT: lambda n, s: "give init the container's state, for its hooks",
    ops.OP_RUN_HOOK: lambda n, s: (
        f"run the hook {s[0]} in the container's namespaces" + (f", at most {n[0]} s" if n[0] else "")
    ),
    ops.OP_PIVOT: lambda n, s: ("pivot_root into the root", "move the root to /", "chroot into the root")[n[0]],
    ops.OP_ENTER_ROOT: lambda n, s: "enter the container's root",
    ops.OP_ROOT_READONLY: lambda n, s: "make the root read-only",
    ops.OP_ROOT_PROPAGATION: lambda n, s: f"make the root mount {spread(n[0])}",
    ops.OP_STDIO: lambda n, s: f"give standard input, output and error to uid {n[0]}",
    ops.OP_KEEP_DESCRIPTORS: lambda n, s: "close every other descriptor" + (f", keeping {n[0]}" if n[0] else ""),
    ops.OP_RLIMIT: lambda n, s: f"limit {identity.RLIMITS[n[0]]} to {limit(n[1])}, hard {limit(n[2])}",
    ops.OP_UMASK: lambda n, s: f"set the umask to {n[0]:04o}",
    ops.OP_KEYRING: lambda n, s: f"join a new session keyring {s[0]}",
    ops.OP_NO_NEW_PRIVS: lambda n, s: "set no_new_privs",
    ops.OP_BOUNDING: lambda n, s: f"keep in the bounding set: {bits(n[0])}",
    ops.OP_USER: lambda n, s: (
        f"become uid {n[0]}, gid {n[1]}" + (f", groups {', '.join(map(words, s[0]))}" if s[0] else "")
    ),
    ops.OP_CAPABILITIES: lambda n, s: (
        f"hold as effective: {bits(n[0])}; permitted: {bits(n[1])}; inheritable: {bits(n[2])}; ambient: {bits(n[3])}"
    ),
    ops.OP_CWD: lambda n, s: f"change directory to {s[0]}",
    ops.OP_PROGRAM: lambda n, s: f"look up {words(s[0][0])}" + ("" if "/" in words(s[0][0]) else f" in {s[2]}"),
    ops.OP_CREATED: lambda n, s: "report that the container is created",
    ops.OP_WAIT_START: lambda n, s: "wait for start",
    ops.OP_PLACE_DESCRIPTORS: lambda n, s: (
        f"put {count(n[0], 'kept descriptor')} at 3 and on" if n[0] else "leave no descriptor above 2"
    ),
    ops.OP_SECCOMP: lambda n, s: (
        f"load the seccomp filter ({count(len(s[0]) // 8, 'instruction')})" if s[0] else "load the seccomp filter"
    ),
    ops.OP_EXEC: lambda n, s: f"execute {words(s[0])}",
}


def sentence(operation: "Operation") -> str:
    code, _, _, numbers, strings = operation
    return SENTENCES[code](numbers, strings)


def found(operation: "Operation", error: int) -> str:
    """What init saw in place of what it verified; "" where errno says it all."""
    code = operation[0]
    if code == ops.OP_OPEN_NAMESPACE:
        return "the file is no namespace of this type"
    if code == ops.OP_MASK and error == ENODEV:
        return "the host's /dev/null is not the null device"
    if code == ops.OP_CWD:
        return "the directory is outside the container's root"
    return FINDINGS.get(error, "")


def remedy(operation: "Operation", step: int, error: int) -> str:
    """What to do about it, where that is known; "" where it is not."""
    code = operation[0]
    if code == ops.OP_RLIMIT and error == EPERM:
        return "; raising a hard limit takes CAP_SYS_RESOURCE: lower it in the config"
    if code == ops.OP_OOM_SCORE_ADJ and error in (EACCES, EPERM):
        return "; a lower score than the caller's takes CAP_SYS_RESOURCE"
    if code == ops.OP_UNSHARE and error in (ENOSPC, EUSERS):
        return "; too many namespaces: see /proc/sys/user/max_*_namespaces"
    if code == ops.OP_MOUNT and error == ENODEV:
        return "; the kernel does not know this file system"
    if code == ops.OP_CONSOLE and STEPS[step] in ("open", "verify"):
        return "; a terminal needs a mount of type devpts on /dev/pts"
    if code == ops.OP_SECCOMP and error == EACCES:
        return "; without CAP_SYS_ADMIN a filter needs noNewPrivileges"
    return ""


def program_failure(name: str, step: int, error: int) -> OcirunError:
    """In the words that managers match: Docker's exit codes 127 and 126 depend on them."""
    pointer = "/process/args"
    if step == STEP_LOOKUP and error == ENOENT and "/" not in name:
        return OcirunError(f'exec: "{name}": executable file not found in $PATH', f"{pointer}/0", None, error)
    tried = f"stat {name}: " if step == STEP_LOOKUP and error == ENOENT else ""
    return OcirunError(f'exec: "{name}": {tried}{system_words(error)}', f"{pointer}/0", None, error)


def hook_failure(operation: "Operation", error: int, step: int, detail: int) -> OcirunError:
    import posix

    path = words(operation[4][0])
    if step == STEP_HOOK_TIMEOUT:
        return OcirunError(f"hook {path}: not finished after its timeout of {operation[3][0]} s, killed", operation[2])
    if step == STEP_HOOK_EXIT:
        code = posix.waitstatus_to_exitcode(detail)
        how = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        hint = "; it could not be executed in the container" if code == 127 else ""
        return OcirunError(f"hook {path}: {how}{hint}", operation[2])
    return OcirunError(f"start hook {path}: {system_words(error)}", operation[2], None, error)


def failure(operation: "Operation", error: int, step: int, detail: int = 0) -> OcirunError:
    """The error for a failed operation: the place in the config, what it does, what was tried, what the system said.

    ``error`` is errno, ``step`` of enum plan_step, ``detail`` what init adds: a hook's wait status.
    """
    code, _, origin, _, strings = operation
    if code in (ops.OP_PROGRAM, ops.OP_EXEC):
        first: Any = strings[0]
        return program_failure(words(first[0] if code == ops.OP_PROGRAM else first), step, error)
    if code == ops.OP_RUN_HOOK:
        return hook_failure(operation, error, step, detail)
    if step == STEP_VERIFY and (finding := found(operation, error)):
        return OcirunError(f"{sentence(operation)}: {finding}", origin, None, error)
    tried = STEPS[step] if step < len(STEPS) else ""
    tried = f"{sentence(operation)}: {tried}: " if tried and tried != "mount" else f"{sentence(operation)}: "
    return OcirunError(tried + system_words(error) + remedy(operation, step, error), origin, None, error)
