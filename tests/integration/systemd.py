"""What systemd says of the units of tests."""

import os
import subprocess
from pathlib import Path

from tests.integration.bundle import Bundle

ROOT = Path("/sys/fs/cgroup")


def running() -> bool:
    """Whether systemd is this host's process 1 (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def unit_of(bundle: Bundle) -> str:
    """The unit that a bundle's cgroupsPath asks for."""
    _, prefix, name = bundle.linux["cgroupsPath"].split(":")
    return name if name.endswith(".slice") else f"{prefix}-{name}.scope"


def show(unit: str, *properties: str, user: bool = False) -> dict[str, str]:
    """What `systemctl show` says; a property that it gives several times, with a line each."""
    command = ["systemctl", *(["--user"] if user else []), "show", unit, *[f"--property={one}" for one in properties]]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found: dict[str, str] = {}
    for name, _, value in (line.partition("=") for line in said.splitlines()):
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def stop(unit: str) -> None:
    """The caller's systemd ends the unit and what is in it, where it has it."""
    command = ["systemctl", *(["--user"] if os.geteuid() else []), "stop", unit]
    subprocess.run(command, check=True, timeout=60)


def programs(directory: Path) -> list[str]:
    """The command lines in a cgroup."""
    found = []
    for pid in (directory / "cgroup.procs").read_text().split():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
        found.append(words.rstrip(b"\0").replace(b"\0", b" ").decode())
    return found


def units(word: str, user: bool = False) -> list[str]:
    """Every unit, also a failed one, that has the word in its name."""
    command = ["systemctl", *(["--user"] if user else []), "list-units", "--all", "--plain", "--no-legend", f"*{word}*"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.split()[0] for line in said.splitlines()]


def cgroup(unit: str, user: bool = False) -> Path:
    """The directory of a unit's cgroup, on pure v2."""
    return Path(f"{ROOT}{show(unit, 'ControlGroup', user=user)['ControlGroup']}")
