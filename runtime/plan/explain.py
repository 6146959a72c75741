"""Operations as sentences: what `ocirun plan` prints. Pure, and cold: no good path imports it."""

from . import capabilities, explain_attributes, explain_ids, explain_mounts, identity, namespaces, ops, rootfs
from .explain_mounts import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .ops import Operation


def words(value: "Any") -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value or ""


def names(flags: int, table: "dict[str, int]") -> str:
    """The names in ``table`` of the bits of ``flags``, which may be a signed 64-bit number."""
    return ", ".join(name for name, bit in table.items() if flags & bit) or "none"


COPY_UP, HOST_COPY = 1, 16  # MOUNT_* of plan.h
RECURSIVE, SOURCE_NOFOLLOW, TARGET_NOFOLLOW = 1, 2, 4  # BIND_* of plan.h
IF_TARGET, REPLACE = 1, 2  # SYMLINK_* of plan.h


SPREAD = {
    "shared": "shared with the host: what is mounted in one place is seen in the other",
    "slave": "a slave of the host's: later mounts come in, none go out",
    "private": "private: none come in or go out",
    "unbindable": "unbindable: none come in or go out, and none can be bound elsewhere",
}


def spread(flags: int) -> str:
    return next((words for name, words in SPREAD.items() if flags & rootfs.PROPAGATION[name]), "as it is")


def mount(n: "Any", s: "Any") -> str:
    """The file system, its place, how it is mounted, and the file system's own options."""
    text = f"mount {s[1]} on {s[0]}{options(n[0], 0, n[2], n[3], n[1] | n[5])}"
    if s[3]:
        text += f" with {','.join(map(words, s[3]))}"
    if n[4] & COPY_UP:
        text += ", filled with what it covers"
    if n[4] & HOST_COPY:
        text += "; where the kernel refuses that, bind the host's"
    return text


def bind(n: "Any", s: "Any") -> str:
    what = f"{s[1]} and what is mounted below it" if n[0] & RECURSIVE and s[1] else s[1] or "that mount"
    links = ", which may be a link," if n[0] & SOURCE_NOFOLLOW else ""
    over = ", over a link that stands there" if n[0] & TARGET_NOFOLLOW else ""
    return f"bind {what}{links} on {s[0]}{options(n[1], n[2], n[4], n[5], n[3])}{over}"


def command(args: "Any") -> str:
    import shlex

    return shlex.join(words(a) for a in args)


FEW = 8


def bits(mask: int) -> str:
    """Capabilities by name; of nearly all of them, those that are missing."""
    missing = [name for name, bit in capabilities.BITS.items() if not mask & bit]
    if len(missing) <= FEW:
        return "all capabilities" + (f" but {lowered(missing)}" if missing else "")
    return lowered([name for name, bit in capabilities.BITS.items() if mask & bit]) or "no capabilities"


def lowered(found: "list[str]") -> str:
    return ", ".join(name.removeprefix("CAP_").lower() for name in found)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def limit(value: int) -> str:
    return "unlimited" if value & ((1 << 64) - 1) == (1 << 64) - 1 else str(value)


