"""An example of each property: the part of one document that has it. Pure and cold.

The document has every property of a Linux config once, so it describes no sensible container as a whole.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json, JsonObject

_HOOK = {"path": "/usr/local/bin/hook", "args": ["hook", "--verbose"], "env": ["PATH=/usr/bin"], "timeout": 5}
_IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
_DISK = {"major": 8, "minor": 0}
_RATE = [{**_DISK, "rate": 10485760}]
_CAPABILITIES = ["CAP_NET_BIND_SERVICE"]

DOCUMENT: "JsonObject" = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {
            "destination": "/data",
            "type": "none",
            "source": "/srv/data",
            "options": ["rbind", "ro", "nosuid"],
            "uidMappings": _IDS,
            "gidMappings": _IDS,
        }
    ],
    "process": {
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "cwd": "/srv",
        "env": ["PATH=/usr/bin:/bin", "TERM=xterm"],
        "args": ["sleep", "60"],
        "user": {"uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [44]},
        "capabilities": dict.fromkeys(("bounding", "permitted", "effective", "inheritable", "ambient"), _CAPABILITIES),
        "apparmorProfile": "docker-default",
        "oomScoreAdj": 100,
        "selinuxLabel": "system_u:system_r:container_t:s0:c124,c675",
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "noNewPrivileges": True,
        "scheduler": {
            "policy": "SCHED_OTHER",
            "nice": 5,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}],
        "execCPUAffinity": {"initial": "0-1", "final": "0"},
    },
    "hostname": "web",
    "domainname": "example.org",
    "hooks": {
        kind: [_HOOK]
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    },
    "annotations": {"org.example.purpose": "web"},
    "linux": {
        "namespaces": [{"type": "network", "path": "/run/netns/web"}],
        "uidMappings": _IDS,
        "gidMappings": _IDS,
        "timeOffsets": {"monotonic": {"secs": 172800, "nanosecs": 0}, "boottime": {"secs": 604800, "nanosecs": 0}},
        "devices": [{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
        "netDevices": {"eth1": {"name": "lan0"}},
        "cgroupsPath": "/containers/web",
        "resources": {
            "unified": {"memory.high": "268435456"},
            "devices": [{"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}],
            "pids": {"limit": 100},
            "blockIO": {
                "weight": 500,
                "leafWeight": 500,
                "weightDevice": [{**_DISK, "weight": 500, "leafWeight": 300}],
                "throttleReadBpsDevice": _RATE,
                "throttleWriteBpsDevice": _RATE,
                "throttleReadIOPSDevice": [{**_DISK, "rate": 500}],
                "throttleWriteIOPSDevice": [{**_DISK, "rate": 500}],
            },
            "cpu": {
                "shares": 512,
                "quota": 50000,
                "burst": 10000,
                "period": 100000,
                "realtimeRuntime": 950000,
                "realtimePeriod": 1000000,
                "cpus": "0-1",
                "mems": "0",
                "idle": 0,
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 134217728}],
            "memory": {
                "limit": 536870912,
                "reservation": 268435456,
                "swap": 1073741824,
                "kernel": -1,
                "kernelTCP": -1,
                "swappiness": 0,
                "disableOOMKiller": False,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
            },
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
        },
        "rootfsPropagation": "slave",
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/run/agent.sock",
            "listenerMetadata": "web",
            "syscalls": [
                {
                    "names": ["mknod", "mknodat"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [{"index": 1, "value": 61440, "valueTwo": 8192, "op": "SCMP_CMP_MASKED_EQ"}],
                }
            ],
        },
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "mountLabel": "system_u:object_r:container_file_t:s0:c124,c675",
        "intelRdt": {
            "closID": "web",
            "schemata": ["L2:0=f"],
            "l3CacheSchema": "L3:0=ff;1=ff",
            "memBwSchema": "MB:0=50;1=50",
            "enableMonitoring": True,
        },
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
        "personality": {"domain": "LINUX32"},
    },
}

_DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 5000000, "deadline": 20000000, "period": 20000000}
_MOUNT = DOCUMENT["mounts"][0]
_ID_MAPPED = {**_MOUNT, "options": ["rbind", "idmap"]}

# What an example takes besides its own path, since it would be refused or without effect alone. A value replaces.
COMPANIONS: "dict[str, JsonObject]" = {
    "/linux/timeOffsets": {"linux": {"namespaces": [{"type": "time"}]}},
    "/linux/uidMappings": {"linux": {"namespaces": [{"type": "user"}], "gidMappings": _IDS}},
    "/linux/gidMappings": {"linux": {"namespaces": [{"type": "user"}], "uidMappings": _IDS}},
    "/linux/netDevices": {"linux": {"namespaces": [{"type": "network"}]}},
    "/hostname": {"linux": {"namespaces": [{"type": "uts"}]}},
    "/domainname": {"linux": {"namespaces": [{"type": "uts"}]}},
    "/mounts/*/options": {"mounts": [{name: _MOUNT[name] for name in ("destination", "type", "source", "options")}]},
    "/mounts/*/uidMappings": {"mounts": [_ID_MAPPED]},
    "/mounts/*/gidMappings": {"mounts": [_ID_MAPPED]},
    "/process/consoleSize": {"process": {"terminal": True}},
    "/process/scheduler/runtime": {"process": {"scheduler": _DEADLINE}},
    "/process/scheduler/deadline": {"process": {"scheduler": _DEADLINE}},
    "/process/scheduler/period": {"process": {"scheduler": _DEADLINE}},
    "/process/scheduler/priority": {"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 10}}},
    "/process/capabilities/ambient": {
        "process": {"capabilities": dict.fromkeys(("bounding", "permitted", "inheritable"), _CAPABILITIES)}
    },
    "/process/capabilities/inheritable": {"process": {"capabilities": {"bounding": _CAPABILITIES}}},
    "/process/capabilities/effective": {"process": {"capabilities": {"permitted": _CAPABILITIES}}},
    "/linux/resources/memory/swap": {"linux": {"resources": {"memory": {"limit": 536870912}}}},
    "/linux/resources/cpu/quota": {"linux": {"resources": {"cpu": {"period": 100000}}}},
    "/linux/resources/cpu/burst": {"linux": {"resources": {"cpu": {"quota": 50000, "period": 100000}}}},
    "/linux/seccomp/listenerMetadata": {"linux": {"seccomp": {"listenerPath": "/run/agent.sock"}}},
    "/linux/seccomp/listenerPath": {
        "linux": {"seccomp": {"syscalls": [{"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}]}}
    },
    "/linux/memoryPolicy/flags": {"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}}},
    "/linux/memoryPolicy/mode": {"linux": {"memoryPolicy": {"nodes": "0"}}},
    "/linux/memoryPolicy/nodes": {"linux": {"memoryPolicy": {"mode": "MPOL_BIND"}}},
}
# Objects that are shown whole: their members belong together.
WHOLE = (
    "/process/ioPriority",
    "/linux/devices/*",
    "/linux/resources/devices/*",
    "/linux/resources/blockIO/weightDevice/*",
    *(f"/linux/resources/blockIO/throttle{name}Device/*" for name in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")),
)
# A section is shown with what it needs and these: the whole of it would be long.
SHOWN: "dict[str, tuple[str, ...]]" = {
    "/linux": ("namespaces",),
    "/process": ("args", "user"),
    "/hooks": ("createRuntime",),
    "/linux/resources": ("memory", "pids"),
    "/linux/resources/memory": ("limit", "swap"),
    "/linux/resources/cpu": ("quota", "period"),
    "/linux/resources/blockIO": ("weight",),
    "/linux/resources/network": ("classID",),
    "/linux/intelRdt": ("l3CacheSchema",),
    "/linux/seccomp": ("syscalls",),
    "/process/capabilities": ("bounding",),
    "/mounts": ("options", "source", "type"),
    "/mounts/*": ("options", "source", "type"),
}


def example(pointer: str) -> "JsonObject | None":
    """The smallest part of the document that has the place, with what its objects require; None where there is none.

    A name or index that the document lacks is taken from the pointer for maps, and is the first item of a list.
    """
    from oci_spec.places import places

    known = places()
    companion = next((COMPANIONS[above] for above in _upwards(pointer) if above in COMPANIONS), {})
    part = _part(DOCUMENT, "", pointer.split("/")[1:], known)
    if part is None:
        return _merged({}, companion) if companion else None
    return _merged(part, companion)


def _upwards(pointer: str) -> "list[str]":
    parts = pointer.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 1, -1)]


def _part(value: "Json", at: str, names: "list[str]", known: "Json") -> "Json":
    """The part of a value on the way down ``names``; None if they lead nowhere."""
    if not names:
        return _section(value, at, known)
    name, rest = names[0], names[1:]
    if type(value) is list:
        inner = _part(value[0], f"{at}/*", rest, known)
        return None if inner is None else [inner]
    if type(value) is not dict:
        return None
    key = next(iter(value), "") if name == "*" else name
    if key not in value:
        return None
    inner = _part(value[key], f"{at}/{name}", rest, known)
    if inner is None:
        return None
    return {**{one: value[one] for one in _required(value, at, known)}, key: inner} if at else {key: inner}


def _required(value: "JsonObject", at: str, known: "Json") -> "list[str]":
    """What an object must have, or is never shown without, in the document's order."""
    if at in WHOLE:
        return list(value)
    return [name for name in value if f"{at}/{name}" in known and known[f"{at}/{name}"].required]


def _section(value: "Json", at: str, known: "Json") -> "Json":
    """The value itself, shortened where it is a large section."""
    if type(value) is list and at in SHOWN:
        return [_section(item, f"{at}/*", known) for item in value]
    if type(value) is not dict:
        return value
    shown = SHOWN.get(at, tuple(value))
    required = _required(value, at, known)
    return {
        name: _section(inner, f"{at}/{name}", known)
        for name, inner in value.items()
        if name in required or name in shown
    }


def _merged(one: "JsonObject", other: "JsonObject") -> "JsonObject":
    """``one`` with ``other`` in it: objects are merged, other values replaced."""
    result = dict(one)
    for name, value in other.items():
        here = result.get(name)
        result[name] = _merged(here, value) if type(here) is dict and type(value) is dict else value
    return result
