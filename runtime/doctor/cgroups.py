"""Cgroups: which version, which controllers, who may create them, and systemd. Cold."""

import posix
from errno import ENOSYS, EPERM

from runtime import files
from runtime.cgroups import layout
from runtime.doctor import kernel, trial
from runtime.doctor.row import limited, missing, ok
from runtime.host import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.doctor.caller import Caller
    from runtime.doctor.row import Row
    from runtime.host.cgroups import CgroupFacts, Hierarchy

# controller → (its name on v1 if another, what does not work without it, the option of the kernel)
CONTROLLERS = {
    "cpu": ("cpu", "/linux/resources/cpu", "CONFIG_CGROUP_SCHED"),
    "cpuset": ("cpuset", "/linux/resources/cpu/cpus, mems", "CONFIG_CPUSETS"),
    "memory": ("memory", "/linux/resources/memory", "CONFIG_MEMCG"),
    "pids": ("pids", "/linux/resources/pids", "CONFIG_CGROUP_PIDS"),
    "io": ("blkio", "/linux/resources/blockIO", "CONFIG_BLK_CGROUP"),
    "hugetlb": ("hugetlb", "/linux/resources/hugepageLimits", "CONFIG_CGROUP_HUGETLB"),
    "rdma": ("rdma", "/linux/resources/rdma", "CONFIG_CGROUP_RDMA"),
}
V1_ONLY = {
    "devices": ("/linux/resources/devices", "CONFIG_CGROUP_DEVICE"),
    "freezer": ("pause and resume", "CONFIG_CGROUP_FREEZER"),
    "net_cls": ("/linux/resources/network/classID", "CONFIG_CGROUP_NET_CLASSID"),
    "net_prio": ("/linux/resources/network/priorities", "CONFIG_CGROUP_NET_PRIO"),
}
BPF_PROG_LOAD = 5
DELEGATE = (
    "as root: systemctl edit user@.service, with Delegate=cpu cpuset io memory pids below [Service]; without systemd: "
    "+{} in cgroup.subtree_control of the cgroups above"
)
SYSTEM_BUS = "/run/dbus/system_bus_socket"


def rows(caller: "Caller") -> "Iterator[Row]":
    try:
        facts = cgroups.read()
    except OSError as error:
        found = f"/proc/self/cgroup or mountinfo: {posix.strerror(error.errno or 0).lower()}"
        yield missing("cgroups", found, "/linux/resources and /linux/cgroupsPath", "mount -t proc proc /proc")
        return
    yield mode(facts)
    if facts["mode"] != "none":
        yield from controllers(facts, caller)
        yield delegation(facts, caller)
        if facts["mode"] == "v2":
            yield device_filters(caller)
            yield from real_time_on_v2()
        else:
            yield real_time(facts)
    yield from systemd(caller)


def mode(facts: "CgroupFacts") -> "Row":
    if facts["mode"] == "none":
        found = "no hierarchy is mounted"
        how = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
        return missing("cgroups", found, "/linux/resources, pause, events, kill --all", how)
    where = sorted({hierarchy["mountpoint"] for hierarchy in facts["hierarchies"]})
    shown = where[0] if len(where) == 1 else f"{len(where)} hierarchies below {posix_parent(where)}"
    if facts["mode"] == "v2":
        return ok("cgroups", f"v2 at {shown}")
    means = "/linux/resources/unified needs v2" if facts["mode"] == "v1" else "the controllers are those of v1"
    return ok("cgroups", f"{facts['mode']}: {shown}", means)


def posix_parent(paths: "list[str]") -> str:
    return paths[0].rpartition("/")[0] or "/"


def controllers(facts: "CgroupFacts", caller: "Caller") -> "Iterator[Row]":
    """The controllers that are there for the caller."""
    v2 = facts["mode"] == "v2"
    present = {name for hierarchy in facts["hierarchies"] for name in hierarchy["controllers"]}
    if v2 and not caller.privileged:
        present = set(files.read_or_empty(f"{place(facts['hierarchies'][0])}/cgroup.controllers").decode().split())
    wanted = {(name if v2 else old): (means, option) for name, (old, means, option) in CONTROLLERS.items()}
    if not v2:
        wanted |= V1_ONLY
    yield ok("cgroup controllers", ", ".join(name for name in wanted if name in present) or "none")
    known = files.read_or_empty("/proc/cgroups").decode()
    for name, (means, option) in wanted.items():
        if name not in present:
            undelegated = v2 and name in facts["hierarchies"][0]["controllers"]
            how = DELEGATE.format(name) if undelegated else controller_remedy(name, v2, option, known)
            yield missing(f"cgroup controller {name}", "not delegated" if undelegated else "not there", means, how)


def controller_remedy(name: str, v2: bool, option: str, known: str) -> str:
    """Where the kernel has it, it is disabled, mounted elsewhere or not passed down. ``known``: /proc/cgroups."""
    for line in known.splitlines():
        row = line.split("\t")
        if row[0] == ("blkio" if name == "io" else name):
            if row[3:] == ["0"]:
                return f"boot without cgroup_disable={row[0]} (on some systems with cgroup_enable={row[0]})"
            if not v2:
                return f"mkdir /sys/fs/cgroup/{name} && mount -t cgroup -o {name} {name} /sys/fs/cgroup/{name}"
            if row[1] != "0":
                return f"umount the v1 hierarchy that has {row[0]}"
    if v2:
        return f"a kernel with {option}=y, and +{name} in cgroup.subtree_control of the cgroups above"
    return f"a kernel with {option}=y"


