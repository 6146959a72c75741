"""Capability names and sets as the kernel's bits (linux/capability.h). Pure and hot."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import CapabilitySet, ProcessCapabilities

    Masks = dict[CapabilitySet, int]

NAMES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP "
    "CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER "
    "CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE "
    "CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP "
    "CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF "
    "CAP_CHECKPOINT_RESTORE"
).split()
BITS = {name: 1 << i for i, name in enumerate(NAMES)}
SYS_ADMIN = BITS["CAP_SYS_ADMIN"]
SYS_RESOURCE = BITS["CAP_SYS_RESOURCE"]
SETS: "tuple[CapabilitySet, ...]" = ("bounding", "effective", "permitted", "inheritable", "ambient")


def masks(capabilities: "ProcessCapabilities", available: int) -> "tuple[Masks, list[str]]":
    """The five sets as masks, and the names that cannot be granted: unknown, or not in ``available``.

    The spec asks for a warning, not an error (config.md, linux-process). A capability that cannot be granted is left
    out of every set. An ambient one must be both permitted and inheritable.
    """
    refused: dict[str, None] = {}  # in their order; a list would be searched once for each of many thousands
    result: Masks = {}
    for kind in SETS:
        mask = 0
        for name in capabilities.get(kind, []):
            bit = BITS.get(name, 0) & available
            if bit:
                mask |= bit
            else:
                refused[name] = None
        result[kind] = mask
    # capset(2): effective must be within permitted, and ambient within permitted and inheritable.
    result["effective"] &= result["permitted"]
    result["ambient"] &= result["permitted"] & result["inheritable"]
    return result, list(refused)


def not_ambient(capabilities: "ProcessCapabilities", sets: "Masks", available: int) -> "list[str]":
    """The names that could be granted, but that `masks` left out of the ambient set."""
    wanted = capabilities.get("ambient", [])
    return [name for name in wanted if BITS.get(name, 0) & available & ~sets["ambient"]]
