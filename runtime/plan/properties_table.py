"""Every property of a Linux config, and what it becomes. `docs/properties.md` is generated from this table.

`properties` warns about those without effect; a test keeps the two in agreement. A pointer is a path of the schema:
``*`` stands for every list item or map key. Pure and cold.
"""

BUILT, WARNED = "built", "warned"

# (section, names of its properties, what they become: operations, cgroup files, or parts of the state)
_BUILT = (
    ("", "ociVersion", "the check"),
    ("", "root mounts process hooks linux", ""),
    ("", "hostname", "`hostname`"),
    ("", "domainname", "`domainname`"),
    (
        "",
        "annotations",
        "the state, for hooks and `state`; `org.systemd.property.*` of the unit, with --systemd-cgroup; crun's `run.oci.*` (annotations.md)",
    ),
    ("/root", "path", "`root`, `pivot`"),
    ("/root", "readonly", "`root_readonly`"),
    ("/mounts/*", "destination type source options", "`mount`, `bind`, `remount`, `symlink`"),
    ("/mounts/*", "uidMappings gidMappings", "`idmap_tree`"),
    *((f"/mounts/*/{kind}Mappings/*", "containerID hostID size", "`idmap_tree`") for kind in ("uid", "gid")),
    ("/process", "terminal consoleSize", "`console`"),
    ("/process/consoleSize", "height width", "`console`"),
    ("/process", "cwd", "`cwd` `cwd_as_user`"),
    ("/process", "env args", "`program`, `exec`"),
    ("/process", "user", "`user`"),
    ("/process/user", "uid gid additionalGids", "`user`, `stdio`"),
    ("/process/user", "umask", "`umask`"),
    ("/process", "capabilities", "`bounding`, `capabilities`; one that cannot be granted is left out with a warning"),
    ("/process/capabilities", "bounding", "`bounding`"),
    ("/process/capabilities", "permitted effective inheritable ambient", "`capabilities`"),
    ("/process", "oomScoreAdj", "`oom_score_adj`"),
    ("/process", "noNewPrivileges", "`no_new_privs`"),
    ("/process", "rlimits", "`rlimit`"),
    ("/process/rlimits/*", "type soft hard", "`rlimit`"),
    ("/process", "apparmorProfile", "`label`; refused where AppArmor is not enabled"),
    ("/process", "selinuxLabel", "`label`; refused where SELinux is not enabled"),
    ("/process", "scheduler", "`scheduler`"),
    ("/process/scheduler", "policy flags nice priority runtime deadline period", "`scheduler`"),
    ("/process", "ioPriority", "`io_priority`"),
    ("/process/ioPriority", "class priority", "`io_priority`"),
    ("/process", "execCPUAffinity", "`affinity`, of `exec` alone"),
    ("/process/execCPUAffinity", "initial final", "`affinity`, of `exec` alone"),
    ("/hooks", "prestart createRuntime", "`hooks`"),
    ("/hooks", "createContainer startContainer", "`run_hook`"),
    ("/hooks", "poststart", "`start`"),
    ("/hooks", "poststop", "`delete`"),
    *(
        (f"/hooks/{kind}/*", "path args env timeout", "the hook")
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    ),
    ("/linux", "namespaces", "`unshare`, `open_namespace`, `join_namespace`, `fork`"),
    ("/linux/namespaces/*", "type", "`unshare`"),
    ("/linux/namespaces/*", "path", "`open_namespace`, `join_namespace`"),
    ("/linux", "uidMappings gidMappings", "`id_maps`"),
    ("/linux/uidMappings/*", "containerID hostID size", "`id_maps`"),
    ("/linux/gidMappings/*", "containerID hostID size", "`id_maps`"),
    ("/linux", "timeOffsets", "`time_offsets`"),
    ("/linux/timeOffsets", "monotonic boottime", "`time_offsets`"),
    ("/linux/timeOffsets/monotonic", "secs nanosecs", "`time_offsets`"),
    ("/linux/timeOffsets/boottime", "secs nanosecs", "`time_offsets`"),
    ("/linux", "personality", "`personality`"),
    ("/linux/personality", "domain", "`personality`"),
    ("/linux", "memoryPolicy", "`memory_policy`"),
    ("/linux/memoryPolicy", "mode nodes flags", "`memory_policy`"),
    ("/linux", "mountLabel", "an option of `mount` and `mask`, `file_label`; refused where SELinux is not enabled"),
    ("/linux", "intelRdt", "`resctrl`; refused where no resctrl file system is mounted"),
    ("/linux/intelRdt", "closID enableMonitoring", "directories of resctrl, `resctrl`"),
    ("/linux/intelRdt", "l3CacheSchema memBwSchema schemata", "`schemata` of the group"),
    ("/linux", "netDevices", "`net_device`"),
    ("/linux/netDevices/*", "name", "`net_device`"),
    ("/linux", "devices", "`device`, `device_bind`"),
    ("/linux/devices/*", "type path major minor", "`device`, `device_bind`"),
    ("/linux/devices/*", "fileMode uid gid", "`device`; a bound node keeps the host's"),
    (
        "/linux",
        "cgroupsPath",
        "`cgroups`, `open_cgroup`, `enter_cgroups`; with --systemd-cgroup slice:prefix:name of a unit",
    ),
    ("/linux", "resources", "`cgroups`; with --systemd-cgroup properties of the unit too, where there is one"),
    ("/linux", "rootfsPropagation", "`propagation`, `root_propagation`"),
    ("/linux", "seccomp", "`seccomp`, `seccomp_notify`"),
    ("/linux", "sysctl", "`sysctl`"),
    ("/linux", "maskedPaths", "`mask`"),
    ("/linux", "readonlyPaths", "`readonly`"),
    ("/linux/seccomp", "defaultAction defaultErrnoRet architectures flags syscalls", "`seccomp`"),
    (
        "/linux/seccomp",
        "listenerPath listenerMetadata",
        "`seccomp_notify`; without SCMP_ACT_NOTIFY there is no use for them",
    ),
    ("/linux/seccomp/syscalls/*", "names action errnoRet args", "`seccomp`"),
    ("/linux/seccomp/syscalls/*/args/*", "index value valueTwo op", "`seccomp`"),
    ("/linux/resources", "unified", "files of v2 by name"),
    ("/linux/resources", "devices", "`devices.allow` and `devices.deny`, on v2 a device filter"),
    ("/linux/resources/devices/*", "allow type major minor access", "as above"),
    ("/linux/resources", "pids", "the pids controller"),
    ("/linux/resources/pids", "limit", "`pids.max`"),
    ("/linux/resources", "blockIO", "the blkio or io controller"),
    ("/linux/resources/blockIO", "weight weightDevice", "`blkio.bfq.weight`, `io.bfq.weight`, `io.weight`"),
    ("/linux/resources/blockIO", "leafWeight", "`blkio.leaf_weight`; v2 has none: refused there"),
    ("/linux/resources/blockIO/weightDevice/*", "major minor weight leafWeight", "as above, for one disk"),
    *(
        row
        for name in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")
        for row in (
            ("/linux/resources/blockIO", f"throttle{name}Device", "`blkio.throttle.*`, `io.max`"),
            (f"/linux/resources/blockIO/throttle{name}Device/*", "major minor rate", "`blkio.throttle.*`, `io.max`"),
        )
    ),
    ("/linux/resources", "cpu", "the cpu and cpuset controllers"),
    ("/linux/resources/cpu", "shares", "`cpu.shares`, `cpu.weight`"),
    ("/linux/resources/cpu", "quota period", "`cpu.cfs_quota_us`, `cpu.cfs_period_us`, `cpu.max`"),
    ("/linux/resources/cpu", "burst", "`cpu.cfs_burst_us`, `cpu.max.burst`"),
    ("/linux/resources/cpu", "realtimeRuntime realtimePeriod", "`cpu.rt_*_us`; v2 has none: refused there"),
    ("/linux/resources/cpu", "cpus mems", "`cpuset.cpus`, `cpuset.mems`"),
    ("/linux/resources/cpu", "idle", "`cpu.idle`"),
    ("/linux/resources", "hugepageLimits", "the hugetlb controller"),
    ("/linux/resources/hugepageLimits/*", "pageSize limit", "`hugetlb.SIZE.limit_in_bytes`, `hugetlb.SIZE.max`"),
    ("/linux/resources", "memory", "the memory controller"),
    ("/linux/resources/memory", "limit", "`memory.limit_in_bytes`, `memory.max`"),
    ("/linux/resources/memory", "reservation", "`memory.soft_limit_in_bytes`, `memory.low`"),
    ("/linux/resources/memory", "swap", "`memory.memsw.limit_in_bytes`, `memory.swap.max`"),
    ("/linux/resources/memory", "kernel kernelTCP", "`memory.kmem.*`, where the kernel has it; refused on v2"),
    ("/linux/resources/memory", "swappiness", "`memory.swappiness`; v2 has none: refused there"),
    ("/linux/resources/memory", "disableOOMKiller", "`memory.oom_control`; v2 has none: refused there"),
    ("/linux/resources/memory", "checkBeforeUpdate", "nothing to do at `create`: a new cgroup uses no memory yet"),
    ("/linux/resources", "network", "the net_cls and net_prio controllers"),
    ("/linux/resources/network", "classID priorities", "`net_cls.classid`, `net_prio.ifpriomap`; refused on v2"),
    ("/linux/resources/network/priorities/*", "name priority", "`net_prio.ifpriomap`"),
    ("/linux/resources", "rdma", "the rdma controller"),
    ("/linux/resources/rdma/*", "hcaHandles hcaObjects", "`rdma.max`"),
)

