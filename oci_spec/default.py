"""The config that `ocirun spec` writes: a shell in five or six new namespaces, to start editing from."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
]
_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def default(rootless: bool = False, uid: int = 0, gid: int = 0, cgroup_namespace: bool = False) -> "JsonObject":
    """The default config.

    rootless          for an unprivileged caller with `uid` and `gid`, who becomes root in a user namespace
    cgroup_namespace  whether the host has cgroup v2 only, where a container gets its own cgroup namespace
    """
    spec = _privileged(cgroup_namespace)
    return _rootless(spec, uid, gid, cgroup_namespace) if rootless else spec


def _privileged(cgroup_namespace: bool) -> "JsonObject":
    namespaces = ["pid", "network", "ipc", "uts", "mount"] + ["cgroup"] * cgroup_namespace
    return {
        "ociVersion": "1.3.0",
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {name: list(_CAPABILITIES) for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "ocirun",
        "mounts": _mounts(),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": name} for name in namespaces],
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READONLY),
        },
    }


def _mount(destination: str, kind: str, source: str, *options: str) -> "JsonObject":
    mount: JsonObject = {"destination": destination, "type": kind, "source": source}
    if options:
        mount["options"] = list(options)
    return mount


def _mounts() -> "list[JsonObject]":
    quiet = ("nosuid", "noexec", "nodev")
    return [
        _mount("/proc", "proc", "proc"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/dev/shm", "tmpfs", "shm", *quiet, "mode=1777", "size=65536k"),
        _mount("/dev/mqueue", "mqueue", "mqueue", *quiet),
        _mount("/sys", "sysfs", "sysfs", *quiet, "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", *quiet, "relatime", "ro"),
    ]


def _rootless(spec: "JsonObject", uid: int, gid: int, cgroups: bool) -> "JsonObject":
    """The config for an unprivileged user: root inside is the caller outside, and no other id is mapped.

    ``cgroups``: a cgroup namespace hides all cgroups but the container's own.

    Such a user cannot create network devices, so the container shares the host's network namespace. It then cannot mount
    sysfs either, so /sys is a read-only bind of the host's. Only one group is mapped, so devpts gets no gid.
    """
    linux = spec["linux"]
    linux["namespaces"] = [entry for entry in linux["namespaces"] if entry["type"] != "network"] + [{"type": "user"}]
    linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    linux.pop("resources")
    mounts = [mount for mount in spec["mounts"] if cgroups or mount["destination"] != "/sys/fs/cgroup"]
    for index, mount in enumerate(mounts):
        if mount["destination"] == "/sys":
            mounts[index] = _mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro")
        elif mount["destination"] == "/dev/pts":
            mount["options"].remove("gid=5")
    spec["mounts"] = mounts
    return spec
