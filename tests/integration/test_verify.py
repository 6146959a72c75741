"""``ocirun verify``: nothing differs in a container as it was made, and each drift is named by its pointer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration import adapt, snapshot
from tests.integration.bundle import Bundle, merge
from tests.integration.caller import Caller, wait_for
from tests.integration.conftest import cgroup_version
from tests.integration.console import ConsoleSocket
from tests.integration.prepared import finish_rootfs
from tests.integration.test_configs import ON_BOTH_KERNELS, forbidden_limit

pytestmark = pytest.mark.not_on("runc", "crun", reason="has no such command")


def verify(runtime: Caller, *words: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and the checks."""
    result = runtime.call("verify", "--format", "json", *words)
    assert result.code in (0, 1), result.err
    checks: list[dict[str, Any]] = json.loads(result.out)["checks"]
    return result.code, checks


def not_ok(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [check for check in checks if check["verdict"] != "ok"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.kernel if name in ON_BOTH_KERNELS else ()) for name in adapt.names()]
)
def test_managers_configs(runtime: Caller, prepare: Callable[[str], Bundle], name: str) -> None:
    """A container of each manager's config is as its config says."""
    bundle = prepare(name)
    if forbidden_limit(bundle.config):
        pytest.skip("the machine cannot grant its limits")
    bundle.process["args"] = ["sleep", "600"]
    bundle.save()
    with ExitStack() as stack:
        flags: list[str | Path] = []
        if bundle.process.get("terminal"):
            console = stack.enter_context(ConsoleSocket(runtime.directory / "console"))
            flags = ["--console-socket", console.path]
        id = runtime.create(bundle, *flags)
        if flags:
            stack.enter_context(console.receive())
        runtime.start(id)
        status, checks = verify(runtime, id)
        assert not_ok(checks) == []
        assert status == 0
        runtime.remove(id)


