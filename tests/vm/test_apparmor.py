"""process.apparmorProfile where the kernel has AppArmor: the program runs under the profile, and is bound by it."""

from __future__ import annotations

import shutil
import subprocess
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
