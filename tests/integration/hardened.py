"""A kernel that refuses executable memfds (vm.memfd_noexec=2): the setting belongs to a pid namespace, which ends with the script."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.integration.caller import Caller

SYSCTL = Path("/proc/sys/vm/memfd_noexec")  # since Linux 6.3


def run(runtime: Caller, script: str, options: str, *first: str) -> subprocess.CompletedProcess[str]:
    """Runs a script; `$runtime` has its state on a tmpfs with these mount options. `first`: commands before it, for mounts."""
    root = runtime.directory / "hardened"
    root.mkdir()
    lines = [
        f"echo 2 > {SYSCTL}",
        f"mount -t tmpfs -o {options} none {root}",
        *first,
        f"runtime={shlex.quote(f'{runtime.program} --root {root}')}",
        script,
    ]
    command = ["unshare", "--pid", "--fork", "--mount", "--mount-proc", "sh", "-e", "-c", "\n".join(lines)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
