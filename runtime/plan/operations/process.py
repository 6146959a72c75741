"""Identity and the user's program: from entering the root to execve."""

from __future__ import annotations

from runtime.plan import attributes
from runtime.plan.identity import RLIMITS

from .table import container, either, host
from .wording import alike, bit_names, capability_set, counted, limit, name, ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL_BITS = (1 << attributes.IO_CLASS_SHIFT) - 1
INSTRUCTION = 8  # bytes of a struct sock_filter


@container()
def stdio(uid: int) -> str:
    """Give the caller's standard streams to the user; replace the host's /dev/null by the container's."""
    return f"give standard input, output and error to uid {uid}"


@container()
def keep_descriptors(count: int, listener: bool) -> str:
    """Close all descriptors but the standard streams, the channel, ``count`` preserved ones and (``listener``) start's socket."""
    kept = f", keeping the {count} to preserve" if count else ""
    return f"close every descriptor but the standard streams and init's own{kept}"


@either()
def rlimit(resource: int, soft: int, hard: int, origin: str, side: int) -> str:
    """Set RLIMIT_*; all bits set means unlimited."""
    return f"set {RLIMITS[resource]} to {limit(soft)}" + (f", at most {limit(hard)}" if soft != hard else "")


@container()
def umask(umask: int, origin: str | None) -> str:
    """Set the file mode creation mask."""
    return f"set the umask to {umask:04o}"


@container()
def keyring(name: str) -> str:
    """Join a new session keyring, so that the program does not get the caller's."""
    return f"join a new session keyring {name}"


@container()
def label(path: str, older_path: str | None, label: str | None, origin: str) -> str:
    """Write ``label`` to procfs's ``path``, or on older kernels to ``older_path``; None clears it."""
    file = f"/proc/{path}"
    return f"take back what was written to {file}" if label is None else f"write {label!r} to {file}"


@either("/process/scheduler")
def scheduler(policy: int, flags: int, level: int, runtime: int, deadline: int, period: int, side: int) -> str:
    """sched_setattr(2): ``level`` is the static priority under SCHED_FIFO and SCHED_RR, else the nice value. Times in ns."""
    kind = name(policy, attributes.POLICIES)
    text = f"schedule by {kind}"
    if kind in attributes.REAL_TIME:
        text += f", priority {level}"
    elif level:
        text += f", nice {level}"
    if runtime:
        text += f", {runtime} ns of each {period or deadline} ns within {deadline} ns"
    return ", ".join([text, *bit_names(flags, attributes.SCHEDULER_FLAGS)])


@either("/process/ioPriority")
def io_priority(value: int, side: int) -> str:
    """ioprio_set(2) for init's process group; ``value``: class << 13 | level."""
    kind = name(value >> attributes.IO_CLASS_SHIFT, attributes.IO_CLASSES)
    return f"set the I/O priority to {kind}, level {value & LEVEL_BITS}"


@container("/linux/personality")
def personality(domain: int) -> str:
    """``domain``: PER_* of personality(2)."""
    return f"set the personality to {name(domain, attributes.DOMAINS)}"


@container("/linux/memoryPolicy")
def memory_policy(mode: int, nodes: Sequence[str]) -> str:
    """set_mempolicy(2): ``mode`` is MPOL_* with its MPOL_F_* bits, ``nodes`` decimal numbers."""
    text = f"take memory by {name(mode & attributes.MODE_BITS, attributes.MEMORY_MODES)}"
    text += f" on the nodes {ranges(nodes)}" if nodes else ""
    return ", ".join([text, *bit_names(mode, attributes.MEMORY_FLAGS)])


@container("/process/noNewPrivileges")
def no_new_privs() -> str:
    """PR_SET_NO_NEW_PRIVS: no execve grants privileges."""
    return "set no_new_privs"


@container()
def bounding(keep: int, origin: str | None) -> str:
    """Drop every capability that is not in ``keep`` from the bounding set."""
    return f"keep in the bounding set: {capability_set(keep)}"


@container("/process/user")
def user(uid: int, gid: int, set_groups: bool, groups: Sequence[str] | None) -> str:
    """Become the user; ``groups`` are decimal ids. Without ``set_groups`` the groups stay (setgroups is denied)."""
    others = f"groups {', '.join(groups)}" if groups else "no other group" if set_groups else "other groups as they are"
    return f"become uid {uid}, gid {gid}, {others}"


@container()
def capabilities(effective: int, permitted: int, inheritable: int, ambient: int, origin: str | None) -> str:
    """Set exactly these capability sets, each a mask."""
    sets = {"effective": effective, "permitted": permitted, "inheritable": inheritable, "ambient": ambient}
    return f"hold as {alike(sets)}"


@container("/process/cwd")
def cwd(path: str, make: bool) -> str:
    """Change to the working directory, unless denied; ``make``: create it if it is missing."""
    return f"chdir to {path}"


@container("/process/cwd")
def cwd_as_user(path: str) -> str:
    """The same as the container's user, if `cwd` was denied."""
    return f"chdir to {path} as the container's user, if root was denied"


@container("/process/args")
def program(args: Sequence[str], env: Sequence[str], search_path: str, uid: int, find_home: bool) -> str:
    """Look up args[0] as the container's user; ``find_home``: add HOME from the container's passwd."""
    return f"look up {args[0]}" + ("" if "/" in args[0] else f" in {search_path}")


@host()
def created() -> str:
    """Report that everything is ready; the parent records the container and lets init go."""
    return "report that the container is created"


@container()
def wait_start() -> str:
    """Wait for a connection to start.sock, which becomes the channel."""
    return "wait for start"


@container()
def place_descriptors(count: int) -> str:
    """Move the preserved descriptors to the numbers that the program expects."""
    if not count:
        return "let the program have no descriptor above 2"
    return f"put {counted(count, 'preserved descriptor')} at 3 and on"


@container("/linux/seccomp")
def seccomp(program: bytes, flags: int) -> str:
    """Load the filter ``program`` (struct sock_filter) with the SECCOMP_FILTER_FLAG_* bits ``flags``."""
    size = f" ({counted(len(program) // INSTRUCTION, 'instruction')})" if program else ""
    return f"load the seccomp filter{size}"


@container("/linux/seccomp")
def seccomp_notify(program: bytes, flags: int, listener_path: str, listener_metadata: str) -> str:
    """Load a filter with SCMP_ACT_NOTIFY; the runtime sends its listener to ``listener_path``.

    ``listener_metadata`` goes to the agent there.
    """
    size = counted(len(program) // INSTRUCTION, "instruction")
    return f"load the seccomp filter ({size}) and have its listener sent to {listener_path}"


@container()
def exec(name: str, origin: str = "/process/args") -> str:
    """Execute the program that `program` looked up; ``name`` is args[0], for error messages.

    ``origin``: the pointer of the label that the execve changes to, if any.
    """
    return f"execute {name}"
