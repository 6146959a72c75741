"""Namespaces: new, joined by path, shared with the host; and what lives in them: names, sysctl, ids, clocks."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.plan.capabilities import NAMES
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for

PR_CAPBSET_DROP = 24
FILES = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup", "time": "time"}
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def without(bundle: Bundle, *kinds: str) -> Bundle:
    bundle.linux["namespaces"] = [space for space in bundle.linux["namespaces"] if space["type"] not in kinds]
    return bundle


def add(bundle: Bundle, kind: str, path: str | None = None) -> Bundle:
    without(bundle, kind)
    bundle.linux["namespaces"].append({"type": kind, "path": path} if path else {"type": kind})
    return bundle


def inode(pid: int | str, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{FILES.get(kind, kind)}")


@pytest.mark.proves("/linux/namespaces")
@pytest.mark.proves("/linux/namespaces/*/type")
@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "mount"])
def test_new_namespace(runtime: Caller, kind: str) -> None:
    """A namespace of the config without a path is a new one."""
    id = runtime.create(runtime.bundle())
    assert inode(runtime.pid(id), kind) != inode("self", kind)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts"])
def test_shared_with_the_host(runtime: Caller, kind: str) -> None:
    """A namespace that the config does not name is the caller's."""
    bundle = without(runtime.bundle(), kind)
    if kind == "uts":
        del bundle.config["hostname"]
    if kind == "network":
        # sysfs can be mounted: we own the host's network namespace.
        assert inode("self", "network")
    if kind == "ipc":
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["destination"] != "/dev/mqueue"]
    id = runtime.create(bundle.save())
    assert inode(runtime.pid(id), kind) == inode("self", kind)


@pytest.mark.proves("/linux/namespaces/*/path")
@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup", "time"])
def test_joined_by_path(runtime: Caller, kind: str) -> None:
    """A namespace with a path is joined: a second container shares it with the first."""
    if runtime.name in ("runc", "crun") and kind in ("cgroup", "time"):
        pytest.skip(f"{runtime.name}: not every version does")
    base = runtime.sleeper()
    if kind in ("cgroup", "time"):
        add(base, kind).save()
    first = runtime.launch(base)
    path = f"/proc/{runtime.pid(first)}/ns/{FILES[kind]}"
    bundle = add(runtime.bundle(), kind, path)
    second = runtime.create(bundle.save())
    assert inode(runtime.pid(second), kind) == inode(runtime.pid(first), kind)
    runtime.remove(second)


@pytest.mark.proves("/linux/namespaces/*/path")
@pytest.mark.not_on("runc", "crun", reason="another meaning")
def test_joined_mount_namespace(runtime: Caller) -> None:
    """A mount namespace is joined: the container's root is mounted in it, with what is mounted there only."""
    source = runtime.directory / "source"
    source.mkdir()
    script = f"mount -t tmpfs none {source} && echo there > {source}/file && echo ready && exec sleep 60"
    other = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout
        assert other.stdout.readline() == "ready\n"
        bundle = add(runtime.shell("cat /x/file; exec sleep 60"), "mount", f"/proc/{other.pid}/ns/mnt")
        bundle.config["mounts"].append(
            {"destination": "/x", "type": "none", "source": str(source), "options": ["rbind"]}
        )
        id = runtime.launch(bundle.save())
        wait_for(lambda: runtime.output(id), "output")
        assert inode(runtime.pid(id), "mount") == inode(other.pid, "mount")
        assert runtime.output(id) == "there\n"
        runtime.remove(id)
    finally:
        other.kill()
        other.communicate()


