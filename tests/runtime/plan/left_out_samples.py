"""Parts of configs in which every property of the schema asks for something, and what else a property could say.

A property is tried with the first part that has it.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]
MAPPING = {"containerID": 0, "hostID": 1000, "size": 1000}
MAPS = {"uidMappings": [dict(MAPPING)], "gidMappings": [dict(MAPPING)]}
HOOK = {"path": "/bin/hook", "args": ["hook", "a"], "env": ["A=b"], "timeout": 5}
NEW = ("pid", "network", "ipc", "uts", "mount", "cgroup")
CAPABILITY = ["CAP_KILL"]
CALL: Config = {
    "names": ["chmod"],
    "action": "SCMP_ACT_ERRNO",
    "errnoRet": 2,
    "args": [{"index": 1, "value": 7, "valueTwo": 5, "op": "SCMP_CMP_MASKED_EQ"}],
}
PROCESS: Config = {"cwd": "/", "args": ["true"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
BASE: Config = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "process": PROCESS,
    "linux": {"namespaces": [{"type": kind} for kind in NEW]},
}


def disks(**limits: int) -> list[Config]:
    return [{"major": 8, "minor": 16, **limits}]


THROTTLES = ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")
RESOURCES: list[Config] = [
    {"unified": {"pids.max": "7"}},
    {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"},
        ]
    },
    {"pids": {"limit": 9}},
    {"blockIO": {"weight": 200}},
    {"blockIO": {"leafWeight": 200}},
    {"blockIO": {"weightDevice": disks(weight=200)}},
    {"blockIO": {"weightDevice": disks(weight=200, leafWeight=300)}},
    *({"blockIO": {name: disks(rate=4096)}} for name in THROTTLES),
    {"cpu": {"shares": 512}},
    {"cpu": {"quota": 20000, "period": 50000, "burst": 1000}},
    {"cpu": {"realtimeRuntime": 900}},
    {"cpu": {"realtimePeriod": 90000}},
    {"cpu": {"cpus": "0"}},
    {"cpu": {"mems": "0"}},
    {"cpu": {"idle": 1}},
    {"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]},
    {"memory": {"limit": 1 << 26, "swap": 1 << 27}},
    {"memory": {"reservation": 1 << 25}},
    *({"memory": {name: value}} for name, value in (("kernel", 1 << 26), ("kernelTCP", 1 << 26), ("swappiness", 5))),
    *({"memory": {name: value}} for name, value in (("disableOOMKiller", True), ("useHierarchy", False))),
    {"memory": {"limit": 1 << 26, "checkBeforeUpdate": True}},
    {"network": {"classID": 65537}},
    {"network": {"priorities": [{"name": "lo", "priority": 3}]}},
    {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 4}}},
]
LINUX: list[Config] = [
    {"namespaces": [*({"type": kind} for kind in NEW[2:]), {"type": "network", "path": "/proc/7/ns/net"}]},
    {"namespaces": [*BASE["linux"]["namespaces"], {"type": "user"}], **MAPS},
    {
        "namespaces": [*BASE["linux"]["namespaces"], {"type": "time"}],
        "timeOffsets": {name: {"secs": 5, "nanosecs": 6} for name in ("monotonic", "boottime")},
    },
    {
        "devices": [
            {"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 384, "uid": 3, "gid": 4},
        ]
    },
    {"netDevices": {"eth7": {"name": "eth0"}}},
    {"cgroupsPath": "/a/b"},
    *({"resources": one} for one in RESOURCES),
    {"rootfsPropagation": "private"},
    {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38}},
    {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [CALL]}},
    {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}},
    {
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/run/agent",
            "listenerMetadata": "m",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        }
    },
    {"sysctl": {"net.ipv4.ip_forward": "1"}},
    {"maskedPaths": ["/a"]},
    {"readonlyPaths": ["/a"]},
    {
        "intelRdt": {
            "closID": "class",
            "l3CacheSchema": "L3:0=f",
            "memBwSchema": "MB:0=50",
            "schemata": ["L2:0=f"],
            "enableMonitoring": True,
        }
    },
    {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}},
    {"personality": {"domain": "LINUX32", "flags": ["x"]}},
]
SCHEDULERS: list[Config] = [
    {"policy": "SCHED_OTHER", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
    {"policy": "SCHED_RR", "priority": 5},
    {"policy": "SCHED_DEADLINE", "runtime": 100000, "deadline": 200000, "period": 300000},
]
PROCESSES: list[Config] = [
    {"terminal": True, "consoleSize": {"height": 20, "width": 80}},
    {"commandLine": "x.exe"},
    {"user": {"uid": 5, "gid": 6, "umask": 7, "additionalGids": [8], "username": "ada"}},
    {"capabilities": dict.fromkeys(("bounding", "permitted", "effective", "inheritable", "ambient"), CAPABILITY)},
    {"apparmorProfile": "profile"},
    {"selinuxLabel": "system_u:system_r:container_t:s0"},
    {"oomScoreAdj": 7},
    {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3}},
    {"noNewPrivileges": True},
    *({"scheduler": one} for one in SCHEDULERS),
    {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 9}]},
    {"execCPUAffinity": {"initial": "0", "final": "0"}},
]
PARTS: list[Config] = [
    {"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "process": {"cwd": "/"}},
    {"root": {"readonly": True}},
    {"mounts": [{"destination": "/a", "type": "tmpfs", "source": "src", "options": ["size=64k"]}]},
    {"mounts": [{"destination": "/a", "type": "none", "source": "/b", "options": ["bind", "idmap"], **MAPS}]},
    {"hostname": "box"},
    {"domainname": "net"},
    *({"hooks": {kind: [dict(HOOK)]}} for kind in ("prestart", "createRuntime", "createContainer", "startContainer")),
    *({"hooks": {kind: [dict(HOOK)]}} for kind in ("poststart", "poststop")),
    {"annotations": {"com.example.a": "b"}},
    *({"process": one} for one in PROCESSES),
    *({"linux": one} for one in LINUX),
    {
        "mounts": [{"destination": "/a", "type": "tmpfs", "source": "src"}],
        "linux": {"mountLabel": "system_u:object_r:container_file_t:s0"},
    },
    {"windows": {"layerFolders": ["x"]}},
    {"vm": {"kernel": {"path": "/vmlinuz"}}},
    *({name: {}} for name in ("solaris", "zos", "freebsd")),
]
# What a property says instead, where a config cannot be without it.
OTHERWISE: Config = {
    "/ociVersion": "2.0.0",
    "/mounts/*/type": "ramfs",
    "/process/args": ["false"],
    "/process/ioPriority/class": "IOPRIO_CLASS_IDLE",
    "/process/scheduler/policy": "SCHED_BATCH",
    "/process/rlimits/*/type": "RLIMIT_CORE",
    "/linux/namespaces/*/type": "time",
    "/linux/devices/*/type": "b",
    "/linux/resources/devices/*/allow": True,
    "/linux/resources/hugepageLimits/*/pageSize": "1GB",
    "/linux/seccomp/defaultAction": "SCMP_ACT_KILL",
    "/linux/seccomp/syscalls/*/names": ["mkdir"],
    "/linux/seccomp/syscalls/*/action": "SCMP_ACT_TRACE",
    "/linux/seccomp/syscalls/*/args/*/op": "SCMP_CMP_LE",
    "/linux/memoryPolicy/mode": "MPOL_INTERLEAVE",
    "/linux/memoryPolicy/nodes": "1",
    "/linux/personality/domain": "LINUX",
}
# Which item of a list is meant, where it is not the first: of device rules the one that allows something.
ITEM = {
    "/linux/namespaces/*/type": -1,
    "/linux/namespaces/*/path": -1,
    **{f"/linux/resources/devices/*/{name}": 1 for name in ("type", "major", "minor", "access")},
}
# Properties without an effect at create, exec, start and delete, and who looks at them.
ELSEWHERE = {
    "/linux/resources/memory/checkBeforeUpdate": "looked at by `update`",
}