# Pointer → (verdict, why). Everything below shares the verdict.
NOT_BUILT = {
    "/process/commandLine": (WARNED, "for Windows; `args` is used"),
    "/process/user/username": (WARNED, "for Windows; `uid` is used"),
    "/linux/personality/flags": (WARNED, "none is defined"),
    "/linux/resources/memory/useHierarchy": (WARNED, "cgroups always form a hierarchy; false cannot be had"),
    "/solaris": (WARNED, "for another platform"),
    "/windows": (WARNED, "for another platform"),
    "/vm": (WARNED, "for another platform"),
    "/zos": (WARNED, "for another platform"),
    "/freebsd": (WARNED, "for another platform"),
}

TABLE: "dict[str, tuple[str, str]]" = {
    **{f"{section}/{name}": (BUILT, how) for section, names, how in _BUILT for name in names.split()},
    **NOT_BUILT,
}


def verdict(path: str) -> "tuple[str, str]":
    """(verdict, how or why) of a schema path. Raises KeyError for one not in the table."""
    if path in TABLE:
        return TABLE[path]
    parent = path.rpartition("/")[0]
    while parent:
        if parent in NOT_BUILT:
            return NOT_BUILT[parent]
        parent = parent.rpartition("/")[0]
    raise KeyError(path)
