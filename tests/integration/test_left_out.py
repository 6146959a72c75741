"""What a config or a command line asks for and cannot have is said: an error or a warning with the place, never silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import Caller
from tests.integration.resources.readings import value

words_of_ocirun = pytest.mark.not_on("runc", "crun", reason="words of ocirun")
PROCESS: dict[str, Any] = {"cwd": "/", "args": ["true"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
MOUNTED: dict[str, Any] = {
    "/root/readonly": True,
    "/mounts": [{"destination": "/tmp", "type": "tmpfs", "source": "none"}],
    "/process/terminal": True,
    "/linux/devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}],
    "/linux/maskedPaths": ["/etc/group"],
    "/linux/readonlyPaths": ["/tmp"],
    "/linux/rootfsPropagation": "private",
}


def put(config: dict[str, Any], pointer: str, given: Any) -> None:
    *names, last = pointer.split("/")[1:]
    for name in names:
        config = config.setdefault(name, {})
    config[last] = given


@words_of_ocirun
@pytest.mark.parametrize("pointer", MOUNTED)
def test_no_mount_namespace(runtime: Caller, pointer: str) -> None:
    """What takes a mount namespace is refused without one, by create, plan and validate alike."""
    bundle = runtime.shell("true").share_mounts()
    assert runtime.run(bundle).code == 0
    put(bundle.config, pointer, MOUNTED[pointer])
    bundle.save()
    for refusal in (
        runtime.try_create(bundle, "--console-socket", "/absent"),
        runtime.call("plan", bundle.directory),
    ):
        assert f": {pointer}: " in refusal.failed(1).err
        assert "the host's mount namespace" in refusal.err
    found = json.loads(runtime.call("validate", "--format", "json", bundle.directory).failed(1).out)["problems"]
    assert [one["pointer"] for one in found if one["severity"] == "error"] == [pointer]


@words_of_ocirun
def test_cgroups_disabled(runtime: Caller) -> None:
    """--cgroup-manager disabled: a warning for the path, for each limit and for device rules; plan and validate say them too."""
    limits = {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 5}, "cpu": {}}
    bundle = runtime.shell("true", {"linux": {"resources": limits}})
    lost = ["/linux/cgroupsPath", "/linux/resources/devices", "/linux/resources/pids"]
    for verb, place in (("run", ("--bundle", bundle.directory, runtime.new_id())), ("plan", (bundle.directory,))):
        done = runtime.call("--cgroup-manager", "disabled", verb, *place).ok()
        assert [pointer for pointer in lost if f"{pointer}: " not in done.out + done.err] == []
        assert "resources/cpu" not in done.out + done.err
    report = runtime.call("--cgroup-manager", "disabled", "validate", "--format", "json", bundle.directory).ok()
    assert {one["pointer"] for one in json.loads(report.out)["problems"]} == set(lost)


@words_of_ocirun
def test_device_rules_that_allow_all(runtime: Caller) -> None:
    """Nothing is lost by rules that allow every device."""
    bundle = runtime.shell("true", {"linux": {"resources": {"devices": [{"allow": True, "access": "rwm"}]}}})
    bundle.linux.pop("cgroupsPath")
    bundle.save()
    assert runtime.call("--cgroup-manager", "disabled", "run", "--bundle", bundle.directory, runtime.new_id()).err == ""


@pytest.mark.proves("/process/capabilities/ambient")
@pytest.mark.not_on("runc", "crun", reason="leaves it out without a word")
def test_ambient_without_inheritable(runtime: Caller) -> None:
    """An ambient capability that is not inheritable is left out with one warning; validate says the same once."""
    names = ["CAP_KILL", "CAP_AUDIT_WRITE"]
    sets = {"permitted": names, "effective": names, "inheritable": ["CAP_KILL"], "ambient": names}
    process = {"capabilities": sets, "user": {"uid": 1000, "gid": 1000}}
    bundle = runtime.shell("grep CapAmb /proc/self/status", {"process": process})
    done = runtime.run(bundle).ok()
    assert done.out.split()[1] == f"{1 << 5:016x}"
    assert "/process/capabilities/ambient: not both permitted and inheritable, left out: CAP_AUDIT_WRITE" in done.err
    report = json.loads(runtime.call("validate", "--format", "json", bundle.directory).ok().out)["problems"]
    assert [one["pointer"] for one in report] == ["/process/capabilities/ambient"]


def test_ambient_without_inheritable_for_root(runtime: Caller) -> None:
    """Root's program has the capability all the same, so nothing is said: Buildah asks for it in each step of a build."""
    names = ["CAP_KILL", "CAP_AUDIT_WRITE"]
    sets = {"bounding": names, "permitted": names, "effective": names, "inheritable": [], "ambient": names}
    bundle = runtime.shell("grep CapEff /proc/self/status", {"process": {"capabilities": sets}})
    done = runtime.run(bundle).ok()
    assert (done.out.split()[1], done.err) == (f"{1 << 5 | 1 << 29:016x}", "")
    assert json.loads(runtime.call("validate", "--format", "json", bundle.directory).ok().out)["problems"] == []