# Drifts from outside: a shell command on the host and the pointers that verify names for it. $P: the first process, $B: the
# bundle, $C: the container's cgroups, one per v1 controller as $C_memory and so on.
NAMESPACE = "nsenter -t $P -m -p --"
OUTSIDE = {
    "tmpfs over a mount": (f"{NAMESPACE} mount -t tmpfs x /dev/shm", "/mounts/3"),
    "mount gone": (f"{NAMESPACE} umount /dev/mqueue", "/mounts/4"),
    "covered from above": (f"{NAMESPACE} mount -t tmpfs x /sys", "/mounts/5 /mounts/6"),
    "bind made writable": (f"{NAMESPACE} mount -o remount,bind,rw /data", "/mounts/7/options"),
    "bind loses nosuid": (f"{NAMESPACE} mount -o remount,bind,ro,suid /data", "/mounts/7/options"),
    "tmpfs made larger": (f"{NAMESPACE} mount -o remount,size=9m /dev/shm", "/mounts/3/options"),
    "mount made shared": (f"{NAMESPACE} mount --make-shared /dev/shm", "/mounts/3/options"),
    "source replaced": ("echo new > $B/new && mv $B/new $B/file", "/mounts/8/source"),
    "another file bound": (f"{NAMESPACE} sh -c 'umount /file && mount --bind /etc/group /file'", "/mounts/8/source"),
    "surplus mount": (f"{NAMESPACE} mount -t tmpfs x /tmp", "/mounts"),
    "mask gone": (f"{NAMESPACE} umount /proc/keys", "/linux/maskedPaths/2"),
    "directory's mask gone": (f"{NAMESPACE} umount /sys/firmware", "/linux/maskedPaths/4"),
    "read-only path writable": (f"{NAMESPACE} umount /proc/sys", "/linux/readonlyPaths/3"),
    "root read-only": (f"{NAMESPACE} mount -o remount,bind,ro /", "/root/readonly"),
    "root shared": (f"{NAMESPACE} mount --make-shared /", "/linux/rootfsPropagation"),
    "default device gone": ("rm /proc/$P/root/dev/full", "/linux/devices"),
    "device is another": (
        "rm /proc/$P/root/dev/probe && mknod -m 640 /proc/$P/root/dev/probe c 1 8",
        "/linux/devices/0",
    ),
    "device is a file": ("rm /proc/$P/root/dev/probe && touch /proc/$P/root/dev/probe", "/linux/devices/0"),
    "device's mode": ("chmod 666 /proc/$P/root/dev/probe", "/linux/devices/0"),
    "device's owner": ("chown 5 /proc/$P/root/dev/probe", "/linux/devices/0"),
    "rlimit": ("prlimit -p $P --nofile=100:200", "/process/rlimits/0"),
    "OOM score": ("echo 300 > /proc/$P/oom_score_adj", "/process/oomScoreAdj"),
    "nice value": ("renice -n 7 -p $P", "/process/scheduler"),
    "policy": ("chrt -b -p 0 $P", "/process/scheduler"),
    "I/O priority": ("ionice -c 3 -p $P", "/process/ioPriority"),
    "pinned": ("taskset -p 1 $P", "/process"),
    "hostname": ("nsenter -t $P -u -- hostname other", "/hostname"),
    "domainname": ("nsenter -t $P -u -- sh -c 'echo other > /proc/sys/kernel/domainname'", "/domainname"),
    "sysctl of the network": (
        "nsenter -t $P -n -- sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'",
        "/linux/sysctl/net.ipv4.ip_forward",
    ),
    "sysctl of IPC": (
        "nsenter -t $P -i -- sh -c 'echo 100 > /proc/sys/kernel/msgmax'",
        "/linux/sysctl/kernel.msgmax",
    ),
    "memory limit": ("echo 99999744 > $C_memory/memory.limit_in_bytes", "/linux/resources/memory/limit"),
    "pids limit": ("echo 99 > $C_pids/pids.max", "/linux/resources/pids/limit"),
    "CPU shares": ("echo 99 > $C_cpu/cpu.shares", "/linux/resources/cpu/shares"),
    "CPU quota": ("echo -1 > $C_cpu/cpu.cfs_quota_us", "/linux/resources/cpu/quota"),
    "device allowed": ("echo 'b 7:0 r' > $C_devices/devices.allow", "/linux/resources/devices"),
    "device denied": ("echo 'c 1:5 w' > $C_devices/devices.deny", "/linux/resources/devices"),
    "rule of the config": ("echo 'c 4:1 w' > $C_devices/devices.deny", "/linux/resources/devices/1"),
    "another cgroup": ("echo $P > ${C_pids%/*}/cgroup.procs", "/linux/cgroupsPath"),
}

# The same on a host with cgroup v2, whose one directory is $C.
OUTSIDE_V2 = {
    "memory limit": ("echo 99999744 > $C/memory.max", "/linux/resources/memory/limit"),
    "pids limit": ("echo 99 > $C/pids.max", "/linux/resources/pids/limit"),
    "CPU weight": ("echo 99 > $C/cpu.weight", "/linux/resources/cpu/shares"),
    "CPU quota": ("echo max > $C/cpu.max", "/linux/resources/cpu/quota"),
    "another cgroup": ("echo $P > ${C%/*}/cgroup.procs", "/linux/cgroupsPath"),
}

CHANGE: dict[str, Any] = {
    "process": {
        "oomScoreAdj": 100,
        "scheduler": {"policy": "SCHED_OTHER", "nice": 3},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6},
    },
    "domainname": "example.org",
    "linux": {
        "sysctl": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"},
        "devices": [{"path": "/dev/probe", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4}],
        "resources": {
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 4, "minor": 1, "access": "rw"},
            ],
            "memory": {"limit": 50_000_001},
            "pids": {"limit": 50},
            "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
        },
    },
}


@pytest.fixture
def furnished(runtime: Caller) -> Bundle:
    """A bundle that asks for much that can change, and has a directory and a file bound."""
    bundle = runtime.sleeper(CHANGE)
    (bundle.directory / "data").mkdir()
    (bundle.directory / "file").write_text("old\n")
    data = {"destination": "/data", "source": "data", "options": ["bind", "ro", "nosuid"]}
    file = {"destination": "/file", "source": "file", "options": ["bind"]}
    bundle.config["mounts"] += [data, file]
    return bundle.save()


