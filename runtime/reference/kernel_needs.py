"""What of the kernel a property needs, beyond what every container does. Pure and cold.

A pointer's row holds for everything below it that has no row of its own. Versions are those of the mainline kernel.
"""

BOTH, V1, V2 = "v1 and v2", "v1 only", "v2 only"

# pointer → (since which Linux, or ""; its options, or ""; the cgroup version, or ""; what else there is to know, or "")
NEEDS: "dict[str, tuple[str, str, str, str]]" = {
    "/mounts": ("", "", "", "the kernel must have the file system; /proc/filesystems lists those that are loaded"),
    "/mounts/*/options": ("", "", "", "see `ocirun explain OPTION` for one option"),
    "/mounts/*/uidMappings": ("5.12", "", "", "the file system has to support id-mapped mounts"),
    "/mounts/*/gidMappings": ("5.12", "", "", "the file system has to support id-mapped mounts"),
    "/process/terminal": ("", "CONFIG_UNIX98_PTYS", "", ""),
    "/process/consoleSize": ("", "CONFIG_UNIX98_PTYS", "", ""),
    "/process/capabilities/ambient": ("4.3", "", "", ""),
    "/process/apparmorProfile": ("", "CONFIG_SECURITY_APPARMOR", "", "AppArmor has to be enabled at boot"),
    "/process/selinuxLabel": ("", "CONFIG_SECURITY_SELINUX", "", "a policy has to be loaded"),
    "/process/ioPriority": (
        "2.6.13",
        "CONFIG_BLOCK",
        "",
        "bfq and mq-deadline look at it, other I/O schedulers do not",
    ),
    "/process/noNewPrivileges": ("3.5", "", "", ""),
    "/process/scheduler": ("3.14", "", "", ""),
    "/process/scheduler/flags": ("3.14", "", "", "SCHED_FLAG_UTIL_CLAMP_*: Linux 5.3 and CONFIG_UCLAMP_TASK"),
    "/hostname": ("", "CONFIG_UTS_NS", "", ""),
    "/domainname": ("", "CONFIG_UTS_NS", "", ""),
    "/linux/namespaces": ("", "CONFIG_NAMESPACES", "", "see `ocirun explain TYPE` for one type"),
    "/linux/uidMappings": ("3.8", "CONFIG_USER_NS", "", ""),
    "/linux/gidMappings": ("3.8", "CONFIG_USER_NS", "", ""),
    "/linux/timeOffsets": ("5.6", "CONFIG_TIME_NS", "", ""),
    "/linux/netDevices": ("", "CONFIG_NET_NS", "", ""),
    "/linux/personality": ("", "", "", "LINUX32 needs a 64-bit kernel that runs 32-bit programs"),
    "/linux/memoryPolicy": ("", "CONFIG_NUMA", "", ""),
    "/linux/memoryPolicy/mode": (
        "",
        "CONFIG_NUMA",
        "",
        "MPOL_PREFERRED_MANY: Linux 5.15; MPOL_WEIGHTED_INTERLEAVE: Linux 6.9",
    ),
    "/linux/memoryPolicy/flags": ("", "CONFIG_NUMA", "", "MPOL_F_NUMA_BALANCING: Linux 5.12"),
    "/linux/mountLabel": ("", "CONFIG_SECURITY_SELINUX", "", "a policy has to be loaded"),
    "/linux/intelRdt": (
        "4.10",
        "CONFIG_X86_CPU_RESCTRL",
        "",
        "the processor has to have it, and resctrl has to be mounted; in older kernels CONFIG_INTEL_RDT",
    ),
    "/linux/intelRdt/memBwSchema": ("4.12", "CONFIG_X86_CPU_RESCTRL", "", "the processor has to have it"),
    "/linux/intelRdt/enableMonitoring": ("4.14", "CONFIG_X86_CPU_RESCTRL", "", "the processor has to have it"),
    "/linux/seccomp": ("3.5", "CONFIG_SECCOMP_FILTER", "", ""),
    "/linux/seccomp/flags": (
        "3.17",
        "CONFIG_SECCOMP_FILTER",
        "",
        "SECCOMP_FILTER_FLAG_LOG: Linux 4.14; SPEC_ALLOW: 4.17; WAIT_KILLABLE_RECV: 5.19",
    ),
    "/linux/seccomp/listenerPath": ("5.0", "CONFIG_SECCOMP_FILTER", "", ""),
    "/linux/seccomp/listenerMetadata": ("5.0", "CONFIG_SECCOMP_FILTER", "", ""),
    "/linux/cgroupsPath": ("", "CONFIG_CGROUPS", BOTH, ""),
    "/linux/resources": ("", "CONFIG_CGROUPS", BOTH, ""),
    "/linux/resources/unified": ("4.5", "CONFIG_CGROUPS", V2, "the files that there are depend on the controllers"),
    "/linux/resources/devices": (
        "",
        "CONFIG_CGROUP_DEVICE",
        BOTH,
        "on v2 instead Linux 4.15 and CONFIG_CGROUP_BPF",
    ),
    "/linux/resources/pids": ("4.3", "CONFIG_CGROUP_PIDS", BOTH, ""),
    "/linux/resources/blockIO": ("", "CONFIG_BLK_CGROUP", BOTH, ""),
    "/linux/resources/blockIO/weight": (
        "",
        "CONFIG_BFQ_GROUP_IOSCHED",
        BOTH,
        "on v2 CONFIG_BLK_CGROUP_IOCOST does too; the disk has to use that scheduler",
    ),
    "/linux/resources/blockIO/weightDevice": (
        "",
        "CONFIG_BFQ_GROUP_IOSCHED",
        BOTH,
        "Linux 5.4; on v2 CONFIG_BLK_CGROUP_IOCOST does too; the disk has to use that scheduler",
    ),
    "/linux/resources/blockIO/leafWeight": ("", "CONFIG_CFQ_GROUP_IOSCHED", V1, "gone since Linux 5.0"),
    "/linux/resources/blockIO/weightDevice/*/leafWeight": (
        "",
        "CONFIG_CFQ_GROUP_IOSCHED",
        V1,
        "gone since Linux 5.0",
    ),
    **{
        f"/linux/resources/blockIO/throttle{name}Device": ("", "CONFIG_BLK_DEV_THROTTLING", BOTH, "")
        for name in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")
    },
    "/linux/resources/cpu": ("", "CONFIG_FAIR_GROUP_SCHED", BOTH, ""),
    "/linux/resources/cpu/quota": ("3.2", "CONFIG_CFS_BANDWIDTH", BOTH, ""),
    "/linux/resources/cpu/period": ("3.2", "CONFIG_CFS_BANDWIDTH", BOTH, ""),
    "/linux/resources/cpu/burst": ("5.14", "CONFIG_CFS_BANDWIDTH", BOTH, ""),
    "/linux/resources/cpu/realtimeRuntime": ("", "CONFIG_RT_GROUP_SCHED", V1, "few distributions set the option"),
    "/linux/resources/cpu/realtimePeriod": ("", "CONFIG_RT_GROUP_SCHED", V1, "few distributions set the option"),
    "/linux/resources/cpu/cpus": ("", "CONFIG_CPUSETS", BOTH, "on v2 Linux 5.0"),
    "/linux/resources/cpu/mems": ("", "CONFIG_CPUSETS", BOTH, "on v2 Linux 5.0"),
    "/linux/resources/cpu/idle": ("5.15", "CONFIG_FAIR_GROUP_SCHED", BOTH, ""),
    "/linux/resources/hugepageLimits": (
        "",
        "CONFIG_CGROUP_HUGETLB",
        BOTH,
        "on v2 Linux 5.6; reservations (the files with rsvd): Linux 5.7",
    ),
    "/linux/resources/memory": ("", "CONFIG_MEMCG", BOTH, "v1 since Linux 6.11: CONFIG_MEMCG_V1"),
    "/linux/resources/memory/swap": (
        "",
        "CONFIG_MEMCG",
        BOTH,
        "before Linux 6.1 CONFIG_MEMCG_SWAP, and on some kernels swapaccount=1 at boot",
    ),
    "/linux/resources/memory/kernel": ("", "CONFIG_MEMCG_KMEM", V1, "gone since Linux 5.16"),
    "/linux/resources/memory/kernelTCP": ("", "CONFIG_MEMCG_KMEM", V1, ""),
    "/linux/resources/memory/swappiness": ("", "CONFIG_MEMCG", V1, ""),
    "/linux/resources/memory/disableOOMKiller": ("", "CONFIG_MEMCG", V1, ""),
    "/linux/resources/memory/useHierarchy": ("", "CONFIG_MEMCG", V1, "always on since Linux 5.11"),
    "/linux/resources/network": ("", "CONFIG_CGROUPS", V1, ""),
    "/linux/resources/network/classID": ("", "CONFIG_CGROUP_NET_CLASSID", V1, ""),
    "/linux/resources/network/priorities": ("", "CONFIG_CGROUP_NET_PRIO", V1, ""),
    "/linux/resources/rdma": ("4.11", "CONFIG_CGROUP_RDMA", BOTH, ""),
}