def place(hierarchy: "Hierarchy") -> str:
    """The directory in which the caller's containers get their cgroups by default."""
    own = hierarchy["mountpoint"].rstrip("/") + layout.below_mount(hierarchy["own"], hierarchy["root"])
    return own.rpartition("/")[0] if hierarchy.get("beside") else own


def delegation(facts: "CgroupFacts", caller: "Caller") -> "Row":
    """Whether the caller may create cgroups where containers get theirs: in each hierarchy with controllers."""
    subject = "cgroups of the caller"
    places = [place(one) for one in facts["hierarchies"] if one["version"] == 2 or "name=" not in one["controllers"][0]]
    refused = [path for path in places if not posix.access(path, posix.W_OK)]
    if not refused:
        return ok(subject, f"may be created below {', '.join(places[:1])}{' and others' * (len(places) > 1)}")
    found = f"none may be created below {', '.join(refused)}"
    if caller.privileged or caller.uid == 0:
        how = f"mount -o remount,rw {refused[0]}"
    else:
        how = (
            "with systemd: systemd-run --user --scope -p Delegate=yes COMMAND, or --systemd-cgroup;"
            " without: as root, create a cgroup and make its directory and cgroup.procs the user's"
        )
    if len(refused) < len(places):
        return limited(subject, found, "/linux/resources of these controllers", how)
    return missing(subject, found, "/linux/resources: containers get no limits", how)


def device_filters(caller: "Caller") -> "Row":
    """On v2 device rules are a BPF program. Loading one without instructions is refused, EPERM first where it is forbidden."""
    subject, means = "device filters (eBPF)", "/linux/resources/devices"
    if not caller.privileged:
        found = "only for root of the host"
        return limited(
            subject, found, f"{means}: without rules the container can open what its file modes allow", "as root"
        )
    error = trial.system_call("bpf", BPF_PROG_LOAD, bytes(128), 128)
    if error in (EPERM, ENOSYS):
        return missing(
            subject, posix.strerror(error).lower(), means, "a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_CGROUP_BPF=y"
        )
    return ok(subject, "BPF programs can be loaded")


def real_time_on_v2() -> "Iterator[Row]":
    """There, the option gives each cgroup no time for real-time processes, and no file to change it."""
    if "RT_GROUP_SCHED" in kernel.set_options(kernel.option_file()[1]):
        how = "a kernel without CONFIG_RT_GROUP_SCHED; newer ones can be booted with rt_group_sched=0"
        means = "/process/scheduler with SCHED_FIFO and SCHED_RR: refused in a cgroup"
        yield limited("real-time group scheduling", "in the kernel, but not in cgroup v2", means, how)


def real_time(facts: "CgroupFacts") -> "Row":
    """CONFIG_RT_GROUP_SCHED, by its file."""
    subject = "real-time group scheduling"
    for hierarchy in facts["hierarchies"]:
        if "cpu" in hierarchy["controllers"]:
            if posix.access(f"{hierarchy['mountpoint']}/cpu.rt_runtime_us", posix.F_OK):
                means = "real-time policies in containers need /linux/resources/cpu/realtimeRuntime"
                return ok(subject, "there", means)
            means = "/linux/resources/cpu/realtimeRuntime and realtimePeriod"
            return missing(subject, "not in the kernel", means, "a kernel with CONFIG_RT_GROUP_SCHED=y")
    means = "/linux/resources/cpu/realtimeRuntime and realtimePeriod"
    return missing(subject, "no cpu controller", means, "see the row of the cpu controller")


def systemd(caller: "Caller") -> "Iterator[Row]":
    """systemd, and for an ordinary user his own."""
    means = "--systemd-cgroup and --cgroup-manager systemd"
    if not posix.access("/run/systemd/system", posix.F_OK):
        yield missing(
            "systemd", "does not run", means, "boot with systemd, or use --cgroup-manager cgroupfs (the default)"
        )
        return
    from runtime.doctor.programs import output

    number = output("systemctl", "--version").partition("\n")[0]
    yield ok("systemd", number or "runs")
    if caller.privileged:
        if posix.access(SYSTEM_BUS, posix.F_OK) or posix.access("/run/systemd/private", posix.F_OK):
            yield ok("systemd's bus", SYSTEM_BUS)
        else:
            yield missing("systemd's bus", f"no {SYSTEM_BUS}", means, "apt install dbus; systemctl start dbus.socket")
        return
    directory = posix.environ.get(b"XDG_RUNTIME_DIR", f"/run/user/{caller.uid}".encode()).decode(
        errors="surrogateescape"
    )
    if posix.access(f"{directory}/bus", posix.F_OK) or posix.access(f"{directory}/systemd/private", posix.F_OK):
        yield ok("the user's systemd", f"its bus is in {directory}")
    else:
        how = "apt install dbus-user-session, and log in; or as root: loginctl enable-linger USER"
        yield missing("the user's systemd", f"no bus in {directory}", f"{means}, for this user", how)
