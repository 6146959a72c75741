"""runtime.host.facts: what a plan is told of the caller, asked of a real user namespace."""

import json
import os
import subprocess
import sys

import pytest

from runtime.host import facts
from runtime.plan import mounts
from tests.runtime.plan import machines

READ = (
    "import json, sys; from runtime.host import facts; print(json.dumps(facts.read(json.load(sys.stdin), '/bundle')))"
)
WHOLE = [{"containerID": 0, "hostID": 0, "size": 4294967295}]
PTS = {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "gid=5"]}


def inside(spec):
    """The facts as root of a new user namespace with one id reads them."""
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", READ]
    done = subprocess.run(command, input=json.dumps(spec), capture_output=True, text=True, cwd=machines.TREE)
    if "unshare failed" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr}")
    return json.loads(done.stdout)


def test_the_callers_own_groups_in_its_user_namespace():
    """They are what a devpts of the container may name, since the container stays in that namespace."""
    found = inside(machines.spec_with())
    assert (found["in_user_namespace"], found["new_user_namespace"], found["privileged"]) == (True, False, False)
    assert found["own_gid_map"] == [{"containerID": 0, "hostID": os.getgid(), "size": 1}]
    warnings = []
    (operation,) = mounts.operations({"mounts": [PTS], "linux": {}}, found, warnings)
    assert operation[4][3] == ["newinstance"]
    assert warnings == [("/mounts/0/options", "group 5 is not mapped in the user namespace, gid=5 left out")]


def test_a_config_with_a_user_namespace_has_its_own_groups():
    """Then the caller's do not matter to what is mounted."""
    found = inside(machines.spec_with(namespaces=[{"type": "user"}], gidMappings=WHOLE))
    assert found["gid_map"] == WHOLE
    (operation,) = mounts.operations({"mounts": [PTS], "linux": {}}, found, [])
    assert "gid=5" in operation[4][3]


def test_who_cannot_call_setgroups():
    """Nobody below a namespace that denies it, and nobody where the caller's own group is mapped without privilege."""
    assert inside(machines.spec_with())["deny_setgroups"]
    user, own = {"type": "user"}, {"hostID": os.getegid(), "size": 1}
    assert facts.denies_setgroups({"gidMappings": [own]}, user, 0, False)
    assert not facts.denies_setgroups({"gidMappings": [own]}, user, facts.CAP_SETGID, False)
    assert not facts.denies_setgroups({"gidMappings": [own, own]}, user, 0, False)
    assert not facts.denies_setgroups({"gidMappings": [{**own, "size": 2}]}, user, 0, False)
    assert not facts.denies_setgroups({"gidMappings": [{**own, "hostID": own["hostID"] + 1}]}, user, 0, False)
    assert not facts.denies_setgroups({}, {**user, "path": f"/proc/{os.getpid()}/ns/user"}, 0, False)


def test_the_first_user_namespace_maps_everything():
    """Nothing is left out there."""
    if facts.in_user_namespace():
        pytest.skip("the tests themselves are in a user namespace")
    assert facts.read(machines.spec_with(), "/bundle")["own_gid_map"] == []


@pytest.mark.parametrize(
    ("path", "result"),
    [("a", "/b/a"), ("/a/./c//", "/a/c"), ("../a", "/a"), ("../../..", "/"), ("", "/b"), (".", "/b")],
)
def test_absolute(path, result):
    """From the bundle, without parts that say nothing."""
    assert facts.absolute(path, "/b") == result
