"""What the bench measures beside time: instructions, memory, imports."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration import snapshot

if TYPE_CHECKING:
    from conformance.bench.bench import Bench

TREE = Path(__file__).resolve().parents[2]
MAIN = TREE / "build/site/runtime/__main__.py"
IMPORTS = TREE / "tests/guards/imports"
LIMITS = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Memory limits to try, KiB."""
TRIES = 20


def interpreter() -> str:
    """The interpreter that build/ocirun starts: it is compiled in."""
    found = re.search(rb"/[\w./-]*python3[\w.]*\x00", (TREE / "build/ocirun").read_bytes())
    return found.group()[:-1].decode() if found else "/usr/bin/python3"


def has_interface() -> bool:
    """Whether the Python API can be imported."""
    program = f"import sys; sys.path.append({str(MAIN.parent.parent)!r}); import runtime; runtime.Container"
    return subprocess.run([interpreter(), "-I", "-c", program], capture_output=True, check=False).returncode == 0


def callgrind(words: list[str]) -> int | None:
    """Instructions of the interpreter that runs ocirun with these words; None where valgrind is missing."""
    if not shutil.which("valgrind"):
        return None
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", interpreter(), "-I", "-S", str(MAIN)]
    done = subprocess.run([*tool, *words], capture_output=True, text=True, timeout=300, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found.group(1)) if found else None


def instructions(bench: Bench) -> dict[str, int]:
    """command -> instructions on the spec bundle, and "python3 -I -S -c pass".

    valgrind cannot start a program from a memfd, so for create, exec and run it counts up to the start of init, and
    the wording of that failure.
    """
    short, long = bench.bundles["spec"]
    root = str(bench.directory / "state-ocirun")
    counts: dict[str, int | None] = {}
    for command, words in {
        "create": ["create", "--bundle", str(long), "counted"],
        "run": ["run", "--bundle", str(short), "counted"],
    }.items():
        counts[command] = callgrind(["--root", root, *words])
        subprocess.run(bench.words("ocirun", "delete", "--force", "counted"), capture_output=True, check=False)
    null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(bench.words("ocirun", "create", "--bundle", str(long), "counted"), **null, check=True)
    for command, words in {
        "state": ["counted"],
        "start": ["counted"],
        "exec": ["counted", "/bin/true"],
        "kill": ["counted", "KILL"],
    }.items():
        counts[command] = callgrind(["--root", root, command, *words])
    snapshot.reap_orphans()
    counts["delete"] = callgrind(["--root", root, "delete", "counted"])
    subprocess.run(bench.words("ocirun", "delete", "--force", "counted"), **null, check=False)
    return {command: count for command, count in counts.items() if count is not None}


def pss(bench: Bench, runtime: str) -> int:
    """KiB that a created, not yet started container of the spec bundle costs."""
    null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = ["create", "--bundle", str(bench.bundles["spec"][1]), "measured"]
    subprocess.run(bench.words(runtime, *words), **null, check=True)
    try:
        state = subprocess.run(bench.words(runtime, "state", "measured"), capture_output=True, check=True)
        rollup = Path(f"/proc/{json.loads(state.stdout)['pid']}/smaps_rollup").read_text()
    finally:
        subprocess.run(bench.words(runtime, "delete", "--force", "measured"), **null, check=False)
        snapshot.reap_orphans()
    return int(rollup.split("Pss:")[1].split()[0])


def runs_within(bench: Bench, runtime: str, limit: int) -> bool:
    """Whether /bin/true runs, TRIES times of TRIES, with a memory limit of so many KiB."""
    source = bench.bundles["spec"][0]
    config = json.loads((source / "config.json").read_text())
    config["linux"].setdefault("resources", {})["memory"] = {"limit": limit * 1024}
    bundle = bench.directory / "limited"
    bundle.mkdir(exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(config))
    if not (bundle / "rootfs").exists():
        shutil.copytree(source / "rootfs", bundle / "rootfs", symlinks=True)
    null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for _ in range(TRIES):
        words = bench.words(runtime, "run", "--bundle", str(bundle), "limited")
        with contextlib.suppress(subprocess.TimeoutExpired):
            if subprocess.run(words, **null, timeout=10, check=False).returncode == 0:
                continue
        subprocess.run(bench.words(runtime, "delete", "--force", "limited"), **null, check=False)
        snapshot.reap_orphans()
        return False
    return True


def least_limit(bench: Bench, runtime: str) -> int | None:
    """The least of LIMITS, KiB, in which /bin/true runs; found by halving."""
    low, high = 0, len(LIMITS)
    while low < high:
        middle = (low + high) // 2
        if runs_within(bench, runtime, LIMITS[middle]):
            high = middle
        else:
            low = middle + 1
    return LIMITS[low] if low < len(LIMITS) else None


def memory(bench: Bench) -> dict[str, dict[str, int | None]]:
    """runtime -> {"created_pss_kib", "least_limit_kib"}."""
    return {
        name: {"created_pss_kib": pss(bench, name), "least_limit_kib": least_limit(bench, name)}
        for name in bench.programs
    }


def imports() -> dict[str, list[str]]:
    """command -> modules that it loads, from the list that a test holds exact."""
    return {file.stem: file.read_text().split() for file in sorted(IMPORTS.glob("*.txt"))}


def clean(directory: Path) -> None:
    """Remove the bundles, and Podman's parent cgroup where nothing else is in it."""
    for mount in snapshot.cgroup_mounts():
        with contextlib.suppress(OSError):
            os.rmdir(mount / "libpod_parent")
    shutil.rmtree(directory, ignore_errors=True)
