"""A container that divides its cgroup of v2: who owns it, and where exec goes when the first process has moved below."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, wait_for
from tests.integration.resources.readings import Counters

pytestmark = [pytest.mark.vm, pytest.mark.kernel]

FIRST, ROOT = 100000, 0
USER = 5
IDS = [{"containerID": 0, "hostID": FIRST, "size": 65536}]
DIVIDED = """cd /sys/fs/cgroup && mkdir init && echo 1 > init/cgroup.procs && echo +pids > cgroup.subtree_control && echo up
sleep 100"""
SEEN = "cat /proc/self/cgroup"


@pytest.fixture(autouse=True)
def only_v2() -> None:
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("about a host with cgroup v2 alone")


def dividing(runtime: Caller, script: str, *, ids: bool = False, namespace: bool = True, options: str = "rw") -> Bundle:
    """A container with a cgroup namespace and a writable mount of its cgroup."""
    bundle = runtime.shell(script)
    if namespace:
        bundle.linux["namespaces"].append({"type": "cgroup"})
    if ids:
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    for mount in bundle.config["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = ["nosuid", "noexec", "nodev", options]
    return bundle.save()


@pytest.mark.parametrize("ids", [False, True], ids=["root", "user namespace"])
def test_exec_beside_a_first_process_that_has_moved(runtime: Caller, ids: bool) -> None:
    """systemd, Docker and kind move below and enable controllers; nobody may enter their cgroup itself then. exec goes where the first process is."""
    id = runtime.launch(dividing(runtime, DIVIDED, ids=ids))
    wait_for(lambda: "up" in runtime.output(id), "division")
    assert runtime.exec(id, SEEN).ok().out.strip() == "0::/init"
    assert runtime.exec(id, SEEN).ok().out.strip() == "0::/init"


@pytest.mark.not_on("runc", "crun", reason="they stay in the container's cgroup while it may be entered")
def test_exec_before_the_controllers_are_enabled(runtime: Caller) -> None:
    """exec does not go where it would keep the container from enabling controllers afterwards."""
    script = DIVIDED.replace("&& echo +pids > cgroup.subtree_control", "")
    id = runtime.launch(dividing(runtime, script))
    wait_for(lambda: "up" in runtime.output(id), "division")
    enable = "cat /proc/self/cgroup; echo +pids > /sys/fs/cgroup/cgroup.subtree_control && echo enabled"
    assert runtime.exec(id, enable).ok().out.split() == ["0::/init", "enabled"]


def owners(runtime: Caller, bundle: Bundle) -> dict[str, int]:
    """The owner of each file as the host sees it."""
    id = runtime.launch(bundle)
    place = Counters(runtime, id).unified()
    top = place.parent if place.name == "init" else place  # where the container has moved already
    names = (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "cgroup.freeze", "cgroup.max.depth")
    return {name: (top / name).stat().st_uid for name in names}


GIVEN = (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


@pytest.mark.proves("/linux/uidMappings")
def test_the_cgroup_belongs_to_the_containers_root(runtime: Caller) -> None:
    """With a writable cgroup mount and a cgroup namespace: the directory and the files that the kernel lists, but not the limits. The container can
    divide its cgroup."""
    bundle = dividing(runtime, DIVIDED, ids=True)
    found = owners(runtime, bundle)
    assert found == {name: FIRST if name in GIVEN else ROOT for name in found}


@pytest.mark.not_on("crun", reason="gives it to the container's root")
def test_the_cgroup_belongs_to_the_user_of_the_process(runtime: Caller) -> None:
    """The owner is process.user.uid, with a user namespace and without (config-linux.md, Cgroup ownership)."""
    for ids in (True, False):
        bundle = dividing(runtime, "exec sleep 100", ids=ids)
        bundle.process["user"] = {"uid": USER, "gid": USER}
        found = owners(runtime, bundle.save())
        assert found == {name: FIRST * ids + USER if name in GIVEN else ROOT for name in found}


@pytest.mark.not_on("crun", reason="gives it to each container with a user namespace")
def test_the_cgroup_stays_the_hosts(runtime: Caller) -> None:
    """Without a writable mount, or without a cgroup namespace, nothing is given."""
    for options, namespace in (("ro", True), ("rw", False)):
        found = owners(runtime, dividing(runtime, "exec sleep 100", ids=True, options=options, namespace=namespace))
        assert set(found.values()) == {ROOT}
