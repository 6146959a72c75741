"""Which cgroups a container stands in: by its path, by default, beside others; and that nothing of them stays."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration import snapshot
from tests.integration.caller import Caller
from tests.integration.resources.readings import limited
from tests.integration.snapshot import cgroup_mounts

pytestmark = pytest.mark.kernel


def own_cgroups(text: str) -> dict[str, str]:
    """{controllers: path} of a /proc/PID/cgroup."""
    return {line.split(":", 2)[1]: line.split(":", 2)[2] for line in text.splitlines()}


def mounted(name: str) -> list[Path]:
    """Every directory of this path below a mounted hierarchy."""
    return [path for mount in cgroup_mounts() if (path := mount / name.lstrip("/")).is_dir()]


def has(controller: str) -> bool:
    """Whether some hierarchy has the controller."""
    v1 = any(line.startswith(f"{controller}\t") for line in Path("/proc/cgroups").read_text().splitlines())
    listed = [mount / "cgroup.controllers" for mount in cgroup_mounts()]
    v2 = any(controller in path.read_text().split() for path in listed if path.exists())
    return v2 or (v1 and any(controller in mount.name.split(",") for mount in cgroup_mounts()))


@pytest.mark.vm
@pytest.mark.proves("/linux/cgroupsPath")
@pytest.mark.not_on("crun", reason="it does not go into the v2 hierarchy of a hybrid host")
def test_the_process_is_in_its_cgroup_everywhere(runtime: Caller) -> None:
    """create puts the process below the mount's root in every hierarchy; exec joins it; delete removes all."""
    bundle = runtime.sleeper({"linux": {"cgroupsPath": f"/{runtime.token}-a"}})
    id = runtime.launch(bundle)
    paths = set(own_cgroups(Path(f"/proc/{runtime.pid(id)}/cgroup").read_text()).values())
    assert paths == {f"/{runtime.token}-a"}
    assert set(own_cgroups(runtime.exec(id, "cat /proc/self/cgroup").ok().out).values()) == paths
    assert len(mounted(f"{runtime.token}-a")) == len(cgroup_mounts())
    runtime.remove(id)
    assert mounted(f"{runtime.token}-a") == []


@pytest.mark.not_on("runc", "crun", reason="ours refuses before anything is made, as the spec allows")
def test_a_path_out_of_its_place_is_refused(runtime: Caller) -> None:
    """`..` and the root itself are errors at their place, and nothing is made."""
    for path in ("/../x", "/"):
        result = runtime.try_create(runtime.bundle({"linux": {"cgroupsPath": path}})).failed(1)
        assert "/linux/cgroupsPath" in result.err


@pytest.mark.not_on("runc", "crun", reason="they leave parents that they made")
def test_shared_parents_go_with_the_last_container(runtime: Caller) -> None:
    """Two containers below one new parent: it stays for the second and goes with it."""
    ids = [runtime.create(runtime.bundle({"linux": {"cgroupsPath": f"/{runtime.token}-p/{n}"}})) for n in range(2)]
    runtime.remove(ids[0])
    assert len(mounted(f"{runtime.token}-p/1")) == len(cgroup_mounts())
    runtime.remove(ids[1])
    assert mounted(f"{runtime.token}-p") == []


def test_a_parent_that_was_there_stays(runtime: Caller) -> None:
    """A parent that the manager made stays when the container goes."""
    mine = [mount / f"{runtime.token}-m" for mount in cgroup_mounts()]
    for path in mine:
        path.mkdir()
    try:
        runtime.run(runtime.bundle({"linux": {"cgroupsPath": f"/{runtime.token}-m/x"}})).ok()
        assert all(path.is_dir() for path in mine)
        assert mounted(f"{runtime.token}-m/x") == []
    finally:
        for path in mine:
            path.rmdir()