@pytest.mark.not_on("runc", "crun", reason="the installed version refuses such a config at create")
def test_no_process(runtime: Caller) -> None:
    """config.md#process: a container can be made without a process; start is the error, and it stays created."""
    bundle = runtime.bundle()
    del bundle.config["process"]
    id = runtime.create(bundle.save())
    assert "/process: the container has nothing to start" in runtime.call("start", id).failed(1).err
    assert runtime.status(id) == "created"
    held = Path(f"/proc/{runtime.pid(id)}/status").read_text()
    assert all(f"{name}:\t{0:016x}\n" in held for name in ("CapPrm", "CapEff", "CapBnd"))
    document = json.dumps(PROCESS | {"args": ["echo", "in it"]})
    assert runtime.call("exec", "--process", "-", id, stdin=document).ok().out == "in it\n"
    assert "has no process" in runtime.exec(id, ["true"]).failed(255).err
    runtime.kill(id)
    runtime.wait_status(id)
    runtime.call("delete", id).ok()
    assert "warning: /process: there is nothing to start" in runtime.call("validate", bundle.directory).ok().out
    assert ": /process: there is nothing to run: the config has no process" in runtime.run(bundle).failed(1).err
    assert runtime.known_ids() == []


@pytest.mark.not_on("runc", "crun", reason="the installed version refuses such a config at create")
def test_no_process_in_a_user_namespace(runtime: Caller) -> None:
    """A container without a process can be made where the lowest id of its user namespace is not 0."""
    maps = [{"containerID": 7, "hostID": 100007, "size": 10}]
    bundle = runtime.bundle({"linux": {"uidMappings": maps, "gidMappings": maps}})
    bundle.linux["namespaces"] += [{"type": "user"}]
    bundle.config["mounts"] = bundle.config["mounts"][:1]
    del bundle.config["process"]
    (bundle.directory / "rootfs/dev").chmod(0o777)
    id = runtime.create(bundle.save())
    assert "Uid:\t100007\t" in Path(f"/proc/{runtime.pid(id)}/status").read_text()


@pytest.mark.not_on("runc", "crun", reason="the installed version refuses such a config at create")
def test_no_process_with_what_comes_before_one(runtime: Caller) -> None:
    """A filter and startContainer hooks wait for a program: start runs none of the hooks, and exec has the filter."""
    seccomp = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    bundle = runtime.bundle({"linux": {"seccomp": seccomp}})
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/touch", "args": ["touch", "/ran"]}]}
    del bundle.config["process"]
    id = runtime.create(bundle.save())
    assert "/process: the container has nothing to start" in runtime.call("start", id).failed(1).err
    assert runtime.status(id) == "created"
    assert not (bundle.rootfs / "ran").exists()
    document = json.dumps(PROCESS | {"args": ["mkdir", "/a"]})
    assert "No space left" in runtime.call("exec", "--process", "-", id, stdin=document).failed(1).err
    runtime.remove(id)


@pytest.mark.proves("/process/user/uid", "/process/user/gid")
@pytest.mark.parametrize("user", [None, {}, {"uid": 1000}, {"gid": 1000}, "absent"])
def test_user_ids_left_out(runtime: Caller, user: Any) -> None:
    """An id that is not given is 0; ocirun warns."""
    bundle = runtime.shell("id -u; id -g")
    if user == "absent":
        del bundle.config["process"]["user"]
    else:
        bundle.config["process"]["user"] = user
    done = runtime.run(bundle.save()).ok()
    given = user if isinstance(user, dict) else {}
    assert done.out.split() == [str(given.get(name, 0)) for name in ("uid", "gid")]
    if runtime.name != "ocirun":
        return  # crun's exec is root's in any case
    for name in ("uid", "gid"):
        assert (f"/process/user/{name}: {name} is missing" in done.err) == (name not in given)
    bundle.config["process"]["args"] = ["sleep", "60"]
    id = runtime.launch(bundle.save())
    assert runtime.exec(id, "id -u; id -g").ok().out == done.out


@pytest.mark.proves("/process/ioPriority/class")
@pytest.mark.not_on("runc", "crun", reason="the installed versions set no I/O priority")
def test_idle_without_priority(runtime: Caller) -> None:
    """IOPRIO_CLASS_IDLE has one level, which need not be named."""
    bundle = runtime.shell("ionice", {"process": {"ioPriority": {"class": "IOPRIO_CLASS_IDLE"}}})
    assert runtime.run(bundle).ok().out.startswith("idle")


NULLS = [
    "/hooks",
    "/hooks/prestart",
    "/annotations",
    "/hostname",
    "/root/readonly",
    "/process/capabilities",
    "/process/rlimits",
    "/process/oomScoreAdj",
    "/process/user/additionalGids",
    "/linux/seccomp",
    "/linux/sysctl",
    "/linux/devices",
    "/linux/uidMappings",
    "/linux/maskedPaths",
    "/linux/resources",
    "/linux/intelRdt",
]


