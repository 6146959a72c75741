"""The documents as typed dicts, generated from schema/*.json by `oci_spec.generate_types`. Do not edit.

For type checkers only: import under TYPE_CHECKING. Other platforms' sections are untyped.
"""

# ruff: noqa
# fmt: off
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, Required, TypedDict

    # JSON of unknown shape: an unchecked document, or another platform's section.
    Json = Any
    JsonObject = dict[str, Json]

    Root = TypedDict("Root", {
        "path": Required[str],
        "readonly": bool,
    }, total=False)

    IdMapping = TypedDict("IdMapping", {
        "containerID": Required[int],
        "hostID": Required[int],
        "size": Required[int],
    }, total=False)

    Mount = TypedDict("Mount", {
        "destination": Required[str],
        "type": str,
        "source": str,
        "options": list[str],
        "uidMappings": list[IdMapping],
        "gidMappings": list[IdMapping],
    }, total=False)

    ProcessConsoleSize = TypedDict("ProcessConsoleSize", {
        "height": Required[int],
        "width": Required[int],
    }, total=False)

    ProcessUser = TypedDict("ProcessUser", {
        "uid": int,
        "gid": int,
        "umask": int,
        "additionalGids": list[int],
        "username": str,
    }, total=False)

    ProcessCapabilities = TypedDict("ProcessCapabilities", {
        "bounding": list[str],
        "permitted": list[str],
        "effective": list[str],
        "inheritable": list[str],
        "ambient": list[str],
    }, total=False)

    ProcessIoPriority = TypedDict("ProcessIoPriority", {
        "class": Required[Literal["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"]],
        "priority": int,
    }, total=False)

    ProcessScheduler = TypedDict("ProcessScheduler", {
        "policy": Required[Literal[
            "SCHED_OTHER",
            "SCHED_FIFO",
            "SCHED_RR",
            "SCHED_BATCH",
            "SCHED_ISO",
            "SCHED_IDLE",
            "SCHED_DEADLINE"]],
        "nice": int,
        "priority": int,
        "flags": list[Literal[
            "SCHED_FLAG_RESET_ON_FORK",
            "SCHED_FLAG_RECLAIM",
            "SCHED_FLAG_DL_OVERRUN",
            "SCHED_FLAG_KEEP_POLICY",
            "SCHED_FLAG_KEEP_PARAMS",
            "SCHED_FLAG_UTIL_CLAMP_MIN",
            "SCHED_FLAG_UTIL_CLAMP_MAX"]],
        "runtime": int,
        "deadline": int,
        "period": int,
    }, total=False)

    ProcessRlimit = TypedDict("ProcessRlimit", {
        "type": Required[str],
        "soft": Required[int],
        "hard": Required[int],
    }, total=False)

    ProcessExecCPUAffinity = TypedDict("ProcessExecCPUAffinity", {
        "initial": str,
        "final": str,
    }, total=False)

    Process = TypedDict("Process", {
        "terminal": bool,
        "consoleSize": ProcessConsoleSize,
        "cwd": Required[str],
        "env": list[str],
        "args": list[str],
        "commandLine": str,
        "user": ProcessUser,
        "capabilities": ProcessCapabilities,
        "apparmorProfile": str,
        "oomScoreAdj": int,
        "selinuxLabel": str,
        "ioPriority": ProcessIoPriority,
        "noNewPrivileges": bool,
        "scheduler": ProcessScheduler,
        "rlimits": list[ProcessRlimit],
        "execCPUAffinity": ProcessExecCPUAffinity,
    }, total=False)

    Hook = TypedDict("Hook", {
        "path": Required[str],
        "args": list[str],
        "env": list[str],
        "timeout": int,
    }, total=False)

    Hooks = TypedDict("Hooks", {
        "prestart": list[Hook],
        "createRuntime": list[Hook],
        "createContainer": list[Hook],
        "startContainer": list[Hook],
        "poststart": list[Hook],
        "poststop": list[Hook],
    }, total=False)

    LinuxNamespace = TypedDict("LinuxNamespace", {
        "type": Required[Literal["mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"]],
        "path": str,
    }, total=False)

    ClockOffset = TypedDict("ClockOffset", {
        "secs": int,
        "nanosecs": int,
    }, total=False)

    LinuxTimeOffsets = TypedDict("LinuxTimeOffsets", {
        "monotonic": ClockOffset,
        "boottime": ClockOffset,
    }, total=False)

    LinuxDevice = TypedDict("LinuxDevice", {
        "type": Required[Literal["c", "b", "u", "p"]],
        "path": Required[str],
        "major": int,
        "minor": int,
        "fileMode": int,
        "uid": int,
        "gid": int,
    }, total=False)

    LinuxNetDevice = TypedDict("LinuxNetDevice", {
        "name": str,
    }, total=False)

    ResourcesDevice = TypedDict("ResourcesDevice", {
        "allow": Required[bool],
        "type": str,
        "major": int,
        "minor": int,
        "access": str,
    }, total=False)

    ResourcesPids = TypedDict("ResourcesPids", {
        "limit": int,
    }, total=False)

    WeightDevice = TypedDict("WeightDevice", {
        "major": Required[int],
        "minor": Required[int],
        "weight": int,
        "leafWeight": int,
    }, total=False)

    ThrottleDevice = TypedDict("ThrottleDevice", {
        "major": Required[int],
        "minor": Required[int],
        "rate": int,
    }, total=False)

    ResourcesBlockIO = TypedDict("ResourcesBlockIO", {
        "weight": int,
        "leafWeight": int,
        "weightDevice": list[WeightDevice],
        "throttleReadBpsDevice": list[ThrottleDevice],
        "throttleWriteBpsDevice": list[ThrottleDevice],
        "throttleReadIOPSDevice": list[ThrottleDevice],
        "throttleWriteIOPSDevice": list[ThrottleDevice],
    }, total=False)

    ResourcesCpu = TypedDict("ResourcesCpu", {
        "shares": int,
        "quota": int,
        "burst": int,
        "period": int,
        "realtimeRuntime": int,
        "realtimePeriod": int,
        "cpus": str,
        "mems": str,
        "idle": int,
    }, total=False)

    ResourcesHugepageLimit = TypedDict("ResourcesHugepageLimit", {
        "pageSize": Required[str],
        "limit": Required[int],
    }, total=False)

    ResourcesMemory = TypedDict("ResourcesMemory", {
        "limit": int,
        "reservation": int,
        "swap": int,
        "kernel": int,
        "kernelTCP": int,
        "swappiness": int,
        "disableOOMKiller": bool,
        "useHierarchy": bool,
        "checkBeforeUpdate": bool,
    }, total=False)

    ResourcesNetworkPriority = TypedDict("ResourcesNetworkPriority", {
        "name": Required[str],
        "priority": Required[int],
    }, total=False)

    ResourcesNetwork = TypedDict("ResourcesNetwork", {
        "classID": int,
        "priorities": list[ResourcesNetworkPriority],
    }, total=False)

    ResourcesRdma = TypedDict("ResourcesRdma", {
        "hcaHandles": int,
        "hcaObjects": int,
    }, total=False)

    Resources = TypedDict("Resources", {
        "unified": dict[str, str],
        "devices": list[ResourcesDevice],
        "pids": ResourcesPids,
        "blockIO": ResourcesBlockIO,
        "cpu": ResourcesCpu,
        "hugepageLimits": list[ResourcesHugepageLimit],
        "memory": ResourcesMemory,
        "network": ResourcesNetwork,
        "rdma": dict[str, ResourcesRdma],
    }, total=False)

    SeccompSyscallArg = TypedDict("SeccompSyscallArg", {
        "index": Required[int],
        "value": Required[int],
        "valueTwo": int,
        "op": Required[Literal[
            "SCMP_CMP_NE",
            "SCMP_CMP_LT",
            "SCMP_CMP_LE",
            "SCMP_CMP_EQ",
            "SCMP_CMP_GE",
            "SCMP_CMP_GT",
            "SCMP_CMP_MASKED_EQ"]],
    }, total=False)

    SeccompSyscall = TypedDict("SeccompSyscall", {
        "names": Required[list[str]],
        "action": Required[Literal[
            "SCMP_ACT_KILL",
            "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_TRAP",
            "SCMP_ACT_ERRNO",
            "SCMP_ACT_TRACE",
            "SCMP_ACT_ALLOW",
            "SCMP_ACT_LOG",
            "SCMP_ACT_NOTIFY"]],
        "errnoRet": int,
        "args": list[SeccompSyscallArg],
    }, total=False)

    Seccomp = TypedDict("Seccomp", {
        "defaultAction": Required[Literal[
            "SCMP_ACT_KILL",
            "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_TRAP",
            "SCMP_ACT_ERRNO",
            "SCMP_ACT_TRACE",
            "SCMP_ACT_ALLOW",
            "SCMP_ACT_LOG",
            "SCMP_ACT_NOTIFY"]],
        "defaultErrnoRet": int,
        "architectures": list[Literal[
            "SCMP_ARCH_X86",
            "SCMP_ARCH_X86_64",
            "SCMP_ARCH_X32",
            "SCMP_ARCH_ARM",
            "SCMP_ARCH_AARCH64",
            "SCMP_ARCH_LOONGARCH64",
            "SCMP_ARCH_M68K",
            "SCMP_ARCH_MIPS",
            "SCMP_ARCH_MIPS64",
            "SCMP_ARCH_MIPS64N32",
            "SCMP_ARCH_MIPSEL",
            "SCMP_ARCH_MIPSEL64",
            "SCMP_ARCH_MIPSEL64N32",
            "SCMP_ARCH_PPC",
            "SCMP_ARCH_PPC64",
            "SCMP_ARCH_PPC64LE",
            "SCMP_ARCH_S390",
            "SCMP_ARCH_S390X",
            "SCMP_ARCH_SH",
            "SCMP_ARCH_SHEB",
            "SCMP_ARCH_PARISC",
            "SCMP_ARCH_PARISC64",
            "SCMP_ARCH_RISCV64"]],
        "flags": list[Literal[
            "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_LOG",
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]],
        "listenerPath": str,
        "listenerMetadata": str,
        "syscalls": list[SeccompSyscall],
    }, total=False)

    LinuxIntelRdt = TypedDict("LinuxIntelRdt", {
        "closID": str,
        "schemata": list[str],
        "l3CacheSchema": str,
        "memBwSchema": str,
        "enableMonitoring": bool,
    }, total=False)

    LinuxMemoryPolicy = TypedDict("LinuxMemoryPolicy", {
        "mode": Literal["MPOL_DEFAULT",
            "MPOL_BIND",
            "MPOL_INTERLEAVE",
            "MPOL_WEIGHTED_INTERLEAVE",
            "MPOL_PREFERRED",
            "MPOL_PREFERRED_MANY",
            "MPOL_LOCAL"],
        "nodes": str,
        "flags": list[Literal["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"]],
    }, total=False)

    LinuxPersonality = TypedDict("LinuxPersonality", {
        "domain": Literal["LINUX", "LINUX32"],
        "flags": list[str],
    }, total=False)

    Linux = TypedDict("Linux", {
        "namespaces": list[LinuxNamespace],
        "uidMappings": list[IdMapping],
        "gidMappings": list[IdMapping],
        "timeOffsets": LinuxTimeOffsets,
        "devices": list[LinuxDevice],
        "netDevices": dict[str, LinuxNetDevice],
        "cgroupsPath": str,
        "resources": Resources,
        "rootfsPropagation": Literal["private",
            "shared",
            "slave",
            "unbindable",
            "rprivate",
            "rshared",
            "rslave",
            "runbindable"],
        "seccomp": Seccomp,
        "sysctl": dict[str, str],
        "maskedPaths": list[str],
        "readonlyPaths": list[str],
        "mountLabel": str,
        "intelRdt": LinuxIntelRdt,
        "memoryPolicy": LinuxMemoryPolicy,
        "personality": LinuxPersonality,
    }, total=False)

    Config = TypedDict("Config", {
        "ociVersion": Required[str],
        "root": Root,
        "mounts": list[Mount],
        "process": Process,
        "hostname": str,
        "domainname": str,
        "hooks": Hooks,
        "annotations": dict[str, str],
        "linux": Linux,
        "windows": JsonObject,
        "solaris": JsonObject,
        "vm": JsonObject,
        "zos": JsonObject,
        "freebsd": JsonObject,
    }, total=False)

    State = TypedDict("State", {
        "ociVersion": Required[str],
        "id": Required[str],
        "status": Required[Literal["creating", "created", "running", "stopped"]],
        "pid": int,
        "bundle": Required[str],
        "annotations": dict[str, str],
    }, total=False)

    HookKind = Literal["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]

    CapabilitySet = Literal["bounding", "permitted", "effective", "inheritable", "ambient"]

    Clock = Literal["monotonic", "boottime"]