# The same for words: mount options, namespace types, seccomp actions and others.
WORDS: "dict[str, tuple[str, str, str, str]]" = {
    "idmap": NEEDS["/mounts/*/uidMappings"],
    "ridmap": NEEDS["/mounts/*/uidMappings"],
    "nosymfollow": ("5.10", "", "", ""),
    "symfollow": ("5.10", "", "", ""),
    "rnosymfollow": ("5.14", "", "", ""),
    "rsymfollow": ("5.14", "", "", ""),
    "mand": ("", "CONFIG_MANDATORY_FILE_LOCKING", "", "gone since Linux 5.15, where it has no effect"),
    "nomand": ("", "CONFIG_MANDATORY_FILE_LOCKING", "", "gone since Linux 5.15, where it has no effect"),
    "pid": ("", "CONFIG_PID_NS", "", ""),
    "network": ("", "CONFIG_NET_NS", "", ""),
    "mount": ("", "CONFIG_NAMESPACES", "", ""),
    "ipc": ("", "CONFIG_IPC_NS", "", ""),
    "uts": ("", "CONFIG_UTS_NS", "", ""),
    "user": ("3.8", "CONFIG_USER_NS", "", "a system may forbid them to ordinary users: see `ocirun doctor`"),
    "cgroup": ("4.6", "CONFIG_CGROUPS", "", ""),
    "time": ("5.6", "CONFIG_TIME_NS", "", ""),
    "SCMP_ACT_KILL_PROCESS": ("4.14", "CONFIG_SECCOMP_FILTER", "", ""),
    "SCMP_ACT_LOG": ("4.14", "CONFIG_SECCOMP_FILTER", "", ""),
    "SCMP_ACT_NOTIFY": ("5.0", "CONFIG_SECCOMP_FILTER", "", ""),
    "SECCOMP_FILTER_FLAG_TSYNC": ("3.17", "CONFIG_SECCOMP_FILTER", "", ""),
    "SECCOMP_FILTER_FLAG_LOG": ("4.14", "CONFIG_SECCOMP_FILTER", "", ""),
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": ("4.17", "CONFIG_SECCOMP_FILTER", "", ""),
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": ("5.19", "CONFIG_SECCOMP_FILTER", "", ""),
    "CAP_SYSLOG": ("2.6.37", "", "", ""),
    "CAP_WAKE_ALARM": ("3.0", "", "", ""),
    "CAP_BLOCK_SUSPEND": ("3.5", "", "", ""),
    "CAP_AUDIT_READ": ("3.16", "", "", ""),
    "CAP_PERFMON": ("5.8", "", "", ""),
    "CAP_BPF": ("5.8", "", "", ""),
    "CAP_CHECKPOINT_RESTORE": ("5.9", "", "", ""),
    "MPOL_PREFERRED_MANY": ("5.15", "CONFIG_NUMA", "", ""),
    "MPOL_WEIGHTED_INTERLEAVE": ("6.9", "CONFIG_NUMA", "", ""),
    "MPOL_F_NUMA_BALANCING": ("5.12", "CONFIG_NUMA", "", ""),
    "SCHED_FLAG_RECLAIM": ("4.13", "", "", ""),
    "SCHED_FLAG_DL_OVERRUN": ("4.16", "", "", ""),
    "SCHED_FLAG_KEEP_POLICY": ("5.3", "", "", ""),
    "SCHED_FLAG_KEEP_PARAMS": ("5.3", "", "", ""),
    "SCHED_FLAG_UTIL_CLAMP_MIN": ("5.3", "CONFIG_UCLAMP_TASK", "", ""),
    "SCHED_FLAG_UTIL_CLAMP_MAX": ("5.3", "CONFIG_UCLAMP_TASK", "", ""),
    "SCHED_ISO": ("", "", "", "Linux reserves the name and has no such policy"),
}
NOTHING = ("", "", "", "")


def of_pointer(pointer: str) -> "tuple[str, str, str, str]":
    """What a place of config.json needs."""
    while pointer and pointer not in NEEDS:
        pointer = pointer.rpartition("/")[0]
    return NEEDS.get(pointer, NOTHING)


def of_word(word: str) -> "tuple[str, str, str, str]":
    """What a value needs."""
    if word not in WORDS and word[:1] == "r" and _recursive(word):
        return "5.12", "", "", ""
    return WORDS.get(word, NOTHING)


def _recursive(word: str) -> bool:
    from runtime.plan.mount_options import OPTIONS, RECURSIVE

    return OPTIONS.get(word, (-1, 0, 0))[0] == RECURSIVE
