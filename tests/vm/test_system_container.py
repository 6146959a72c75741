"""What docs/lxc.md shows: a whole Debian with systemd in a container, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import TREE, Caller, wait_for
from tests.integration.terminal import Session

pytestmark = pytest.mark.vm

PAGE = TREE / "docs/lxc.md"
PATIENCE = 120  # seconds: the machine is emulated
AS_ADA = ["runuser", "-u", "ada", "--", "env", "XDG_RUNTIME_DIR=/run/user/1000", "HOME=/home/ada"]
USERS = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def disk(runtime: Caller, in_machine: str) -> Iterator[Path]:
    """The root file systems that conformance/machines/image.py made."""
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("about a host with cgroup v2 alone")
    place = runtime.directory / "containers"
    place.mkdir()
    subprocess.run(["mount", os.environ["OCIRUN_CONTAINERS"], str(place)], check=True)
    yield place
    runtime.remove_all()
    subprocess.run(["umount", str(place)], check=True)


def config(runtime: Caller, disk: Path, *filters: str) -> dict[str, Any]:
    """`ocirun spec`, changed by the page's filters."""
    text = subprocess.run([runtime.program, "spec", "--file", "-"], capture_output=True, check=True, timeout=60).stdout
    for one in filters:
        command = ["chroot", str(disk / "rootfs"), "jq", one]
        text = subprocess.run(command, input=text, capture_output=True, check=True, timeout=60).stdout
    made: dict[str, Any] = json.loads(text)
    return made


def told(command: list[str]) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout + done.stderr


def the_pages_commands(base: list[str], id: str) -> None:
    """Each of the page's session, and its answer; the last one shuts down."""
    for command, answer in re.findall(r"^# ocirun (.*)\n((?:[^#].*\n)*)", blocks("console")[0], re.MULTILINE):
        assert told([*base, *(id if word == "web" else word for word in command.split())]) == answer, command


def test_as_root(runtime: Caller, disk: Path) -> None:
    """systemd boots to a login on the console; exec, services and the journal work; after SIGRTMIN+3 nothing is left."""
    bundle = runtime.bundle(config=config(runtime, disk, blocks("jq")[0]))
    bundle.config["root"]["path"] = str(disk / "rootfs")
    bundle.linux["cgroupsPath"] = runtime.cgroups_path("system")
    bundle.save()
    id = runtime.new_id()
    session = Session(runtime.command("run", "--bundle", bundle.directory, id), 24, 80)
    shown = session.terminal.read_until("login:", PATIENCE)
    assert "Welcome to" in shown
    base = runtime.command()
    wait_for(lambda: told([*base, "exec", id, "systemctl", "is-system-running"]) == "running\n", "running", PATIENCE)
    assert "Startup finished" in told([*base, "exec", id, "journalctl", "--no-pager"])
    assert "/sbin/init" in told([*base, "ps", id])
    told([*base, "pause", id])
    assert runtime.status(id) == "paused"
    told([*base, "resume", id])
    statistics = json.loads(told([*base, "events", "--stats", id]))["data"]
    assert statistics["pids"]["current"] > 3
    the_pages_commands(base, id)
    code, text = session.finish(PATIENCE)
    assert code == 130
    assert "Halting system" in text
    assert runtime.known_ids() == []


def test_as_an_ordinary_user(runtime: Caller, disk: Path) -> None:
    """The same by a user who stands outside of his own systemd's cgroups, as in a login session."""
    made = config(runtime, disk, *blocks("jq"))
    made["process"]["terminal"] = False
    made["root"]["path"] = str(disk / "users")
    made["linux"]["cgroupsPath"] = f"user.slice:{runtime.token}:system"
    bundle = runtime.bundle(config=made)
    subprocess.run(["chown", "-R", "-h", "1000:1000", str(bundle.directory)], check=True)
    for directory in (runtime.directory, *runtime.directory.parents):
        directory.chmod(directory.stat().st_mode | 0o111)
    id, log = runtime.new_id(), runtime.directory / "log"
    base = [*AS_ADA, runtime.program]
    with open(log, "wb") as output:
        run = [*base, "--systemd-cgroup", "run", "--bundle", str(bundle.directory), id]
        child = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        is_running = [*base, "exec", id, "systemctl", "is-system-running"]
        wait_for(lambda: told(is_running) == "running\n", f"running: {log}", PATIENCE)
        assert f"{USERS}/{runtime.token}-system.scope" in {str(path) for path in Path(USERS).iterdir()}
        the_pages_commands(base, id)
        assert child.wait(PATIENCE) == 130
    finally:
        told([*base, "delete", "--force", id])
    assert log.read_text() == ""
    assert runtime.token not in " ".join(path.name for path in Path(USERS).iterdir())