@pytest.mark.vm
@pytest.mark.proves("/mounts/*/type")
def test_the_cgroup_mount_shows_the_containers_own(runtime: Caller) -> None:
    """The limits that the host wrote read the same inside, and nothing there can be written."""
    if not has("pids"):
        pytest.skip("no pids controller")
    script = "cd /sys/fs/cgroup; cat pids/pids.max pids.max 2>/dev/null; mkdir x pids/x 2>/dev/null || echo no"
    bundle = limited(runtime, script, pids={"limit": 77})
    bundle.linux["namespaces"].append({"type": "cgroup"})
    assert runtime.run(bundle.save()).ok().out.split() == ["77", "no"]


IDS = {kind: [{"containerID": 0, "hostID": 100000, "size": 65536}] for kind in ("uidMappings", "gidMappings")}


@pytest.mark.vm
@pytest.mark.parametrize("user", [False, True], ids=["own", "user"])
def test_into_a_containers_cgroup_namespace(runtime: Caller, user: bool) -> None:
    """exec, and a container that joins it by its path: in the cgroups that are asked for, although a v2 hierarchy may be
    mounted with nsdelegate, which lets no process of the namespace move in from outside of it."""
    bundle = runtime.sleeper({"linux": {"cgroupsPath": f"/{runtime.token}-a"}})
    bundle.linux["namespaces"] += [{"type": "cgroup"}, *([{"type": "user"}] if user else [])]
    if user:
        bundle.linux.update(IDS)
    id = runtime.launch(bundle.save())
    pid = runtime.pid(id)
    done = runtime.exec(id, "readlink /proc/self/ns/cgroup; cat /proc/self/cgroup").ok().out
    assert done.split()[0] == os.readlink(f"/proc/{pid}/ns/cgroup")
    assert set(own_cgroups(done.partition("\n")[2]).values()) == {"/"}
    other = runtime.sleeper({"linux": {"cgroupsPath": f"/{runtime.token}-b"}})
    joined = ["cgroup", "user"] if user else ["cgroup"]
    other.linux["namespaces"] += [{"type": kind, "path": f"/proc/{pid}/ns/{kind}"} for kind in joined]
    beside = runtime.pid(runtime.launch(other.save()))
    assert os.readlink(f"/proc/{beside}/ns/cgroup") == os.readlink(f"/proc/{pid}/ns/cgroup")
    assert set(own_cgroups(Path(f"/proc/{beside}/cgroup").read_text()).values()) == {f"/{runtime.token}-b"}


def v2_options() -> list[str]:
    """Of the host's v2 hierarchy, sorted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        kind, _, options = line.partition(" - ")[2].split(" ", 2)
        if kind == "cgroup2":
            return sorted(options.split(","))
    return []


@pytest.mark.vm
@pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])
@pytest.mark.skipif(len(v2_options()) < 2, reason="the v2 hierarchy has no options")
@pytest.mark.not_on("runc", "crun", reason="takes the options from the host")
def test_the_hosts_hierarchy_keeps_its_options(runtime: Caller, kind: str) -> None:
    """Without a cgroup namespace, a mount sets the options of the whole hierarchy: nsdelegate and the others stay."""
    before = v2_options()
    bundle = runtime.bundle({"process": {"args": ["true"]}})
    bundle.linux["namespaces"] = [entry for entry in bundle.linux["namespaces"] if entry["type"] != "cgroup"]
    bundle.config["mounts"] = [mount for mount in bundle.config["mounts"] if mount["type"] != "cgroup"]
    bundle.config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": kind, "source": "cgroup", "options": ["ro"]}
    )
    runtime.run(bundle.save()).ok()
    assert v2_options() == before


def test_ten_at_once_share_a_parent_and_leave_nothing(runtime: Caller) -> None:
    """Ten containers that begin and end at the same time below one new parent leave nothing."""
    calls = []
    for number in range(10):
        bundle = runtime.bundle({"linux": {"cgroupsPath": f"/{runtime.token}-many/deep/{number}"}})
        command = runtime.command("run", "--bundle", bundle.directory, runtime.new_id())
        calls.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ)))
    said = [call.communicate(timeout=60)[1] for call in calls]
    assert [(call.returncode, words) for call, words in zip(calls, said, strict=True) if call.returncode] == []
    if runtime.name == "ocirun":
        assert mounted(f"{runtime.token}-many") == []
    else:
        for path in mounted(f"{runtime.token}-many"):
            (path / "deep").rmdir()
            path.rmdir()


def test_default_cgroup(runtime: Caller) -> None:
    """Without cgroupsPath the container stands below the caller's own cgroup, on v2 alone beside it, named by its id."""
    bundle = runtime.sleeper()
    del bundle.linux["cgroupsPath"]
    id = runtime.create(bundle.save())
    own = own_cgroups(Path("/proc/self/cgroup").read_text())
    seen = own_cgroups(Path(f"/proc/{runtime.pid(id)}/cgroup").read_text())
    kept = {controller for controller in own if seen[controller] == own[controller]}
    assert not kept or (runtime.name != "ocirun" and kept < set(own)), "the caller's own cgroup"
    on_v2_alone = set(own) == {""}  # below the caller's cgroup, which has a process, no limit could be set
    for controller in set(own) - kept:
        base = os.path.dirname(own[controller]) if on_v2_alone else own[controller]
        assert seen[controller] == f"{base.rstrip('/')}/{id}", controller


