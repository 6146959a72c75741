"""Bundles that are wrong in one thing: what `validate` has to say of each, and whether `create` refuses it.

The config that they start from is `base()`, which has nothing wrong. A case changes it at a JSON pointer; GONE removes the
value. Mistakes in the text itself, which is then no JSON, are in tests/oci_spec/test_mistakes.py.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

from oci_spec.default import default
from tests.elf import AARCH64, elf

GONE: Any = object()
PLACE = "@@the place@@"


class Case(NamedTuple):
    changed: str
    """Pointer of the value that is changed."""
    value: Any
    message: str
    """Words of the message."""
    remedy: str | None = None
    """Words of the hint; None: there need not be one."""
    pointer: str | None = None
    """Of the problem, if it is another one."""
    severity: str = "error"
    created: bool = False
    """`create` takes it: the kernel may do without, or the program fails later."""
    files: tuple[tuple[str, bytes | None, int], ...] = ()
    """(path in the root file system, content or None for a directory, mode)."""


def base() -> dict[str, Any]:
    """A config with a value in most sections."""
    config: dict[str, Any] = default()
    config["process"].update(terminal=False, args=["/bin/program"], env=["PATH=/bin", "TERM=xterm"])
    config["process"]["user"] = {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5]}
    config["mounts"].append({"destination": "/data", "type": "bind", "source": "data", "options": ["rbind", "ro"]})
    config["annotations"] = {"com.example.key": "value"}
    config["hooks"] = {"poststop": [{"path": "/bin/true", "args": ["true"], "timeout": 5}]}
    config["linux"].update(
        devices=[{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
        sysctl={"kernel.shm_rmid_forced": "1"},
        seccomp={
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
        },
    )
    config["linux"]["resources"].update(
        devices=[
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        ],
        memory={"limit": 67108864, "swap": 134217728},
        cpu={"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
        pids={"limit": 100},
    )
    return config


def in_user_namespace() -> dict[str, Any]:
    """The base with a user namespace."""
    config = base()
    config["linux"]["namespaces"].append({"type": "user"})
    for name in ("uidMappings", "gidMappings"):
        config["linux"][name] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    return config


def at(config: Any, pointer: str) -> tuple[Any, Any]:
    """The dict or list that has the value of a pointer, and its key or index."""
    *way, last = [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]]
    for name in way:
        config = config[int(name) if isinstance(config, list) else name]
    return config, int(last) if isinstance(config, list) and last.isdigit() else last


def changed(config: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(config)
    parent, key = at(config, pointer)
    if value is GONE:
        del parent[key]
    elif isinstance(parent, list) and key in ("-", len(parent)):
        parent.append(value)
    else:
        parent[key] = value
    return config


def line_of(config: dict[str, Any], pointer: str) -> int:
    """The line of json.dumps(indent=1) on which the value is, or the nearest of its parents; found without our reader."""
    while True:
        marked = copy.deepcopy(config)
        if not pointer:
            return 1
        try:
            parent, key = at(marked, pointer)
            parent[key]
        except (KeyError, IndexError, TypeError, ValueError):
            pointer = pointer.rpartition("/")[0]
            continue
        parent[key] = PLACE
        return next(n for n, line in enumerate(json.dumps(marked, indent=1).split("\n"), 1) if PLACE in line)


def write(case: Case, directory: Path) -> dict[str, Any]:
    """Make the bundle; returns its config."""
    root = directory / "rootfs"
    for name in ("bin", "dev", "proc", "sys", "etc", "data"):
        (root / name).mkdir(parents=True)
    (root / "bin/program").write_bytes(elf())
    (root / "bin/program").chmod(0o755)
    (root / "etc/file").write_text("")
    (directory / "data").mkdir()
    for name, content, mode in case.files:
        if content is None:
            (root / name).mkdir(exist_ok=True)
        else:
            (root / name).write_bytes(content)
        (root / name).chmod(mode)
    start = in_user_namespace() if case in USER_NAMESPACE else base()
    config = changed(start, case.changed, case.value)
    (directory / "config.json").write_text(json.dumps(config, indent=1))
    return config


P, L, R = "/process", "/linux", "/linux/resources"
SYSFS, SHM, PTS, DATA = "/mounts/5", "/mounts/3", "/mounts/2", "/mounts/7"

SCHEMA = [
    Case("/ociVersion", GONE, "ociVersion is missing"),
    Case("/ociVersion", 1, "expected a string, not 1"),
    Case("/ociVersion", "one", "'one' is not a SemVer"),
    Case("/ociVersion", "2.0.0", "2.0.0"),
    Case("/ociVersion", "v1.2.0", "SemVer"),
    Case("/root", GONE, "root"),
    Case("/root", "rootfs", 'expected an object, not "rootfs"'),
    Case("/root/path", GONE, "path is missing"),
    Case("/root/path", "", "empty"),
    Case("/root/readonly", "true", "expected true or false", "write true without quotes"),
    Case("/process", [], "expected an object, not []"),
    Case(f"{P}/cwd", GONE, "cwd is missing"),
    Case(f"{P}/cwd", "tmp", "absolute"),
    Case(f"{P}/cwd", ["/"], "expected a string"),
    Case(f"{P}/args", "/bin/program", "expected an array", 'write ["/bin/program"]'),
    Case(f"{P}/args", [], "args"),
    Case(f"{P}/args/0", "", ""),
    Case(f"{P}/args/0", 1, "expected a string, not 1"),
    Case(f"{P}/env", {"PATH": "/bin"}, "expected an array"),
    Case(f"{P}/env/1", 5, "expected a string"),
    Case(f"{P}/terminal", "false", "expected true or false", "write false without quotes"),
    Case(f"{P}/terminal", 0, "expected true or false"),
    Case(f"{P}/user", "root", "expected an object"),
    Case(f"{P}/user/uid", "0", "expected an integer", "write 0 without quotes"),
    Case(f"{P}/user/uid", -1, "below 0"),
    Case(f"{P}/user/uid", 0.5, "expected an integer"),
    Case(f"{P}/user/uid", 4294967295, "not a valid id"),
    Case(f"{P}/user/gid", 4294967296, "above"),
    Case(f"{P}/user/additionalGids/0", "staff", "expected an integer"),
    Case(f"{P}/user/umask", "022", "expected an integer"),
    Case(f"{P}/capabilities", ["CAP_KILL"], "expected an object"),
    Case(f"{P}/capabilities/bounding", "CAP_KILL", "expected an array"),
    Case(f"{P}/capabilities/effective/0", "CAP_CHOWN", "permitted"),
    Case(f"{P}/capabilities/bounding/0", "CAP_KIL", "not a known capability", severity="warning", created=True),
    Case(f"{P}/rlimits/0/type", "NOFILE", "not of the form"),
    Case(f"{P}/rlimits/0/type", "RLIMIT_FILES", "RLIMIT_FILES"),
    Case(f"{P}/rlimits/0/soft", 4096, "soft"),
    Case(f"{P}/rlimits/0/hard", GONE, "hard is missing"),
    Case(f"{P}/rlimits/0/hard", -1, "below 0"),
    Case(f"{P}/noNewPrivileges", 1, "expected true or false"),
    Case(f"{P}/oomScoreAdj", 2000, "1000"),
    Case(f"{P}/oomScoreAdj", "0", "expected an integer", "write 0 without quotes"),
    Case(f"{P}/scheduler", {"policy": "SCHED_FAST"}, "not one of the known values", pointer=f"{P}/scheduler/policy"),
    Case(
        f"{P}/ioPriority",
        {"class": "IDLE", "priority": 0},
        "not one of the known",
        "IOPRIO_CLASS_IDLE",
        f"{P}/ioPriority/class",
    ),
    Case("/hostname", "x" * 65, "64"),
    Case("/hostname", 1, "expected a string"),
    Case("/domainname", "x" * 65, "64"),
    Case("/mounts", {}, "expected an array"),
    Case("/mounts/0/destination", GONE, "destination is missing"),
    Case("/mounts/0/destination", 1, "expected a string"),
    Case("/mounts/0/options", "nosuid", "expected an array", 'write ["nosuid"]'),
    Case("/mounts/0/options", [1], "expected a string", pointer="/mounts/0/options/0"),
    Case(f"{DATA}/source", GONE, "source"),
    Case("/hooks/poststop", {}, "expected an array"),
    Case("/hooks/poststop/0/path", GONE, "path is missing"),
    Case("/hooks/poststop/0/path", "true", "absolute"),
    Case("/hooks/poststop/0/timeout", 0, "below 1"),
    Case("/hooks/poststop/0/timeout", "5s", "expected an integer"),
    Case("/annotations", ["a"], "expected an object"),
    Case("/annotations/com.example.key", 1, "expected a string"),
    Case("/annotations/", "x", "empty"),
    Case("/linux", [], "expected an object"),
    Case(f"{L}/namespaces", "pid", "expected an array"),
    Case(f"{L}/namespaces/0/type", "pids", "not one of the known values", "did you mean pid?"),
    Case(f"{L}/namespaces/0/type", "net", "not one of the known values", None),
    Case(f"{L}/namespaces/0/type", GONE, "type is missing"),
    Case(f"{L}/namespaces/0/path", "proc/1/ns/net", "absolute"),
    Case(f"{L}/namespaces/0/path", "/nowhere/ns", "no such file"),
    Case(f"{L}/namespaces/0/path", "/etc/passwd", "not a namespace"),
    Case(f"{L}/namespaces/0/path", "/proc/self/ns/uts", "uts namespace, not"),
    Case(f"{L}/namespaces/5", {"type": "pid"}, "pid", pointer=f"{L}/namespaces/5/type"),
    Case(f"{L}/uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}], "user namespace"),
    Case(f"{L}/devices/0/path", "dev/fuse", "absolute"),
    Case(f"{L}/devices/0/type", "char", "not one of the known values", "c, b, u, p"),
    Case(f"{L}/devices/0/major", GONE, "major"),
    Case(f"{L}/devices/0/minor", -1, "negative"),
    Case(f"{L}/devices/0/fileMode", 0o200000, "above 65535", "write 65535 or less"),
    Case(f"{L}/devices/0/uid", "root", "expected an integer"),
    Case(f"{L}/maskedPaths/0", "proc/acpi", "absolute"),
    Case(f"{L}/readonlyPaths/0", "", "absolute"),
    Case(f"{L}/maskedPaths", "/proc/acpi", "expected an array", 'write ["/proc/acpi"]'),
    Case(f"{L}/cgroupsPath", "/a/../../b", ".."),
    Case(f"{L}/rootfsPropagation", "slaves", "not one of the known values", "slave"),
    Case(f"{L}/sysctl/kernel.shm_rmid_forced", 1, "expected a string"),
    Case(f"{L}/sysctl/kernel.panic", "1", "kernel.panic"),
    Case(f"{L}/sysctl/vm.swappiness", "1", "vm.swappiness"),
    Case(f"{L}/mountLabel", 1, "expected a string"),
    Case(f"{L}/personality", {"domain": "LINUX64"}, "not one of the known values", None, f"{L}/personality/domain"),
    Case(f"{L}/timeOffsets", {"boottime": {"secs": 1}}, "time namespace", None, f"{L}/timeOffsets"),
    Case(f"{L}/intelRdt", {"l3CacheSchema": 1}, "expected a string", None, f"{L}/intelRdt/l3CacheSchema"),
]
RESOURCES = [
    Case(f"{R}/memory", 67108864, "expected an object"),
    Case(f"{R}/memory/limit", "64M", "expected an integer", "write 67108864"),
    Case(f"{R}/memory/limit", 64.5, "expected an integer"),
    Case(f"{R}/memory/limit", -5, "below -1", "-1 means no limit"),
    Case(f"{R}/memory/limit", 64, "less than a page", "in bytes"),
    Case(f"{R}/memory/limit", 100000, "too little", "in bytes", severity="warning", created=True),
    Case(f"{R}/memory/swap", 1024, "below the memory limit"),
    Case(f"{R}/memory/swappiness", 200, "above 100"),
    Case(
        f"{R}/memory/reservation", 1 << 30, "above the limit", "less than the limit", severity="warning", created=True
    ),
    Case(f"{R}/memory/kernel", 1 << 20, "discouraged", severity="warning", created=True),
    Case(f"{R}/memory/disableOOMKiller", "yes", "expected true or false"),
    Case(f"{R}/cpu/shares", -1, "below 0"),
    Case(f"{R}/cpu/shares", "512", "expected an integer", "write 512 without quotes"),
    Case(f"{R}/cpu/quota", 500, "below the kernel's least, 1000", "write 1000 or more"),
    Case(f"{R}/cpu/period", 100, "not between 1000 and 1000000", "write 100000"),
    Case(f"{R}/cpu/period", 2000000, "not between 1000 and 1000000", "write 100000"),
    Case(f"{R}/cpu/burst", 100000, "above the quota"),
    Case(f"{R}/cpu/idle", 2, "neither 0 nor 1"),
    Case(f"{R}/cpu/cpus", "0-", "not a list"),
    Case(f"{R}/cpu/cpus", "all", ""),
    Case(f"{R}/cpu/cpus", "4090", "no processors 4090", "it has"),
    Case(f"{R}/cpu/mems", "1000", "no memory nodes 1000", "it has"),
    Case(f"{R}/cpu/realtimeRuntime", 2000000, "does not fit into the period", "less than the period"),
    Case(f"{R}/pids/limit", "100", "expected an integer"),
    Case(
        f"{R}/pids/limit",
        0,
        "the program runs, and can make no other process",
        "-1 for no limit",
        severity="warning",
        created=True,
    ),
    Case(f"{R}/pids/limit", -7, "read as -1", severity="warning", created=True),
    Case(f"{R}/devices/0/access", "rx", "letters other than r, w and m"),
    Case(f"{R}/devices/0/type", "x", "none of a, b and c"),
    Case(f"{R}/devices/0/allow", "false", "expected true or false"),
    Case(f"{R}/devices/0/allow", GONE, "allow is missing"),
    Case(f"{R}/blockIO", {"weight": 5}, "not between 10 and 1000", pointer=f"{R}/blockIO/weight", created=True),
    Case(
        f"{R}/blockIO",
        {"weightDevice": [{"major": 8, "minor": 0}]},
        "neither weight nor leafWeight",
        None,
        f"{R}/blockIO/weightDevice/0/weight",
    ),
    Case(
        f"{R}/blockIO",
        {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]},
        "rate is missing",
        None,
        f"{R}/blockIO/throttleReadBpsDevice/0/rate",
    ),
    Case(
        f"{R}/blockIO",
        {"throttleReadBpsDevice": [{"major": 4095, "minor": 7, "rate": 1}]},
        "no block device 4095:7",
        "lsblk",
        f"{R}/blockIO/throttleReadBpsDevice/0",
    ),
    Case(
        f"{R}/hugepageLimits",
        [{"pageSize": "2M", "limit": 0}],
        "not of the form",
        None,
        f"{R}/hugepageLimits/0/pageSize",
    ),
    Case(
        f"{R}/hugepageLimits",
        [{"pageSize": "3MB", "limit": 0}],
        "no huge pages of 3MB",
        "it has",
        f"{R}/hugepageLimits/0/pageSize",
    ),
    Case(f"{R}/network", {"classID": -1}, "below 0", None, f"{R}/network/classID"),
    Case(f"{R}/rdma", {"mlx5_1": {}}, "neither hcaHandles nor hcaObjects", None, f"{R}/rdma/mlx5_1/hcaHandles"),
    Case(f"{R}/unified", {"cgroup.kill": "1"}, "acts on processes", "leave it out", f"{R}/unified/cgroup.kill"),
    Case(f"{R}/unified", {"a/b": "1"}, "not the name of a file", None, f"{R}/unified/a~1b"),
]
MOUNTS = [
    Case(f"{DATA}/source", "/no/such/dir", "no such file or directory"),
    Case(f"{DATA}/options/1", "readonly", "readonly", "ro", f"{DATA}/options"),
    Case(f"{DATA}/options/1", "r0", "r0", None, f"{DATA}/options"),
    Case(f"{DATA}/destination", "data", "absolute", severity="warning", created=True),
    Case(
        f"{DATA}/destination", "/etc/file", "a file, and what is mounted on it a directory", "mount it on a directory"
    ),
    Case(f"{DATA}/destination", "/etc/file/below", "not a directory"),
    Case(
        f"{DATA}/source",
        "/etc/passwd",
        "a directory, and what is mounted on it a file",
        "mount it on a file",
        f"{DATA}/destination",
    ),
    Case("/mounts/1/type", "tmpf", "no file system tmpf", "did you mean tmpfs?"),
    Case("/mounts/0/type", "procfs", "no file system procfs", "did you mean proc?"),
    Case("/mounts/1/options/3", "size=64MB", "64MB is not a size", "write 64m"),
    Case("/mounts/1/options/3", "size=64 m", "is not a size", "write 64m"),
    Case("/mounts/1/options/3", "size=", "needs a value"),
    Case("/mounts/1/options/3", "size=big", "is not a size", "write a number"),
    Case("/mounts/1/options/3", "sizes=1m", "tmpfs has no option sizes", "did you mean size?"),
    Case("/mounts/1/options/2", "mode=rwx", "not an octal number", "755"),
    Case("/mounts/1/options/2", "mode=798", "not an octal number", "755"),
    Case("/mounts/1/options/2", "uid=root", "not a number", "write a number"),
    Case("/mounts/1/options/2", "huge=yes", "none of never"),
    Case("/mounts/1/options/2", "noswap=1", "takes no value"),
    Case("/mounts/1/options/0", "nosiud", "tmpfs has no option nosiud", "did you mean nosuid?"),
    Case("/mounts/1/options/0", "readonly", "tmpfs has no option readonly", None),
    Case(f"{PTS}/options/3", "ptmxmod=0666", "devpts has no option ptmxmod", "did you mean ptmxmode?"),
    Case(f"{PTS}/options/3", "ptmxmode=0999", "not an octal number"),
    Case(f"{PTS}/options/5", "gid=tty", "not a number"),
    Case(f"{SYSFS}/options/0", "mode=755", "sysfs has no option mode", "leave it out"),
    Case("/mounts/4/options/0", "size=1m", "mqueue has no option size", "leave it out"),
    Case("/mounts/0/options", ["hidepid=5"], "none of 0, 1, 2, 4", None, "/mounts/0/options/0"),
    Case("/mounts/0/options", ["subset=all"], "none of pid", None, "/mounts/0/options/0"),
    Case(
        "/mounts/8",
        {"destination": "/o", "type": "overlay", "source": "o", "options": ["lower=/a"]},
        "overlay has no option lower",
        "lowerdir",
        "/mounts/8/options/0",
    ),
    Case(
        "/mounts/8",
        {"destination": "/o", "type": "overlay", "source": "o", "options": ["lowerdir=/a:/b", "index=yes"]},
        "none of on, off",
        None,
        "/mounts/8/options/1",
    ),
    Case(
        "/mounts/8",
        {"destination": "/o", "type": "hugetlbfs", "source": "o", "options": ["pagesize=huge"]},
        "not a size",
        "write a number",
        "/mounts/8/options/0",
    ),
]
HOST = [
    Case("/root/path", "nowhere", "no such file or directory"),
    Case("/root/path", "config.json", "not a directory"),
    Case(f"{P}/args/0", "/bin/absent", "no such file or directory"),
    Case(f"{P}/args/0", "absent", "executable file not found in $PATH"),
    Case(f"{P}/args/0", "/etc", "is a directory"),
    Case(f"{P}/args/0", "/etc/file", "permission denied"),
    Case(f"{P}/cwd", "/etc/file", "not a directory"),
    Case(f"{P}/env/1", "PATH=/sbin", "PATH is given twice", "leave one out", severity="warning", created=True),
    Case(f"{P}/rlimits/0/hard", 1 << 40, "above fs.nr_open", "sysctl -w fs.nr_open="),
    Case(f"{L}/sysctl/kernel.shm_rmid_forced", "yes", "takes a number, not 'yes'", "here it is"),
    Case(f"{L}/sysctl/kernel.shm_rmid", "1", "", None),
    Case(f"{L}/sysctl/net.ipv4.ip_forwards", "1", "no parameter net.ipv4.ip_forwards", "did you mean ip_forward"),
    Case(f"{L}/netDevices", {"eth99": {}}, "no network device eth99", "", f"{L}/netDevices/eth99"),
    Case(f"{L}/seccomp/listenerPath", "/run/" + "x" * 110, "at most 107", "shorter path", created=True),
    Case("/hooks/poststop/0/path", "/no/such/hook", "no such file", severity="warning", created=True),
    Case("/hooks/poststop/0/path", "/etc/passwd", "not an executable file", severity="warning", created=True),
]
PROGRAMS = [
    Case(f"{P}/args/0", "/bin/x", message, remedy, severity=severity, created=True, files=(("bin/x", content, 0o755),))
    for content, message, remedy, severity in (
        (b"", "is empty", "copy it again", "error"),
        (b"#!/bin/sh\n", "interpreter /bin/sh does not exist", "install sh", "error"),
        (b"#!/bin/program\r\n", "carriage return", "sed -i", "error"),
        (b"\xef\xbb\xbf#!/bin/program\n", "byte order mark", "remove it", "error"),
        (b"echo\n", "without an interpreter line", "#!/bin/sh", "error"),
        (elf(AARCH64), "for aarch64, and this machine is x86_64", "linux/amd64", "error"),
        (elf(loader="/lib64/ld-linux-x86-64.so.2"), "needs the dynamic loader", "install glibc", "error"),
        (elf(kind=1), "no program", "execute a program", "error"),
        (b"\x7fELF", "damaged", "copy it again", "error"),
    )
]
USERS = [
    Case(
        f"{P}/user/uid",
        1000,
        "may not search /bin (mode 0700",
        "chmod a+x",
        f"{P}/args/0",
        created=True,
        files=(("bin", None, 0o700),),
    ),
    Case(
        f"{P}/user/uid",
        1000,
        "may not execute /bin/program (mode 0700",
        "chmod a+x",
        f"{P}/args/0",
        created=True,
        files=(("bin/program", elf(), 0o700),),
    ),
]
SECCOMP = [
    Case(f"{L}/seccomp/defaultAction", "ALLOW", "not one of the known values", None),
    Case(f"{L}/seccomp/defaultAction", GONE, "defaultAction is missing"),
    Case(f"{L}/seccomp/architectures/0", "x86_64", "not one of the known values", None),
    Case(f"{L}/seccomp/syscalls/0/names", "mount", "expected an array", 'write ["mount"]'),
    Case(f"{L}/seccomp/syscalls/0/names", [], "the list is empty"),
    Case(f"{L}/seccomp/syscalls/0/action", "SCMP_ACT_EPERM", "not one of the known values", None),
    Case(
        f"{L}/seccomp/syscalls/0",
        {"names": ["mount"], "action": "SCMP_ACT_NOTIFY"},
        "listenerPath",
        None,
        f"{L}/seccomp/syscalls/0/action",
    ),
    Case(
        f"{L}/seccomp/syscalls/0/args",
        [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}],
        "",
        None,
        f"{L}/seccomp/syscalls/0/args/0/index",
    ),
    Case(
        f"{L}/seccomp/syscalls/0/args",
        [{"index": 0, "value": 0, "op": "=="}],
        "not one of the known values",
        None,
        f"{L}/seccomp/syscalls/0/args/0/op",
    ),
    Case(
        f"{L}/seccomp/flags",
        ["SECCOMP_FILTER_FLAG_LOGS"],
        "not one of the known values",
        "SECCOMP_FILTER_FLAG_LOG",
        f"{L}/seccomp/flags/0",
    ),
]
USER_NAMESPACE = [
    Case(f"{L}/uidMappings", GONE, "uidMappings", None),
    Case(f"{L}/uidMappings/0/size", 0, "", None),
    Case(f"{L}/uidMappings/0/hostID", -1, "below 0", None),
    Case(f"{L}/uidMappings/0/size", GONE, "size is missing", None),
    Case(
        f"{L}/uidMappings/1",
        {"containerID": 5, "hostID": 300000, "size": 5},
        "overlap those of mapping 0",
        None,
        f"{L}/uidMappings/1/containerID",
    ),
    Case(f"{P}/user/uid", 70000, "not mapped", "linux.uidMappings"),
    Case(f"{P}/user/gid", 70000, "not mapped", "linux.gidMappings"),
    Case(f"{P}/user/additionalGids/0", 70000, "not mapped", "linux.gidMappings"),
    Case(f"{L}/sysctl/net.ipv4.ping_group_range", "0 70000", "group 70000 is not mapped", "linux.gidMappings"),
]
UNKNOWN = [
    Case(f"{P}/args/0", "/bin/program -x", "no such file or directory", "write each argument as an item"),
    Case(f"{P}/args/0", "program -x", "executable file not found in $PATH", "write each argument as an item"),
    Case(f"{L}/devices/0/fileMode", 644, "more than permission bits", "0644 is written 420"),
    Case(f"{L}/devices/0/fileMode", 0o4644, "more than permission bits", "0666 is written 438"),
    Case(
        f"{P}/arg", ["x"], "arg is not a property of the spec", "did you mean args?", severity="warning", created=True
    ),
    Case(f"{P}/noNewPrivilege", True, "not a property", "noNewPrivileges", severity="warning", created=True),
    Case("/root/readOnly", True, "not a property", "did you mean readonly?", severity="warning", created=True),
    Case("/mounts/0/option", [], "not a property", "did you mean options?", severity="warning", created=True),
    Case("/mount", [], "not a property", "did you mean mounts?", severity="warning", created=True),
    Case(f"{L}/namespace", [], "not a property", "did you mean namespaces?", severity="warning", created=True),
    Case(f"{L}/maskedPath", [], "not a property", "did you mean maskedPaths?", severity="warning", created=True),
    Case(f"{R}/memory/limits", 1, "not a property", "did you mean limit?", severity="warning", created=True),
    Case(f"{R}/cpu/quotas", 1, "not a property", "did you mean quota?", severity="warning", created=True),
    Case(f"{R}/pid", {}, "not a property", "did you mean pids?", severity="warning", created=True),
    Case("/hook", {}, "not a property", "did you mean hooks?", severity="warning", created=True),
    Case("/freebsd", {}, "no effect on Linux", None, severity="warning", created=True),
    Case("/annotations/plain", "x", "reverse-domain", "com.example.plain", severity="warning", created=True),
]


def surprise(changed: str, value: Any, message: str, remedy: str, pointer: str | None = None) -> Case:
    """A config that is taken, and does something else than it seems to."""
    return Case(changed, value, message, remedy, pointer, "warning", True)


def rule(names: list[str], action: str, *conditions: tuple[int, str, int, int]) -> dict[str, Any]:
    """A seccomp rule; a condition is (index, operator, value, valueTwo)."""
    entry: dict[str, Any] = {"names": names, "action": f"SCMP_ACT_{action}"}
    if conditions:
        entry["args"] = [
            {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": two}
            for index, operator, value, two in conditions
        ]
    return entry


RULES = f"{L}/seccomp/syscalls"
CAPABILITIES = f"{P}/capabilities"
RIGHTS = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
ROOTS: dict[str, Any] = {**base()["process"], "noNewPrivileges": False}
ROOTS["capabilities"] = {"bounding": RIGHTS, "permitted": RIGHTS[1:], "effective": RIGHTS[1:]}
SURPRISES = [
    surprise(f"{RULES}/0/names/1", "opennat", "libseccomp knows no system call opennat", "did you mean openat?"),
    surprise(
        f"{P}/user/uid",
        1000,
        "user 1000 loses these when the program is executed",
        "ambient",
        f"{CAPABILITIES}/permitted",
    ),
    surprise(
        f"{CAPABILITIES}/bounding", RIGHTS[1:], "root loses these", "add them to bounding", f"{CAPABILITIES}/permitted"
    ),
    surprise(P, ROOTS, "root gets these when the program is executed", "noNewPrivileges", f"{CAPABILITIES}/bounding"),
    surprise(f"{P}/user/umask", 22, "22 is decimal, so the umask is 0026", "0022 is written 18"),
    surprise(f"{P}/user/umask", 77, "so the umask is 0115", "0077 is written 63"),
    surprise(f"{P}/consoleSize", {"height": 25, "width": 80}, "no effect without a terminal", "terminal to true"),
    surprise(f"{P}/cwd", "/srv/app", "/srv/app is not in the root file system", "correct the path"),
    surprise(
        "/hooks/poststop/0/args",
        ["--flag"],
        "takes --flag for its own name",
        "put true before it",
        "/hooks/poststop/0/args/0",
    ),
    surprise(
        "/mounts/8",
        {"destination": "/dev/", "type": "tmpfs", "source": "t"},
        "/dev/pts is hidden by the mount on /dev, item 8",
        "put it after",
        f"{PTS}/destination",
    ),
    surprise(
        "/mounts/8",
        {"destination": "/data", "type": "tmpfs", "source": "t"},
        "/data is hidden by the mount on /data",
        "leave one of them out",
        f"{DATA}/destination",
    ),
    surprise(
        f"{DATA}/options",
        ["rbind", "ro", "rw"],
        "ro has no effect, the later rw counts",
        "leave one",
        f"{DATA}/options/1",
    ),
    surprise(
        f"{DATA}/options", ["rbind", "rslave", "rprivate"], "rslave has no effect", "leave one", f"{DATA}/options/1"
    ),
    surprise("/mounts/1/options/2", "size=1m", "size=1m has no effect, the later size=65536k counts", "leave one"),
    surprise("/mounts/1/options/2", "mode=511", "mode=511 is octal, 329 in decimal", "mode=0777"),
    surprise(
        f"{L}/maskedPaths/0",
        "/data",
        "/data is hidden by the mask of /data",
        "remove /data from maskedPaths",
        f"{DATA}/destination",
    ),
    surprise(
        f"{L}/maskedPaths/0", "/proc/kcore/x", "/proc/kcore/x has no effect, since /proc/kcore is masked", "leave one"
    ),
    surprise(f"{L}/readonlyPaths/0", "/proc/kcore", "no effect, since /proc/kcore is masked", "leave one"),
    surprise(f"{L}/devices/0/fileMode", 444, "444 is decimal, so the mode is 0674", "0444 is written 292"),
    surprise(
        f"{R}/devices/1",
        GONE,
        "/dev/fuse is made, but no device rule allows to open it",
        '"major": 10, "minor": 229',
        f"{L}/devices/0",
    ),
    surprise(f"{R}/cpu/shares", 1, "1 shares are taken as 2", "1024 is the default"),
    surprise(f"{R}/cpu/shares", 1 << 20, "taken as 262144", "1024 is the default"),
    surprise(f"{R}/cpu/idle", 1, "no effect in a cgroup that is idle", "or idle", f"{R}/cpu/shares"),
    Case(f"{R}/memory/limit", GONE, "cannot be limited without a memory limit", "add limit", f"{R}/memory/swap"),
    surprise(
        f"{L}/namespaces/0/path",
        "/proc/self/ns/pid",
        "the runtime's own pid namespace, so the container shares it",
        "for a new one",
    ),
    surprise(
        f"{L}/seccomp/architectures",
        ["SCMP_ARCH_AARCH64"],
        "the profile is not for this machine",
        "add SCMP_ARCH_X86_64",
    ),
    surprise(f"{L}/seccomp/defaultAction", "SCMP_ACT_KILL_PROCESS", "execve is refused", "allow execve"),
    surprise(f"{RULES}/0/names/1", "execve", "execve is refused", "allow execve"),
    surprise(
        f"{RULES}/0/names",
        ["exit_group", "brk"],
        "programs need exit_group",
        "allow what they need",
        f"{RULES}/0/names/0",
    ),
    surprise(
        f"{RULES}/1", rule(["mount"], "KILL"), "this rule for mount has no effect", "leave one", f"{RULES}/1/names/0"
    ),
    surprise(
        f"{RULES}/1",
        rule(["mount"], "LOG", (0, "EQ", 1, 0)),
        "that of item 0 has no conditions",
        "leave one",
        f"{RULES}/1/names/0",
    ),
    surprise(
        f"{RULES}/1",
        rule(["mkdir"], "ALLOW"),
        "SCMP_ACT_ALLOW is the default action",
        "leave the rule out",
        f"{RULES}/1/action",
    ),
    surprise(
        f"{RULES}/1",
        rule(["mkdir"], "ERRNO", (0, "MASKED_EQ", 1, 2)),
        "never holds",
        "value is the mask",
        f"{RULES}/1/args/0/value",
    ),
    surprise(
        f"{RULES}/1",
        rule(["mkdir"], "ERRNO", (0, "LT", 0, 0)),
        "never holds",
        "another value",
        f"{RULES}/1/args/0/value",
    ),
    surprise(
        f"{RULES}/1",
        rule(["mkdir"], "ERRNO", (0, "EQ", 1, 7)),
        "does not look at valueTwo",
        "leave it out",
        f"{RULES}/1/args/0/valueTwo",
    ),
    surprise(
        f"{RULES}/1",
        rule(["close"], "ERRNO", (1, "EQ", 1, 0)),
        "close has 1 argument, none is number 1",
        "counted from 0",
        f"{RULES}/1/args/0/index",
    ),
    surprise(
        f"{RULES}/1",
        rule(["mkdir"], "ERRNO", (1, "GE", 1, 0), (1, "LE", 9, 0)),
        "if any one of its conditions does",
        "a range",
        f"{RULES}/1/args",
    ),
]
OWN = [
    Case(f"{CAPABILITIES}/inheritable", ["CAP_CHOWN"], "not in bounding", "add it", f"{CAPABILITIES}/inheritable/0"),
    Case(f"{CAPABILITIES}/inheritable", ["CAP_CHOWN"], "not in bounding", "add it", f"{CAPABILITIES}/inheritable/0"),
    Case(
        f"{L}/namespaces/5",
        {"type": "user", "path": "/proc/self/ns/user"},
        "own user namespace",
        None,
        f"{L}/namespaces/5/path",
    ),
    Case(
        f"{L}/namespaces/3/path",
        "/proc/self/ns/uts",
        "hostname would be set on the host",
        "leave hostname out",
        "/hostname",
        created=True,  # not tried here: a runtime that takes it renames the host
    ),
    Case(f"{L}/namespaces/1/path", "/proc/4194303/ns/net", "no such file", "process 4194303 has ended"),
    Case(f"{L}/namespaces/1/path", "/proc/self/ns/network", "no such file", "write /proc/self/ns/net"),
    Case(f"{L}/namespaces/1/path", "/proc/self/ns/ipc", "an ipc namespace, not a network", "write /proc/self/ns/net"),
]
CASES = [*SCHEMA, *RESOURCES, *MOUNTS, *HOST, *PROGRAMS, *USERS, *SECCOMP, *USER_NAMESPACE, *UNKNOWN, *SURPRISES, *OWN]