@pytest.mark.proves("/linux/namespaces/*/path")
@pytest.mark.parametrize("user", [False, True])
def test_pod(runtime: Caller, user: bool) -> None:
    """A container of a pod shares network, ipc, uts and pid, and where there is one the user namespace that owns them."""
    if user and runtime.name == "runc":
        pytest.skip("runc: wants the maps of a namespace that it did not make")
    script = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    first = runtime.launch(mapped(runtime, script) if user else runtime.sleeper())
    pid = runtime.pid(first)
    kinds = ["network", "ipc", "uts", "pid", *(["user"] if user else [])]
    bundle = runtime.shell(
        "hostname; ls /sys/class/net; cat /proc/sys/net/ipv4/ip_forward; test $$ != 1 && echo joined",
        {"hostname": None},
    )
    for kind in kinds:
        add(bundle, kind, f"/proc/{pid}/ns/{FILES.get(kind, kind)}")
    subprocess.run(["nsenter", "-t", str(pid), "-n", "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
    assert runtime.run(bundle.save()).ok().out.split() == ["box", "lo", "1", "joined"]
    second = runtime.create(bundle)
    assert [inode(runtime.pid(second), kind) for kind in kinds] == [inode(pid, kind) for kind in kinds]
    assert inode(runtime.pid(second), "mount") != inode(pid, "mount")


def drop_ptrace() -> None:
    """For the child: CAP_SYS_PTRACE is in none of its sets after the next execve."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, NAMES.index("CAP_SYS_PTRACE"), 0, 0, 0)


@pytest.mark.proves_operation("dumpable")
@pytest.mark.not_on("runc", "crun", reason="makes its container in another order")
def test_entering_init_is_closed_to_its_neighbours(runtime: Caller) -> None:
    """In a joined pid namespace a process with the same ids and capabilities as init cannot look into it (CVE-2016-9962).

    A hook holds init up before it drops anything; the program that it becomes is open, so that the look is known to work.
    """
    able = int(Path("/proc/self/status").read_text().split("CapBnd:\t")[1].split()[0], 16)
    names = [name for bit, name in enumerate(NAMES) if able >> bit & 1 and name != "CAP_SYS_PTRACE"]
    change = {"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), names)}}
    first = runtime.launch(runtime.sleeper(change))
    bundle = add(runtime.sleeper(change), "pid", f"/proc/{runtime.pid(first)}/ns/pid")
    go, state = runtime.directory / "go", runtime.directory / "seen"
    wait = f"cat > {state}.new; mv {state}.new {state}; while ! test -e {go}; do sleep 0.05; done"
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", wait], "timeout": 20}]}
    id = runtime.new_id()
    words = runtime.command("create", "--bundle", bundle.save().directory, id)
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    create = subprocess.Popen(words, preexec_fn=drop_ptrace, **silent)
    try:
        wait_for(state.exists, "hook")
        pid = json.loads(state.read_text())["pid"]
        inside = Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1]
        look = f"cat /proc/{inside}/comm; readlink /proc/{inside}/root"
        assert runtime.exec(first, look).failed().out == "ocirun-init\n"
    finally:
        go.touch()
        create.wait(20)
    runtime.start(id)
    wait_for(lambda: runtime.exec(first, look).out == "sh\n/\n", "program that is open to its neighbours")


def test_joined_pid_namespace_is_seen(runtime: Caller) -> None:
    """A process in a joined pid namespace is not pid 1 and sees the other container's processes."""
    first = runtime.launch(runtime.sleeper())
    bundle = runtime.shell("echo $$; ps | grep -c trap")
    add(bundle, "pid", f"/proc/{runtime.pid(first)}/ns/pid")
    out = runtime.run(bundle.save()).ok().out.split()
    assert int(out[0]) > 1
    assert int(out[1]) >= 1


def test_named_network_namespace(runtime: Caller, netns: Callable[[], str]) -> None:
    """A network namespace of `ip netns` is joined."""
    bundle = add(runtime.shell("readlink /proc/self/ns/net"), "network", netns())
    path = bundle.linux["namespaces"][-1]["path"]
    out = runtime.run(bundle.save()).ok().out.strip()
    assert out == f"net:[{os.stat(path).st_ino}]"


@pytest.mark.parametrize("path", ["/no/such/namespace", "/etc/hostname", "/proc/self/ns/uts"])
def test_bad_path(runtime: Caller, path: str) -> None:
    """A path that is missing, no namespace or of another type is refused."""
    bundle = add(runtime.bundle(), "network", path)
    assert path in runtime.try_create(bundle.save()).failed(1).err or runtime.name != "ocirun"


def test_pid_namespace_of_a_dead_process(runtime: Caller) -> None:
    """A pid namespace that somebody keeps after its first process has ended is named, with the reason."""
    kept = runtime.directory / "pid"
    kept.touch()
    subprocess.run(["unshare", f"--pid={kept}", "--fork", "true"], check=True)
    try:
        bundle = runtime.bundle()
        next(one for one in bundle.linux["namespaces"] if one["type"] == "pid")["path"] = str(kept)
        err = runtime.try_create(bundle.save()).failed(1).err
    finally:
        subprocess.run(["umount", kept], check=True)
    if runtime.name == "ocirun":
        assert "/linux/namespaces/" in err
        assert "a pid namespace whose first process has ended" in err


def test_own_path(runtime: Caller) -> None:
    """Joining the caller's own namespace by path shares the host's."""
    bundle = add(runtime.bundle(), "network", "/proc/self/ns/net")
    id = runtime.create(bundle.save())
    assert inode(runtime.pid(id), "network") == inode("self", "network")


def test_cgroup_namespace(runtime: Caller) -> None:
    """A cgroup namespace is rooted at the container's cgroup."""
    bundle = add(runtime.shell("cat /proc/self/cgroup"), "cgroup")
    lines = runtime.run(bundle.save()).ok().out.splitlines()
    paths = [line.split(":", 2)[2] for line in lines]
    assert set(paths) == {"/"}


@pytest.mark.proves("/linux/timeOffsets")
@pytest.mark.proves("/linux/timeOffsets/monotonic")
@pytest.mark.proves("/linux/timeOffsets/monotonic/secs")
@pytest.mark.proves("/linux/timeOffsets/monotonic/nanosecs")
@pytest.mark.proves("/linux/timeOffsets/boottime")
@pytest.mark.proves("/linux/timeOffsets/boottime/secs")
@pytest.mark.proves("/linux/timeOffsets/boottime/nanosecs")
@pytest.mark.not_on("runc", "crun", reason="these versions know no time namespace")
def test_time_namespace(runtime: Caller) -> None:
    """timeOffsets move the container's clocks, exec's too."""
    bundle = add(runtime.shell("cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets; exec sleep 60"), "time")
    offsets = {"monotonic": {"secs": 100000, "nanosecs": 7}, "boottime": {"secs": 200000, "nanosecs": 5}}
    bundle.linux["timeOffsets"] = offsets
    id = runtime.launch(bundle.save())
    out = runtime.exec(id, ["cut", "-d.", "-f1", "/proc/uptime"]).ok().out
    host = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(int(out) - 200000 - host) < 30
    wait_for(lambda: runtime.output(id).count("\n") >= 3, "three lines of output")
    lines = runtime.output(id).splitlines()
    assert abs(int(lines[0]) - 200000 - host) < 30
    assert lines[1].split() == ["monotonic", "100000", "7"]
    assert lines[2].split() == ["boottime", "200000", "5"]


@pytest.mark.proves("/hostname")
@pytest.mark.kernel
def test_hostname(runtime: Caller) -> None:
    """hostname is the container's, and the host keeps its own."""
    before = os.uname().nodename
    assert runtime.run(runtime.shell("hostname", {"hostname": "box-7"})).ok().out == "box-7\n"
    assert os.uname().nodename == before


@pytest.mark.proves("/domainname")
@pytest.mark.not_on("runc", "crun", reason="these versions know no domainname")
def test_domainname(runtime: Caller) -> None:
    """domainname is the container's."""
    bundle = runtime.shell("cat /proc/sys/kernel/domainname", {"domainname": "example.org"})
    assert runtime.run(bundle).ok().out == "example.org\n"


def test_hostname_needs_a_namespace(runtime: Caller) -> None:
    """A hostname without a uts namespace would rename the host: refused."""
    before = os.uname().nodename
    runtime.try_create(without(runtime.bundle(), "uts").save()).failed(1)
    assert os.uname().nodename == before


@pytest.mark.proves_operation("proc_handle")
@pytest.mark.proves("/linux/sysctl")
def test_sysctl(runtime: Caller) -> None:
    """Namespaced sysctl values are set, with either separator."""
    bundle = runtime.shell("cd /proc/sys; cat net/ipv4/ip_forward kernel/msgmax net/ipv4/conf/lo/rp_filter")
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4242", "net/ipv4/conf/lo/rp_filter": "2"}
    if runtime.name == "runc":
        bundle.linux["sysctl"] = {name.replace("/", "."): value for name, value in bundle.linux["sysctl"].items()}
    assert runtime.run(bundle.save()).ok().out.split() == ["1", "4242", "2"]


SYSCTLS = {
    "ipc": ("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax")
    + ("kernel.shmmni", "kernel.shm_rmid_forced", "fs.mqueue.msg_max", "fs.mqueue.queues_max"),
    "network": ("net.ipv4.ip_forward", "net.core.somaxconn", "net.ipv6.conf.all.forwarding"),
    "uts": ("kernel.domainname",),
}
VALUES = {"kernel.sem": "250 32000 32 128", "kernel.domainname": "example.org", "kernel.shm_rmid_forced": "1"}


@pytest.mark.proves("/linux/sysctl")
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in SYSCTLS.items() for name in names])
def test_sysctl_and_its_namespace(runtime: Caller, kind: str, name: str) -> None:
    """Each is set in a namespace of the container's own, and refused without one, also by a path to the runtime's own."""
    file = name.replace(".", "/")
    before = Path(f"/proc/sys/{file}").read_text()
    value = VALUES.get(name, "9" if "mqueue" in name else "1" if name.startswith("net") else "1234")
    bundle = runtime.shell(f"cat /proc/sys/{file}", {"linux": {"sysctl": {name: value}}})
    assert runtime.run(bundle.save()).ok().out.split() == value.split()
    if runtime.name == "ocirun":
        own = add(bundle, kind, f"/proc/self/ns/{FILES[kind]}")
        if kind == "uts":
            own.config["hostname"] = ""  # which is refused likewise
        assert f"/linux/sysctl/{name}: " in runtime.try_create(own.save()).failed(1).err
    without(bundle, kind)
    if kind == "uts":
        del bundle.config["hostname"]
    runtime.try_create(bundle.save()).failed(1)
    assert Path(f"/proc/sys/{file}").read_text() == before