def test_relative_cgroups_path(runtime: Caller) -> None:
    """A relative cgroupsPath counts from the caller's own cgroup."""
    bundle = runtime.sleeper({"linux": {"cgroupsPath": f"rel-{runtime.token}/inner"}})
    id = runtime.create(bundle)
    paths = own_cgroups(Path(f"/proc/{runtime.pid(id)}/cgroup").read_text()).values()
    assert any(path.endswith(f"/rel-{runtime.token}/inner") for path in paths)
    runtime.remove(id)
    _remove_parents(f"rel-{runtime.token}")


def _remove_parents(name: str) -> None:
    """Remove the empty parents that a path asked for; a runtime leaves them, since others may use them."""
    for path in sorted(snapshot.cgroups(name), key=len, reverse=True):
        Path(path).rmdir()


def test_nested_cgroups_go_with_the_container(runtime: Caller) -> None:
    """Cgroups that were made below the container's are removed with it."""
    id = runtime.launch(runtime.sleeper())
    made = snapshot.cgroups(runtime.token)
    assert made
    for name in made:
        (Path(name) / "below/deeper").mkdir(parents=True)
    runtime.remove(id)


def test_existing_cgroup_with_processes(runtime: Caller) -> None:
    """A second container on a path that is in use is refused or kept apart; the first lives on."""
    bundle = runtime.sleeper()
    first = runtime.launch(bundle)
    second = runtime.sleeper({"linux": {"cgroupsPath": bundle.linux["cgroupsPath"]}})
    result = runtime.try_create(second)
    if result.code == 0 and runtime.name == "ocirun":
        pytest.fail("two containers share one cgroup")
    assert runtime.status(first) == "running"


@pytest.mark.not_on("runc", "crun", reason="refuses to make any container there")
def test_no_visible_hierarchy(runtime: Caller) -> None:
    """Where a new sysfs covers all hierarchies, cgroupsPath is ignored with a warning, in plan and validate too."""
    bundle = runtime.shell("cat /proc/self/cgroup", {"linux": {"resources": {"devices": None}}})
    bundle.config["mounts"] = [mount for mount in bundle.config["mounts"] if mount["type"] != "cgroup"]
    bundle.save()
    said = []
    for words in (
        ["run", "--bundle", bundle.directory, runtime.new_id()],
        ["plan", bundle.directory],
        ["validate", bundle.directory],
    ):
        script = 'mount -t sysfs none /sys && exec "$@"'
        command = ["unshare", "--mount", "--net", "sh", "-c", script, "sh", *runtime.command(*words)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
        said.append(done.stdout + done.stderr)
        assert "/linux/cgroupsPath: done without: no cgroup hierarchy is mounted where the caller sees it" in said[-1]
    assert own_cgroups(Path("/proc/self/cgroup").read_text()).items() <= own_cgroups(said[0]).items()
