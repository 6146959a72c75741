"""process.apparmorProfile where the kernel has AppArmor: the program runs under the profile, and is bound by it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from runtime.host import confinement
from tests.integration.caller import Caller

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not confinement.has_apparmor(), reason="AppArmor is not enabled"),
    pytest.mark.skipif(not shutil.which("apparmor_parser"), reason="apparmor_parser is not installed"),
]
# Everything but writing to one file; no file of the container decides whether that works.
PROFILE = """
profile {name} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  network,
  mount,
  signal,
  ptrace,
  unix,
  deny /tmp/forbidden w,
}}
"""
SCRIPT = "cat /proc/self/attr/current; touch /tmp/allowed && echo allowed; touch /tmp/forbidden || echo refused"


@pytest.fixture
def profile(token: str) -> Iterator[str]:
    """A profile that is loaded for the test."""
    name = f"ocirun-{token}"
    text = PROFILE.format(name=name)
    command = ["apparmor_parser", "--skip-cache"]
    subprocess.run([*command, "--replace"], input=text, text=True, check=True, timeout=120)
    yield name
    subprocess.run([*command, "--remove"], input=text, text=True, check=True, timeout=120)


@pytest.mark.proves("/process/apparmorProfile")
@pytest.mark.parametrize("new_privs", [False, True])
def test_the_program_is_confined(runtime: Caller, profile: str, new_privs: bool) -> None:
    """The kernel names the profile, and refuses what it denies; with and without noNewPrivileges."""
    process = {"apparmorProfile": profile, "noNewPrivileges": not new_privs}
    result = runtime.run(runtime.shell(SCRIPT, {"process": process})).ok()
    assert result.out.splitlines() == [f"{profile} (enforce)", "allowed", "refused"]
    assert "denied" in result.err.lower()


def test_create_waits_unconfined(runtime: Caller, profile: str) -> None:
    """The profile is entered by the execve, not before; the program of exec has it too, or the one of --apparmor."""
    id = runtime.create(runtime.sleeper({"process": {"apparmorProfile": profile}}))

    def current() -> str:
        with open(f"/proc/{runtime.pid(id)}/attr/current") as file:
            return file.read().strip()

    assert current() == "unconfined"
    runtime.start(id)
    assert current() == f"{profile} (enforce)"
    assert runtime.exec(id, SCRIPT).ok().out.splitlines()[0] == f"{profile} (enforce)"
    other = runtime.launch(runtime.sleeper())
    assert runtime.exec(other, SCRIPT, "--apparmor", profile).ok().out.splitlines()[2] == "refused"
    assert runtime.exec(other, SCRIPT).ok().out.splitlines() == ["unconfined", "allowed"]
    assert runtime.exec(other, SCRIPT, "--apparmor", "none").failed(255).out == ""


def test_in_a_user_namespace(runtime: Caller, profile: str) -> None:
    """The private procfs serves init there as well."""
    mapping = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    kinds = ("pid", "network", "ipc", "uts", "mount", "user")
    linux = {"namespaces": [{"type": kind} for kind in kinds], "uidMappings": mapping, "gidMappings": mapping}
    id = runtime.launch(runtime.sleeper({"process": {"apparmorProfile": profile}, "linux": linux}))
    command = ["cat", "/proc/self/attr/current"]
    assert runtime.exec(id, command).ok().out == f"{profile} (enforce)\n"


def test_a_profile_that_is_not_loaded(runtime: Caller, token: str) -> None:
    """create and validate refuse it by name, and nothing is made."""
    bundle = runtime.bundle({"process": {"apparmorProfile": f"none-{token}"}})
    words = f"/process/apparmorProfile: the profile 'none-{token}' is not loaded"
    assert words in runtime.try_create(bundle).failed(1).err
    assert words in runtime.call("validate", bundle.directory).failed(1).out
    assert runtime.known_ids() == []


REDIRECT = """
mount -t tmpfs fake /proc && for place in self thread-self; do
  mkdir -p /proc/$place/attr/apparmor && echo fake > /proc/$place/attr/exec && echo fake > /proc/$place/attr/apparmor/exec
done
echo ready > /tmp/ready
trap 'exit 0' TERM; while :; do sleep 0.1; done
"""
ADMIN = {"capabilities": {kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}}


@pytest.mark.attack(
    hole="CVE-2019-16884, CVE-2025-52881",
    what="the container, or a volume of its image, covers /proc with files that swallow the security label: the"
    " program runs without its profile",
    stops="labels are written through init's own procfs, also by exec; each file is verified to be on procfs",
    bites=(),
)
def test_redirected_label(runtime: Caller, profile: str) -> None:
    """`create` with a volume over /proc, and `exec` into a container that has covered its /proc: the profile holds, and
    the false files stay as they were. (The shell that covers them has to be unconfined.)"""
    bundle = runtime.shell("touch /tmp/forbidden || echo refused", {"process": {"apparmorProfile": profile}})
    volume = bundle.directory / "volume"
    for place in ("self", "thread-self"):
        directory = volume / place / "attr/apparmor"
        directory.mkdir(parents=True)
        (directory / "exec").write_text("fake\n")
        (directory.parent / "exec").write_text("fake\n")
    mounts = bundle.config["mounts"]
    mounts[0] = {"destination": "/proc", "type": "bind", "source": str(volume), "options": ["rbind"]}
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    result = runtime.run(bundle.save())
    assert "refused" in result.out.split() or result.code != 0
    assert not (bundle.rootfs / "tmp/forbidden").exists()
    assert {file.read_text() for file in volume.rglob("exec")} == {"fake\n"}
    hostile = runtime.shell(REDIRECT, {"process": ADMIN})
    hostile.linux["maskedPaths"] = hostile.linux["readonlyPaths"] = []
    id = runtime.launch(hostile.save())
    for _ in range(200):
        if (hostile.rootfs / "tmp/ready").exists():
            break
        time.sleep(0.1)
    told = runtime.exec(id, "touch /tmp/forbidden && echo written; cat /proc/self/attr/exec", "--apparmor", profile)
    assert told.out == "fake\n", (told.out, told.err)
    assert not (hostile.rootfs / "tmp/forbidden").exists()
    assert runtime.exec(id, "touch /tmp/forbidden && echo written").ok().out == "written\n"