@pytest.mark.parametrize("pointer", NULLS)
def test_null(runtime: Caller, pointer: str) -> None:
    """A property that is null is not there, for create, exec, update and delete; validate says so."""
    bundle = runtime.sleeper()
    put(bundle.config, pointer, None)
    id = runtime.launch(bundle.save())
    assert runtime.exec(id, ["echo", "in"]).ok().out == "in\n"
    runtime.call("update", "--pids-limit", "30", id).ok()
    if runtime.name == "ocirun":
        report = runtime.call("validate", "--format", "json", bundle.directory).ok()
        assert {one["pointer"] for one in json.loads(report.out)["problems"] if one["rule"] == "null"} == {pointer}


@pytest.mark.parametrize("pointer", ["/process/cwd", "/root/path", "/mounts/0", "/annotations/a.b", "/ociVersion"])
@words_of_ocirun
def test_null_where_something_is_needed(runtime: Caller, pointer: str) -> None:
    """What is required, an item of a list and an entry of a map cannot be null."""
    bundle = runtime.bundle({"annotations": {}})
    if pointer == "/mounts/0":
        bundle.config["mounts"][0] = None
    else:
        put(bundle.config, pointer, None)
    assert f": {pointer}: " in runtime.try_create(bundle.save()).failed(1).err


@words_of_ocirun
def test_unknown_properties(runtime: Caller) -> None:
    """A misspelt property of update's and exec's documents is a warning with the name that may have been meant."""
    id = runtime.launch(runtime.sleeper())
    done = runtime.call("update", "-r", "-", id, stdin='{"memroy": {"limit": 1}, "pids": {"limit": 30}}').ok()
    assert "/memroy: memroy is not a property of the spec, it has no effect; did you mean memory?" in done.err
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "30"
    document = json.dumps(PROCESS | {"noNewPrivilege": True})
    done = runtime.call("exec", "--process", "-", id, stdin=document).ok()
    assert "-:1: /noNewPrivilege: noNewPrivilege is not a property" in done.err
    assert "did you mean noNewPrivileges?" in done.err


@words_of_ocirun
def test_unknown_properties_further_down(runtime: Caller) -> None:
    """A misspelt property of an object or of a list's item is a warning too; what is known beside it has its effect."""
    id = runtime.launch(runtime.sleeper())
    limits = {"pids": {"limit": 30, "limt": 1}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21, "limits": 1}]}
    done = runtime.call("update", "-r", "-", id, stdin=json.dumps(limits)).ok()
    assert "/pids/limt: limt is not a property of the spec, it has no effect; did you mean limit?" in done.err
    assert "/hugepageLimits/0/limits: limits is not a property" in done.err
    assert value(runtime, id, "pids", "pids.max", "pids.max") == "30"
    limit = {"type": "RLIMIT_NOFILE", "soft": 7, "hard": 7, "sotf": 9}
    document = PROCESS | {
        "args": ["sh", "-c", "ulimit -n"],
        "rlimits": [limit],
        "user": {"uid": 0, "gid": 0, "umsk": 0},
    }
    done = runtime.call("exec", "--process", "-", id, stdin=json.dumps(document)).ok()
    assert done.out == "7\n"
    assert "/rlimits/0/sotf: sotf is not a property of the spec, it has no effect; did you mean soft?" in done.err
    assert "/user/umsk: umsk is not a property of the spec, it has no effect; did you mean umask?" in done.err


@pytest.mark.not_on("crun", reason="takes a path alone, and `..` in it")
@pytest.mark.parametrize("given", ["nosuch:/x", "../x", "/x/../../y"])
def test_cgroup_of_exec(runtime: Caller, given: str) -> None:
    """exec --cgroup: an unknown controller and a path that leads out are refused."""
    id = runtime.launch(runtime.sleeper())
    done = runtime.exec(id, ["true"], "--cgroup", given).failed()
    if runtime.name == "ocirun":
        assert f"--cgroup {given!r}: " in done.err


@pytest.mark.not_on("runc", reason="the sysctl wins without a word")
@pytest.mark.parametrize("name", ["kernel.domainname", "kernel/domainname"])
def test_domainname_twice(runtime: Caller, name: str) -> None:
    """domainname and the sysctl of the same name contradict each other."""
    change = {"domainname": "a", "linux": {"sysctl": {name: "b"}}}
    done = runtime.try_create(runtime.bundle(change)).failed()
    assert "domainname" in done.err


@pytest.mark.parametrize("name", ["kernel.domainname", "kernel/domainname"])
def test_domainname_of_both(runtime: Caller, name: str) -> None:
    """domainname and the sysctl may say the same."""
    change = {"domainname": "example.org", "linux": {"sysctl": {name: "example.org"}}}
    assert runtime.run(runtime.shell("cat /proc/sys/kernel/domainname", change)).ok().out == "example.org\n"
