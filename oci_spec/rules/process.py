"""Rules on the process: those of every POSIX platform, then those of Linux."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.rules import Finding, Rule
    from oci_spec.types import Config

# (uid_t) -1: set*id(2) reads it as "unchanged".
NO_ID = 4294967295

_RLIMITS = frozenset(
    "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK".split()
)
CAPABILITIES = frozenset(
    """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE""".split()
)


def cwd_absolute(spec: "Config") -> "Iterator[Finding]":
    """config.md#process: cwd is an absolute path."""
    cwd = spec["process"].get("cwd", "/")
    if cwd[:1] != "/":
        yield "/process/cwd", "error", f"{cwd!r} is not an absolute path", f"write /{cwd}"


def args_not_empty(spec: "Config") -> "Iterator[Finding]":
    """config.md#process: except on Windows, args has at least one item, the program."""
    args = spec["process"].get("args")
    if not args:
        yield "/process/args", "error", "args is " + ("missing" if args is None else "empty"), "name the program to run"
    elif args[0] == "":
        # An unset variable of a script, mostly. Managers make 127 of the first words.
        message = 'exec: "": executable file not found in $PATH: the name is empty'
        yield "/process/args/0", "error", message, "write the program's path"


def env_entries(spec: "Config") -> "Iterator[Finding]":
    """config.md#process: env is a list of NAME=value, as in environ(7)."""
    for index, entry in enumerate(spec["process"].get("env", ())):
        if entry.find("=") < 1:
            yield (
                f"/process/env/{index}",
                "error",
                f"{entry!r} is not of the form NAME=value",
                "write the name, an equals sign and the value; a value may be empty",
            )


def rlimit_known(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-process: the type of a resource limit is one of Linux's."""
    for index, limit in enumerate(spec["process"].get("rlimits", ())):
        if limit.get("type", "RLIMIT_AS")[7:] not in _RLIMITS:
            yield (
                f"/process/rlimits/{index}/type",
                "error",
                f"{limit['type']} is not a resource limit of Linux",
                "see getrlimit(2) for the names",
            )


def rlimit_once(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-process: no resource limit is given twice."""
    seen = set()
    for index, limit in enumerate(spec["process"].get("rlimits", ())):
        if limit["type"] in seen:
            yield f"/process/rlimits/{index}/type", "error", f"{limit['type']} is given twice", "leave one out"
        seen.add(limit["type"])


def rlimit_soft_within_hard(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-process: the soft limit is at most the hard limit (setrlimit(2))."""
    for index, limit in enumerate(spec["process"].get("rlimits", ())):
        if limit["soft"] > limit["hard"]:
            message = f"the soft limit {limit['soft']} is above the hard limit {limit['hard']}"
            yield f"/process/rlimits/{index}/soft", "error", message, "write the hard limit or less"


def user_ids_required(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-user: user.uid and user.gid are given; a missing one is 0, as with the other runtimes."""
    user = spec["process"].get("user", {})
    for name in ("uid", "gid"):
        if name not in user:
            yield (
                f"/process/user/{name}",
                "warning",
                f"{name} is missing, it is taken as 0",
                f'add "{name}": 0 for root',
            )


def user_ids_valid(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-user: 4294967295 is not an id: the kernel reads it as "unchanged"."""
    user = spec["process"].get("user", {})
    for name in ("uid", "gid"):
        if user.get(name) == NO_ID:
            yield f"/process/user/{name}", "error", f"{NO_ID} is not a valid id", "write another id"
    groups = user.get("additionalGids", ())
    if NO_ID in groups:
        yield (
            f"/process/user/additionalGids/{groups.index(NO_ID)}",
            "error",
            f"{NO_ID} is not a valid id",
            "write another id",
        )


def umask_bits(spec: "Config") -> "Iterator[Finding]":
    """config.md#posix-platform-user: umask is a decimal number; only its nine low bits count."""
    umask = spec["process"].get("user", {}).get("umask", 0)
    if umask > 0o777:
        yield "/process/user/umask", "warning", f"only {umask & 0o777} of the mask {umask} counts", "022 is written 18"


def oom_score_range(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: oomScoreAdj is between -1000 and 1000."""
    score = spec["process"].get("oomScoreAdj", 0)
    if not -1000 <= score <= 1000:
        yield "/process/oomScoreAdj", "error", f"{score} is not between -1000 and 1000", "write a number in this range"


def effective_permitted(spec: "Config") -> "Iterator[Finding]":
    """config.md#linux-process: an effective capability is permitted too (capset(2))."""
    sets = spec["process"].get("capabilities", {})
    permitted = sets.get("permitted", ())
    for index, capability in enumerate(sets.get("effective", ())):
        if capability not in permitted and capability[4:] in CAPABILITIES:
            pointer = f"/process/capabilities/effective/{index}"
            yield pointer, "error", f"{capability} is effective but not permitted", "add it to permitted"


POSIX: "tuple[Rule, ...]" = (cwd_absolute, args_not_empty, env_entries, rlimit_once, rlimit_soft_within_hard)
LINUX: "tuple[Rule, ...]" = (
    *POSIX,
    rlimit_known,
    user_ids_required,
    user_ids_valid,
    umask_bits,
    oom_score_range,
    effective_permitted,
)