def surroundings(bundle: Bundle, pid: int) -> dict[str, str]:
    """The variables of the commands in OUTSIDE."""
    paths = [line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    cgroups = {f"C_{name}": f"/sys/fs/cgroup/{name}{path}" for name, path in paths if name.isalpha()}
    unified = next((f"/sys/fs/cgroup{path}" for name, path in paths if not name), "")
    return {"P": str(pid), "B": str(bundle.directory), "C": unified, **cgroups}


def wrong(checks: list[dict[str, Any]]) -> set[str]:
    return {check["pointer"] for check in checks if check["verdict"] in ("differs", "gone")}


@pytest.mark.parametrize("drift", OUTSIDE)
def test_drift_from_outside(runtime: Caller, furnished: Bundle, drift: str) -> None:
    """What somebody changes in a running container is named, and nothing else."""
    if cgroup_version() == "v2" and "$C_" in OUTSIDE[drift][0]:
        pytest.skip("the cgroups are v2's")
    id = runtime.launch(furnished)
    assert not_ok(verify(runtime, id)[1]) == []
    assert drifted(runtime, furnished, id, OUTSIDE[drift][0]) == set(OUTSIDE[drift][1].split())


def drifted(runtime: Caller, bundle: Bundle, id: str, command: str) -> set[str]:
    """What verify names once the command has been run."""
    environment = {**os.environ, **surroundings(bundle, runtime.pid(id))}
    subprocess.run(["sh", "-ec", command], env=environment, check=True, stdout=subprocess.DEVNULL)
    status, checks = verify(runtime, id)
    assert status == 1
    return wrong(checks)


@pytest.mark.kernel
def test_drift_of_a_v2_cgroup(runtime: Caller, furnished: Bundle) -> None:
    """The same of limits and membership of a v2 cgroup."""
    if cgroup_version() != "v2":
        pytest.skip("the cgroups are not v2's alone")
    for command, pointers in OUTSIDE_V2.values():
        id = runtime.launch(furnished)
        assert not_ok(verify(runtime, id)[1]) == []
        assert drifted(runtime, furnished, id, command) == set(pointers.split())
        runtime.remove(id)


# What the config asks for, of a container that was made from another one: the change, and the pointers of what differs.
OTHER_CONFIGS: dict[str, tuple[Any, str]] = {
    "fewer capabilities": (
        {"process": {"capabilities": {"bounding": ["CAP_KILL"]}}},
        "/process/capabilities/bounding /process/capabilities/permitted /process/capabilities/effective",
    ),
    "an ambient one": (
        {"process": {"capabilities": {name: ["CAP_KILL"] for name in ("inheritable", "permitted", "ambient")}}},
        " ".join(f"/process/capabilities/{name}" for name in ("inheritable", "ambient", "permitted", "effective")),
    ),
    "no no_new_privs": ({"process": {"noNewPrivileges": False}}, "/process/noNewPrivileges"),
    "seccomp": ({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}}, "/linux/seccomp"),
    "AppArmor": ({"process": {"apparmorProfile": "some-profile"}}, "/process/apparmorProfile"),
    "SELinux": ({"process": {"selinuxLabel": "system_u:system_r:t:s0"}}, "/process/selinuxLabel"),
    "uid": (
        {"process": {"user": {"uid": 7}}},
        "/process/user/uid /process/capabilities/permitted /process/capabilities/effective",
    ),
    "gid": ({"process": {"user": {"gid": 7}}}, "/process/user/gid"),
    "groups": ({"process": {"user": {"additionalGids": [7, 8]}}}, "/process/user/additionalGids"),
    "umask": ({"process": {"user": {"umask": 0o77}}}, "/process/user/umask"),
    "working directory": ({"process": {"cwd": "/tmp"}}, "/process/cwd"),
    "variables": ({"process": {"env": ["PATH=/bin", "NEW=1"]}}, "/process/env/0 /process/env/1"),
    "rlimits": (
        {"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]}},
        "/process/rlimits/0",
    ),
    "real time": ({"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 9}}}, "/process/scheduler"),
    "personality": ({"linux": {"personality": {"domain": "LINUX32"}}}, "/linux/personality"),
    "memory policy": ({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}}}, "/linux/memoryPolicy"),
    "a device": (
        {"linux": {"devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]}},
        "/linux/devices/0",
    ),
    "a device rule": (
        {"linux": {"resources": {"devices": [{"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}]}}},
        "/linux/resources/devices/0",
    ),
    # /mounts: what masks and protects the paths of the container's own config.
    "a mask": (
        {"linux": {"maskedPaths": ["/etc/passwd", "/etc"]}},
        "/linux/maskedPaths/0 /linux/maskedPaths/1 /mounts",
    ),
    "a read-only path": ({"linux": {"readonlyPaths": ["/etc"]}}, "/linux/readonlyPaths/0 /mounts"),
    "a read-only root": ({"root": {"readonly": True}}, "/root/readonly"),
    "another root": ({"root": {"path": "/usr"}}, "/root/path"),
    "propagation": ({"linux": {"rootfsPropagation": "rshared"}}, "/linux/rootfsPropagation"),
    "a network device": ({"linux": {"netDevices": {"eth7": {}}}}, "/linux/netDevices/eth7"),
    "another cgroup": ({"linux": {"cgroupsPath": "/elsewhere"}}, "/linux/cgroupsPath"),
    "time": (
        {"linux": {"timeOffsets": {"boottime": {"secs": 60}}}},
        "/linux/timeOffsets/boottime",
    ),
}
SPACES = ["pid", "network", "ipc", "uts", "mount"]  # of the default config


def test_container_of_another_config(runtime: Caller) -> None:
    """What a container's config did not ask for is named, one by one, when it is held against another."""
    bundle = runtime.sleeper()
    pid = str(runtime.pid(runtime.launch(bundle)))
    found = {}
    for name, (change, _) in OTHER_CONFIGS.items():
        other = bundle.directory / "other.json"
        other.write_text(json.dumps(merge(bundle.config, change)))
        found[name] = wrong(verify(runtime, "--bundle", other, "--pid", pid)[1])
    assert found == {name: set(pointers.split()) for name, (_, pointers) in OTHER_CONFIGS.items()}


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup", "time", "user"])
def test_namespaces(runtime: Caller, kind: str) -> None:
    """Of each type: a new one where the host's is, the host's where a new one is, and another than the one to join."""
    bundle = runtime.sleeper()
    listed = [{"type": name} for name in SPACES]
    bundle.linux["namespaces"] = listed + ([] if kind in SPACES else [{"type": kind}])
    if kind == "user":
        maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        bundle.linux.update(uidMappings=maps, gidMappings=maps)
        os.chown(bundle.rootfs, 100000, 100000)
        for path in bundle.rootfs.iterdir():
            os.chown(path, 100000, 100000, follow_symlinks=False)
    id = runtime.launch(bundle.save())
    status, checks = verify(runtime, id)
    assert (status, not_ok(checks)) == (0, [])
    pid, index = (
        str(runtime.pid(id)),
        next(i for i, row in enumerate(bundle.linux["namespaces"]) if row["type"] == kind),
    )
    other = Bundle(bundle.directory, json.loads(json.dumps(bundle.config)))
    del other.linux["namespaces"][index]
    other.save()
    assert "/linux/namespaces" in wrong(verify(runtime, "--bundle", bundle.directory, "--pid", pid)[1])
    file = {"network": "net"}.get(kind, kind)
    other.linux["namespaces"].insert(index, {"type": kind, "path": f"/proc/self/ns/{file}"})
    other.save()
    assert f"/linux/namespaces/{index}/path" in wrong(verify(runtime, "--bundle", bundle.directory, "--pid", pid)[1])
    other.linux["namespaces"][index]["path"] = f"/proc/{pid}/ns/{file}"
    other.save()
    assert f"/linux/namespaces/{index}/path" not in wrong(
        verify(runtime, "--bundle", bundle.directory, "--pid", pid)[1]
    )


FEW, MANY = ["CAP_KILL"], ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"]
SETS: list[dict[str, list[str]]] = [
    {"bounding": MANY, "permitted": FEW, "effective": []},
    {"bounding": MANY, "permitted": MANY, "inheritable": FEW, "effective": FEW},
    {"bounding": MANY, "permitted": MANY, "inheritable": MANY, "ambient": FEW, "effective": MANY},
    {},
]


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("no_new_privs", [True, False])
def test_capabilities_after_execve(runtime: Caller, uid: int, no_new_privs: bool) -> None:
    """What execve makes of the config's sets is expected, for root and others, with no_new_privs and without."""
    for sets in SETS:
        process = {"user": {"uid": uid, "gid": uid}, "capabilities": sets, "noNewPrivileges": no_new_privs}
        bundle = runtime.sleeper({"process": process})
        bundle.process["capabilities"] = sets
        id = runtime.launch(bundle.save())
        status, checks = verify(runtime, id)
        assert (status, not_ok(checks)) == (0, []), sets
        runtime.remove(id)


def test_id_maps(runtime: Caller) -> None:
    """Other maps than the config's are told by line."""
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle = runtime.sleeper({"linux": {"uidMappings": maps, "gidMappings": maps}})
    bundle.linux["namespaces"].append({"type": "user"})
    finish_rootfs(bundle)
    pid = runtime.pid(runtime.launch(bundle.save()))
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65535}]
    other = Path(f"{bundle.directory}/other.json")
    other.write_text(json.dumps(bundle.config))
    checks = verify(runtime, "--bundle", other, "--pid", str(pid))[1]
    row = next(check for check in checks if check["pointer"] == "/linux/uidMappings")
    assert (row["expected"], row["actual"]) == ("0 100000 65535", "0 100000 65536")
    assert wrong(checks) == {"/linux/uidMappings"}


@pytest.mark.parametrize("name", ["runc", "crun"])
def test_containers_of_other_runtimes(runtime: Caller, name: str) -> None:
    """Nothing differs in a container of runc or crun, started or not, but what is changed in it is named."""
    program = shutil.which(name)
    if not program:
        pytest.skip(f"{name} is not installed")
    bundle, pid_file = (
        runtime.sleeper({"linux": {"cgroupsPath": f"/{runtime.token}-{name}"}}),
        runtime.directory / "pid",
    )
    root = runtime.directory / name
    words = [program, "--root", root, "run", "--detach", "--bundle", bundle.directory, "--pid-file", pid_file]
    prepared = snapshot.hide_hybrid_controllers if name == "crun" else None
    none = subprocess.DEVNULL
    subprocess.run([*words, runtime.token], check=True, stdin=none, stdout=none, preexec_fn=prepared)
    try:
        pid = pid_file.read_text()
        wait_for(lambda: Path(f"/proc/{pid}/cmdline").read_bytes()[:3] == b"sh\0", "the program")
        status, checks = verify(runtime, "--bundle", bundle.directory, "--pid", pid)
        assert (status, not_ok(checks)) == (0, [])
        subprocess.run(["prlimit", "-p", pid, "--nofile=100:200"], check=True)
        assert wrong(verify(runtime, "--bundle", bundle.directory, "--pid", pid)[1]) == {"/process/rlimits/0"}
        end = [program, "--root", root, "delete", "--force", runtime.token]
        subprocess.run(end, check=True, stdout=none, preexec_fn=prepared)
        words[3:5] = ["create"]
        subprocess.run([*words, runtime.token], check=True, stdin=none, stdout=none, preexec_fn=prepared)
        status, checks = verify(runtime, "--bundle", bundle.directory, "--pid", pid_file.read_text())
        assert status == 0
        assert {check["note"] for check in not_ok(checks)} == {"the program has not started"}
    finally:
        end = [program, "--root", root, "delete", "--force", runtime.token]
        subprocess.run(end, check=True, stdout=none, preexec_fn=prepared)


def test_changes_that_update_made(runtime: Caller) -> None:
    """Limits that `update` set are as they should be, and a note tells that they are not the config's."""
    id = runtime.launch(runtime.sleeper({"linux": {"resources": {"pids": {"limit": 50}}}}))
    runtime.call("update", "--pids-limit", "60", id).ok()
    result = runtime.call("verify", "--all", id).ok()
    assert "note: limits are compared with those that update set" in result.out
    assert "pids.max" in result.out


def test_config_that_was_edited_since(runtime: Caller) -> None:
    """The config that create read counts; that the bundle's is another one now is told."""
    bundle = runtime.sleeper()
    id = runtime.launch(bundle)
    assert "note:" not in runtime.call("verify", id).ok().out
    bundle.config["hostname"] = "later"
    bundle.save()
    assert f"{bundle.directory}/config.json differs from it" in runtime.call("verify", id).ok().out


def test_created_container(runtime: Caller) -> None:
    """Before start nothing differs either; what execve decides is unknown, with the reason."""
    id = runtime.create(runtime.sleeper())
    status, checks = verify(runtime, id)
    left = not_ok(checks)
    assert status == 0
    assert {check["verdict"] for check in left} == {"unknown"}
    assert {check["note"] for check in left} == {"the program has not started"}


def test_text(runtime: Caller, furnished: Bundle) -> None:
    """People see what is not ok, with line, pointer, expected and actual, and how many are; --all shows all of them."""
    id = runtime.launch(furnished)
    assert runtime.call("verify", id).ok().out.splitlines()[-1].endswith(" ok")
    Path(f"/proc/{runtime.pid(id)}/oom_score_adj").write_text("300")
    text = runtime.call("verify", id).failed(1).out
    line = next(
        i for i, text in enumerate(json.dumps(furnished.config, indent=1).splitlines(), 1) if "oomScore" in text
    )
    row = next(row for row in text.splitlines() if row.startswith("differs"))
    assert row.split() == ["differs", str(line), "/process/oomScoreAdj", "oom_score_adj", "100", "300"]
    assert "the program may have changed it itself" in text
    assert text.splitlines()[-1].endswith("ok, 1 differs")
    assert "\x1b" not in text
    assert "/process/rlimits/0" in runtime.call("verify", "--all", id).failed(1).out


def test_colours(runtime: Caller) -> None:
    """On a terminal the verdict has a colour, unless NO_COLOR asks for none."""
    id = runtime.launch(runtime.sleeper({"process": {"oomScoreAdj": 100}}))
    Path(f"/proc/{runtime.pid(id)}/oom_score_adj").write_text("300")
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = os.openpty()
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        done = subprocess.run(
            runtime.command("verify", id), stdout=theirs, env={**environment, **variables}, check=False
        )
        os.close(theirs)
        text = os.read(ours, 1 << 16).decode()
        os.close(ours)
        assert done.returncode == 1
        assert ("\x1b[31mdiffers\x1b[0m" in text) == coloured


def test_usage(runtime: Caller) -> None:
    """What cannot be verified has exit status 2, and a message."""
    bundle = runtime.bundle()
    cases = {
        "verify needs": ["verify"],
        "must be text or json": ["verify", "--format", "yaml", "x"],
        'container "x" does not exist': ["verify", "x"],
        "open /absent: no such file": ["verify", "--bundle", "/absent", "--pid", "1"],
        "process 999999999 does not exist": ["verify", "--bundle", bundle.directory, "--pid", "999999999"],
        "--bundle DIR --pid N": ["verify", "--bundle", bundle.directory],
    }
    for message, words in cases.items():
        assert message in runtime.call(*words).failed(2).err
    id = runtime.launch(bundle)
    runtime.wait_status(id)
    assert "cannot verify a stopped container" in runtime.call("verify", id).failed(2).err