def held(sets: "Any") -> str:
    """The four sets, those that are alike together."""
    together: dict[int, list[str]] = {}
    for name, mask in zip(("effective", "permitted", "inheritable", "ambient"), sets, strict=True):
        together.setdefault(mask, []).append(name)
    return "hold as " + "; as ".join(f"{' and '.join(kinds)} {bits(mask)}" for mask, kinds in together.items())


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
    ops.OP_UNSHARE: lambda n, s: (
        f"make {'a new namespace' if n[0] & (n[0] - 1) == 0 else 'new namespaces'}: {names(n[0], CLONES)}"
    ),
    ops.OP_ID_MAPS: lambda n, s: (
        f"write the id maps: uids {explain_ids.ranges(words(s[0]))}; gids {explain_ids.ranges(words(s[1]))}"
        + ("; and deny setgroups" if n[0] else "")
    ),
    ops.OP_BECOME: lambda n, s: f"become uid {n[0]}, gid {n[1]} of the user namespace",
    ops.OP_TIME_OFFSETS: lambda n, s: "set the clock offsets: " + "; ".join(words(s[0]).splitlines()),
    ops.OP_FORK: lambda n, s: "go on in a child, inside the new pid or time namespace",
    ops.OP_ENTER_CGROUPS: lambda n, s: "enter the cgroups",
    ops.OP_SETSID: lambda n, s: "start a session",
    ops.OP_NET_DEVICE: lambda n, s: (
        f"move the network device {s[0]} into the container" + (f" as {s[1]}" if s[1] != s[0] else "")
    ),
    ops.OP_PROPAGATION: lambda n, s: f"make every mount {spread(n[0])}",
    ops.OP_OPEN_TREE: explain_mounts.open_tree,
    ops.OP_IDMAP_TREE: explain_ids.idmap_tree,
    ops.OP_ROOT: lambda n, s: f"{'mount' if n[0] else 'open'} the root {s[0]}" + (" over itself" if n[0] else ""),
    ops.OP_PROC_HANDLE: lambda n, s: "open a procfs for init's own use",
    ops.OP_MOUNT: mount,
    ops.OP_BIND: bind,
    ops.OP_REMOUNT: lambda n, s: (
        f"change the mount at {s[0]}{options(n[0], n[1], n[4], n[5], n[2] | n[3])}"
        + (f" with {','.join(map(words, s[1]))}" if s[1] else "")
    ),
    ops.OP_SYMLINK: lambda n, s: (
        f"link {s[1]} to {s[0]}"
        + (" if that exists" if n[0] & IF_TARGET else "")
        + (", in place of what is there" if n[0] & REPLACE else "")
    ),
    ops.OP_DEVICE: lambda n, s: f"make the {DEVICES.get(n[0], 'node')} {s[0]} ({n[1]}:{n[2]}, mode {n[3]:04o})",
    ops.OP_DEVICE_TREE: explain_mounts.device_tree,
    ops.OP_DEVICE_BIND: lambda n, s: (f"bind the host's device {s[1]}" if s[1] else "bind that device") + f" on {s[0]}",
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
        f"run the hook {s[0]} in the container's namespaces"
        + (" and under its seccomp filter" if n[3] else "")
        + (f", at most {n[0]} s" if n[0] else "")
    ),
    ops.OP_PIVOT: lambda n, s: "enter the root by " + ("pivot_root", "moving it to /", "chroot alone")[n[0]],
    ops.OP_ENTER_ROOT: lambda n, s: "enter the container's root",
    ops.OP_ROOT_READONLY: lambda n, s: "make the root read-only",
    ops.OP_ROOT_PROPAGATION: lambda n, s: f"make the root's mount {spread(n[0])}",
    ops.OP_STDIO: lambda n, s: f"give standard input, output and error to uid {n[0]}",
    ops.OP_KEEP_DESCRIPTORS: lambda n, s: (
        "close every descriptor but the standard streams and init's own"
        + (f", keeping the {n[0]} to preserve" if n[0] else "")
    ),
    ops.OP_RLIMIT: lambda n, s: (
        f"set {identity.RLIMITS[n[0]]} to {limit(n[1])}" + (f", at most {limit(n[2])}" if n[1] != n[2] else "")
    ),
    ops.OP_UMASK: lambda n, s: f"set the umask to {n[0]:04o}",
    ops.OP_KEYRING: lambda n, s: f"join a new session keyring {s[0]}",
    ops.OP_NO_NEW_PRIVS: lambda n, s: "set no_new_privs",
    ops.OP_BOUNDING: lambda n, s: f"keep in the bounding set: {bits(n[0])}",
    ops.OP_USER: lambda n, s: (
        f"become uid {n[0]}, gid {n[1]}, "
        + (
            f"groups {', '.join(map(words, s[0]))}"
            if s[0]
            else "no other group"
            if n[2]
            else "other groups as they are"
        )
    ),
    ops.OP_CAPABILITIES: lambda n, s: held(n),
    ops.OP_CWD: lambda n, s: f"change directory to {s[0]}",
    ops.OP_CWD_AS_USER: lambda n, s: f"change directory to {s[0]} as the container's user, if root was denied",
    ops.OP_PROGRAM: lambda n, s: f"look up {words(s[0][0])}" + ("" if "/" in words(s[0][0]) else f" in {s[2]}"),
    ops.OP_CREATED: lambda n, s: "report that the container is created",
    ops.OP_WAIT_START: lambda n, s: "wait for start",
    ops.OP_PLACE_DESCRIPTORS: lambda n, s: (
        f"put {count(n[0], 'preserved descriptor')} at 3 and on"
        if n[0]
        else "let the program have no descriptor above 2"
    ),
    ops.OP_SECCOMP: lambda n, s: (
        f"load the seccomp filter ({count(len(s[0]) // 8, 'instruction')})" if s[0] else "load the seccomp filter"
    ),
    ops.OP_SECCOMP_NOTIFY: lambda n, s: (
        f"load the seccomp filter ({count(len(s[0] or b'') // 8, 'instruction')}) and have its listener sent to {s[1]}"
    ),
    ops.OP_EXEC: lambda n, s: f"execute {words(s[0])}",
    **explain_attributes.SENTENCES,
}


def sentence(operation: "Operation") -> str:
    code, _, _, numbers, strings = operation
    return SENTENCES[code](numbers, strings)