@pytest.mark.parametrize("name", ["kernel.panic", "vm.swappiness", "net.no.such", "kernel.hostname"])
def test_sysctl_of_the_host(runtime: Caller, name: str) -> None:
    """A sysctl that is not the container's own is refused."""
    bundle = runtime.bundle()
    bundle.linux["sysctl"] = {name: "1"}
    runtime.try_create(bundle.save()).failed(1)


def test_network_sysctl_needs_a_namespace(runtime: Caller) -> None:
    """net.* without a network namespace would change the host: refused."""
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    bundle = without(runtime.bundle(), "network")
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1" if before.strip() == "0" else "0"}
    runtime.try_create(bundle.save()).failed(1)
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == before


@pytest.mark.proves_operation("unshare")
@pytest.mark.kernel
def test_loopback(runtime: Caller) -> None:
    """In a new network namespace the loopback is up."""
    assert "inet 127.0.0.1" in runtime.run(runtime.shell("ip addr show lo")).ok().out


# User namespaces


def mapped(runtime: Caller, script: str, change: dict[str, Any] | None = None) -> Bundle:
    bundle = add(runtime.shell(script, change), "user")
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    return bundle.save()


@pytest.mark.proves_operation("become")
@pytest.mark.proves("/linux/uidMappings")
@pytest.mark.proves("/linux/uidMappings/*/containerID")
@pytest.mark.proves("/linux/uidMappings/*/hostID")
@pytest.mark.proves("/linux/uidMappings/*/size")
@pytest.mark.proves("/linux/gidMappings")
@pytest.mark.proves("/linux/gidMappings/*/containerID")
@pytest.mark.proves("/linux/gidMappings/*/hostID")
@pytest.mark.proves("/linux/gidMappings/*/size")
@pytest.mark.kernel
def test_user_namespace(runtime: Caller) -> None:
    """The maps are those of the config, line by line, and ids inside are the mapped ones outside."""
    bundle = mapped(runtime, "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; exec sleep 60")
    uids = [{"containerID": 0, "hostID": 100000, "size": 10}, {"containerID": 70, "hostID": 300000, "size": 5}]
    gids = [{"containerID": 0, "hostID": 100000, "size": 7}, {"containerID": 90, "hostID": 400000, "size": 3}]
    bundle.linux.update(uidMappings=uids, gidMappings=gids)
    bundle.config["mounts"] = [
        m for m in bundle.config["mounts"] if m["type"] != "devpts"
    ]  # gid=5 is there all the same
    bundle.process["user"] = {"uid": 74, "gid": 92}
    id = runtime.launch(bundle.save())
    status = Path(f"/proc/{runtime.pid(id)}/status").read_text()
    assert "Uid:\t300004\t300004\t300004\t300004" in status
    assert "Gid:\t400002\t400002\t400002\t400002" in status
    rows = "0 100000 10 70 300000 5 0 100000 7 90 400000 3"
    wait_for(lambda: runtime.output(id).count("\n") >= 6, "six lines of output")
    assert runtime.output(id).split() == ["74", "92", *rows.split()]


