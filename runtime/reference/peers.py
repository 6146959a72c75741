"""Which versions of runc and crun honour a property or a word, where not every version in use does. Pure and cold.

From their sources, by tag, and their release notes: runc to 1.5.1, crun to 1.29.1. What is not listed, both honour (runc
since 1.0.0 at the latest, crun since 1.0).
"""

YES, NO = "yes", "no"
ALL = (YES, YES)

# pointer → (runc, crun). A row holds for everything below it that has no row of its own.
PROPERTIES: "dict[str, tuple[str, str]]" = {
    "/domainname": ("since 1.2.0", "since 1.7"),
    "/mounts/*/uidMappings": ("since 1.2.0", "since 1.9"),
    "/mounts/*/gidMappings": ("since 1.2.0", "since 1.9"),
    "/process/ioPriority": ("since 1.2.0", "since 1.8.6"),
    "/process/scheduler": ("since 1.2.0", "since 1.8.5"),
    "/process/execCPUAffinity": ("since 1.3.0", "since 1.19"),
    "/linux/timeOffsets": ("since 1.2.0", "since 1.8.4"),
    "/linux/personality": ("since 1.2.0", YES),
    "/linux/memoryPolicy": ("since 1.4.0", "since 1.24"),
    "/linux/netDevices": ("since 1.4.0", "since 1.22"),
    "/linux/intelRdt": (YES, "since 1.10"),
    "/linux/intelRdt/closID": ("since 1.1.0", "since 1.10"),
    "/linux/intelRdt/schemata": ("since 1.4.0", "since 1.22"),
    "/linux/intelRdt/enableMonitoring": ("since 1.4.0", "since 1.24"),
    "/linux/seccomp/listenerPath": ("since 1.1.0", YES),
    "/linux/seccomp/listenerMetadata": ("since 1.1.0", YES),
    "/linux/resources/memory/kernel": ("no: ignored with a warning", YES),
    "/linux/resources/memory/kernelTCP": ("no: ignored with a warning", YES),
    "/linux/resources/memory/useHierarchy": ("no: ignored", YES),
    "/linux/resources/memory/checkBeforeUpdate": ("since 1.2.0", "since 1.7, on v2"),
    "/linux/resources/cpu/burst": ("since 1.2.0", "since 1.11"),
    "/linux/resources/cpu/idle": ("since 1.2.0", "since 1.5"),
    "/linux/resources/hugepageLimits": ("yes; the files with rsvd since 1.1.10", "yes, without the files with rsvd"),
    "/linux/resources/rdma": ("since 1.1.0", NO),
    **dict.fromkeys(("/freebsd", "/solaris", "/windows", "/vm", "/zos"), (NO, NO)),
    **dict.fromkeys(("/process/commandLine", "/process/user/username", "/linux/personality/flags"), (NO, NO)),
}

_ID_MAPPED = ("since 1.2.0", "since 1.4")
WORDS: "dict[str, tuple[str, str]]" = {
    "time": ("since 1.2.0", "since 1.8.4"),
    "idmap": _ID_MAPPED,
    "ridmap": ("since 1.2.0", "since 1.9"),
    "copy-symlink": (NO, "since 1.10"),
    "src-nofollow": (NO, "since 1.22"),
    "dest-nofollow": (NO, "since 1.22"),
    **dict.fromkeys(("nosymfollow", "symfollow"), ("since 1.1.0", NO)),
    **dict.fromkeys(("rnosymfollow", "rsymfollow"), ("since 1.1.0", NO)),
    **dict.fromkeys(("iversion", "noiversion", "lazytime", "nolazytime", "silent", "loud"), (YES, NO)),
    **dict.fromkeys(("rsync", "rasync", "rdirsync", "rmand", "rnomand"), (NO, "since 1.4")),
    "SCMP_ACT_KILL_PROCESS": ("since 1.1.0", YES),
    "SCMP_ACT_KILL_THREAD": ("since 1.1.0", YES),
    "SCMP_ACT_NOTIFY": ("since 1.1.0", YES),
    "SCMP_ARCH_RISCV64": ("since 1.1.10", YES),
    "SCMP_ARCH_LOONGARCH64": ("since 1.5.0", YES),
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": ("since 1.5.0", "since 1.6"),
}
_RECURSIVE = ("since 1.1.0", "since 1.4")
CRUNS = ("run.oci.", "module.wasm.")  # annotations


def of_pointer(pointer: str) -> "tuple[str, str]":
    """(runc, crun) for a place of config.json."""
    while pointer and pointer not in PROPERTIES:
        pointer = pointer.rpartition("/")[0]
    return PROPERTIES.get(pointer, ALL)


def of_word(word: str) -> "tuple[str, str]":
    """(runc, crun) for a value."""
    from runtime.plan.mount_options import OPTIONS, RECURSIVE

    if word not in WORDS and OPTIONS.get(word, (-1, 0, 0))[0] == RECURSIVE:
        return _RECURSIVE
    if word.startswith(CRUNS):
        return NO, YES
    return WORDS.get(word, ALL)
