"""Shapes of a config on Linux, generated from schema/*.json by `oci_spec.generate_shapes`. Do not edit."""

# ruff: noqa
# fmt: off

oci_version = str
strings = [str]
uint32 = (0, 4294967295)
id_mapping = {
    None: ("containerID", "hostID", "size",),
    "containerID": uint32,
    "hostID": uint32,
    "size": uint32,
}
id_mappings = [id_mapping]
mount = {
    None: ("destination",),
    "destination": str,
    "type": str,
    "source": str,
    "options": strings,
    "uidMappings": id_mappings,
    "gidMappings": id_mappings,
}
uint64 = (0, 18446744073709551615)
int32 = (-2147483648, 2147483647)
process = {
    None: ("cwd",),
    "terminal": bool,
    "consoleSize": {
        None: ("height", "width",),
        "height": uint64,
        "width": uint64,
    },
    "cwd": str,
    "env": strings,
    "args": strings,
    "commandLine": str,
    "user": {
        "uid": uint32,
        "gid": uint32,
        "umask": uint32,
        "additionalGids": [uint32],
        "username": str,
    },
    "capabilities": {
        "bounding": strings,
        "permitted": strings,
        "effective": strings,
        "inheritable": strings,
        "ambient": strings,
    },
    "apparmorProfile": str,
    "oomScoreAdj": int,
    "selinuxLabel": str,
    "ioPriority": {
        None: ("class",),
        "class": {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"},
        "priority": int32,
    },
    "noNewPrivileges": bool,
    "scheduler": {
        None: ("policy",),
        "policy": {"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"},
        "nice": int32,
        "priority": int32,
        "flags": [{
            "SCHED_FLAG_RESET_ON_FORK",
            "SCHED_FLAG_RECLAIM",
            "SCHED_FLAG_DL_OVERRUN",
            "SCHED_FLAG_KEEP_POLICY",
            "SCHED_FLAG_KEEP_PARAMS",
            "SCHED_FLAG_UTIL_CLAMP_MIN",
            "SCHED_FLAG_UTIL_CLAMP_MAX",
        }],
        "runtime": uint64,
        "deadline": uint64,
        "period": uint64,
    },
    "rlimits": [{
        None: ("type", "soft", "hard",),
        "type": lambda v: v.startswith("RLIMIT_") and not v[7:].strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ") and len(v) > 7,
        "soft": uint64,
        "hard": uint64,
    }],
    "execCPUAffinity": {
        "initial": lambda v: not v.strip("0123456789, -"),
        "final": lambda v: not v.strip("0123456789, -"),
    },
}
hook = {
    None: ("path",),
    "path": str,
    "args": strings,
    "env": strings,
    "timeout": (1, 1e999),
}
hooks = [hook]
string_map = {
    0: str,
}
annotations = string_map
namespace_type = {"mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"}
int64 = (-9223372036854775808, 9223372036854775807)
clock_offset = {
    "secs": int64,
    "nanosecs": uint32,
}
node_mode = (0, 65535)
uint16 = (0, 65535)
weight_device = {
    None: ("major", "minor",),
    "major": int64,
    "minor": int64,
    "weight": uint16,
    "leafWeight": uint16,
}
throttle_device = {
    None: ("major", "minor",),
    "major": int64,
    "minor": int64,
    "rate": uint64,
}
resources = {
    "unified": string_map,
    "devices": [{
        None: ("allow",),
        "allow": bool,
        "type": str,
        "major": int64,
        "minor": int64,
        "access": str,
    }],
    "pids": {
        "limit": int64,
    },
    "blockIO": {
        "weight": uint16,
        "leafWeight": uint16,
        "weightDevice": [weight_device],
        "throttleReadBpsDevice": [throttle_device],
        "throttleWriteBpsDevice": [throttle_device],
        "throttleReadIOPSDevice": [throttle_device],
        "throttleWriteIOPSDevice": [throttle_device],
    },
    "cpu": {
        "shares": uint64,
        "quota": int64,
        "burst": uint64,
        "period": uint64,
        "realtimeRuntime": int64,
        "realtimePeriod": uint64,
        "cpus": str,
        "mems": str,
        "idle": int64,
    },
    "hugepageLimits": [{
        None: ("pageSize", "limit",),
        "pageSize": lambda v: v[-2:] in ("KB", "MB", "GB") and v[:1] in "123456789" and not v[:-2].strip("0123456789"),
        "limit": uint64,
    }],
    "memory": {
        "limit": int64,
        "reservation": int64,
        "swap": int64,
        "kernel": int64,
        "kernelTCP": int64,
        "swappiness": uint64,
        "disableOOMKiller": bool,
        "useHierarchy": bool,
        "checkBeforeUpdate": bool,
    },
    "network": {
        "classID": uint32,
        "priorities": [{
            None: ("name", "priority",),
            "name": str,
            "priority": uint32,
        }],
    },
    "rdma": {
        0: {
            "hcaHandles": uint32,
            "hcaObjects": uint32,
        },
    },
}
action = {
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
}
architecture = {
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
    "SCMP_ARCH_RISCV64",
}
flag = {
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
}
operator = {
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
}
seccomp = {
    None: ("defaultAction",),
    "defaultAction": action,
    "defaultErrnoRet": uint32,
    "architectures": [architecture],
    "flags": [flag],
    "listenerPath": str,
    "listenerMetadata": str,
    "syscalls": [{
        None: ("names", "action",),
        "names": [str, 1],
        "action": action,
        "errnoRet": uint32,
        "args": [{
            None: ("index", "value", "op",),
            "index": uint32,
            "value": uint64,
            "valueTwo": uint64,
            "op": operator,
        }],
    }],
}
linux = {
    "namespaces": [{
        None: ("type",),
        "type": namespace_type,
        "path": str,
    }],
    "uidMappings": id_mappings,
    "gidMappings": id_mappings,
    "timeOffsets": {
        "monotonic": clock_offset,
        "boottime": clock_offset,
    },
    "devices": [{
        None: ("type", "path",),
        "type": {"c", "b", "u", "p"},
        "path": str,
        "major": int64,
        "minor": int64,
        "fileMode": node_mode,
        "uid": uint32,
        "gid": uint32,
    }],
    "netDevices": {
        0: {
            "name": str,
        },
    },
    "cgroupsPath": str,
    "resources": resources,
    "rootfsPropagation": {"private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave", "runbindable"},
    "seccomp": seccomp,
    "sysctl": string_map,
    "maskedPaths": strings,
    "readonlyPaths": strings,
    "mountLabel": str,
    "intelRdt": {
        "closID": str,
        "schemata": strings,
        "l3CacheSchema": str,
        "memBwSchema": lambda v: v.startswith("MB:") and "\n" not in v,
        "enableMonitoring": bool,
    },
    "memoryPolicy": {
        "mode": {
            "MPOL_DEFAULT",
            "MPOL_BIND",
            "MPOL_INTERLEAVE",
            "MPOL_WEIGHTED_INTERLEAVE",
            "MPOL_PREFERRED",
            "MPOL_PREFERRED_MANY",
            "MPOL_LOCAL",
        },
        "nodes": str,
        "flags": [{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}],
    },
    "personality": {
        "domain": {"LINUX", "LINUX32"},
        "flags": strings,
    },
}
config = {
    None: ("ociVersion",),
    "ociVersion": oci_version,
    "root": {
        None: ("path",),
        "path": str,
        "readonly": bool,
    },
    "mounts": [mount],
    "process": process,
    "hostname": str,
    "domainname": str,
    "hooks": {
        "prestart": hooks,
        "createRuntime": hooks,
        "createContainer": hooks,
        "startContainer": hooks,
        "poststart": hooks,
        "poststop": hooks,
    },
    "annotations": annotations,
    "linux": linux,
    "windows": b"windows",
    "solaris": b"solaris",
    "vm": b"vm",
    "zos": b"zos",
    "freebsd": b"freebsd",
}