@pytest.mark.proves_operation("device_bind")
def test_user_namespace_has_everything(runtime: Caller) -> None:
    """With mapped ids there are the mounts, devices and terminals of any container."""
    script = (
        "echo x > /dev/null && stat -c '%t,%T' /dev/null /dev/zero; ls -d /dev/pts/ptmx /dev/shm /dev/mqueue;"
        " touch /dev/shm/x && echo shm; ls /sys/class/net; cat /proc/sys/kernel/hostname; ls /dev/fd/ | head -1"
    )
    out = runtime.run(mapped(runtime, script)).ok().out.split()
    assert out == ["1,3", "1,5", "/dev/mqueue", "/dev/pts/ptmx", "/dev/shm", "shm", "lo", "box", "0"]


@pytest.mark.kernel
def test_user_namespace_shows_the_hosts_cgroups_read_only(runtime: Caller) -> None:
    """Without a cgroup namespace no new mount of cgroups is possible: the host's are bound, and cannot be written."""
    bundle = mapped(runtime, "f=$(find /sys/fs/cgroup -name cgroup.procs | head -1); echo $f; ! mkdir ${f%/*}/x 2>&1")
    bundle.linux["namespaces"] = [entry for entry in bundle.linux["namespaces"] if entry["type"] != "cgroup"]
    mount = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "nodev"]}
    bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if entry["type"] != "cgroup"] + [mount]
    found, refusal = runtime.run(bundle.save()).ok().out.splitlines()
    assert found.endswith("/cgroup.procs")
    assert refusal.endswith(("Read-only file system", "Permission denied"))


@pytest.mark.proves_operation("open_tree")
def test_user_namespace_with_binds(runtime: Caller) -> None:
    """A bind source that only the host's root may reach is there all the same."""
    closed = runtime.directory / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("reached\n")
    bundle = mapped(runtime, "cat /x")
    bundle.write("/x", "")  # the mapped root may not make it in the host root's directory
    bundle.config["mounts"].append(
        {"destination": "/x", "type": "bind", "source": str(closed / "file"), "options": ["bind", "ro"]}
    )
    if runtime.name in ("runc", "crun"):
        pytest.skip(f"{runtime.name}: opens the source inside the namespace")
    assert runtime.run(bundle.save()).ok().out == "reached\n"


@pytest.mark.proves_operation("become")
def test_user_namespace_exec(runtime: Caller) -> None:
    """exec enters the user namespace as its root, or as a mapped user."""
    id = runtime.launch(mapped(runtime, "exec sleep 60"))
    assert runtime.exec(id, "id -u; cat /proc/self/uid_map").ok().out.split() == ["0", "0", "100000", "65536"]
    pid_file = runtime.directory / "pid"
    runtime.exec(id, ["sleep", "60"], "-d", "-u", "1000:1000", "--pid-file", pid_file).ok()
    assert "Uid:\t101000" in Path(f"/proc/{pid_file.read_text()}/status").read_text()


def test_user_namespace_devices(runtime: Caller) -> None:
    """Devices of the config are there with mapped ids too, bound from the host."""
    bundle = mapped(runtime, "stat -c '%t,%T' /dev/full /dev/mine; head -c1 /dev/mine | od -An -tx1")
    bundle.linux["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5}]
    if runtime.name in ("runc", "crun"):
        pytest.skip(f"{runtime.name}: binds only a node of the same path on the host")
    assert runtime.run(bundle.save()).ok().out.split() == ["1,7", "1,5", "00"]


@pytest.mark.not_on("runc", reason="wants the maps of a namespace that it did not make")
def test_user_namespace_joined(runtime: Caller) -> None:
    """A user namespace of another container is joined, together with the namespaces that it owns."""
    first = runtime.launch(mapped(runtime, "exec sleep 60"))
    pid = runtime.pid(first)
    bundle = runtime.shell("cat /proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/self/ns/net")
    for kind in ("user", "network", "ipc"):
        add(bundle, kind, f"/proc/{pid}/ns/{FILES.get(kind, kind)}")
    out = runtime.run(bundle.save()).ok().out.split()
    assert out == ["0", "100000", "65536", inode(pid, "user"), inode(pid, "network")]


def test_host_network_with_user_namespace(runtime: Caller, netns: Callable[[], str]) -> None:
    """A network namespace that the host owns is joined from a new user namespace; sysfs is bound then."""
    bundle = add(mapped(runtime, "ls /sys/class/net; readlink /proc/self/ns/net"), "network", netns())
    path = bundle.linux["namespaces"][-1]["path"]
    if runtime.name in ("runc", "crun"):
        pytest.skip(f"{runtime.name}: cannot mount sysfs then")
    assert f"net:[{os.stat(path).st_ino}]" in runtime.run(bundle.save()).ok().out


def test_unmapped_user(runtime: Caller) -> None:
    """A process.user outside the maps is refused."""
    bundle = mapped(runtime, "id", {"process": {"user": {"uid": 70000, "gid": 70000}}})
    runtime.run(bundle).failed(1)


def test_user_namespace_without_maps(runtime: Caller) -> None:
    """A new user namespace without maps is refused."""
    runtime.try_create(add(runtime.bundle(), "user").save()).failed(1)


def test_duplicate_namespace(runtime: Caller) -> None:
    """A type that is named twice is refused."""
    bundle = runtime.bundle()
    bundle.linux["namespaces"].append({"type": "uts"})
    if runtime.name == "crun":
        pytest.skip("crun: takes it")
    runtime.try_create(bundle.save()).failed(1)


def test_host_is_unchanged(runtime: Caller) -> None:
    """The host's loopback, name and mounts are as before a container with all namespaces of its own."""
    before = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    runtime.run(runtime.bundle()).ok()
    assert subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout == before
