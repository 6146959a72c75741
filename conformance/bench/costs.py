"""What the bench measures beside time: instructions, memory, imports."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from conformance.bench.places import LAUNCHED, TREE, Place, interpreter
from conformance.bench.rounds import Bench
from tests.integration import snapshot

MAIN = TREE / "build/site/runtime/__main__.py"
IMPORTS = TREE / "tests/guards/imports"
LIMITS = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Memory limits to try, KiB."""
TRIES = 20
Counter = Callable[[list[str]], int | None]


def has_interface() -> bool:
    """Whether the Python API can be imported."""
    program = f"import sys; sys.path.append({str(MAIN.parent.parent)!r}); import runtime; runtime.Container"
    return subprocess.run([interpreter(), "-I", "-c", program], capture_output=True, check=False).returncode == 0


def ours(place: Place) -> list[str]:
    return [name for name in place.programs if name.startswith("ocirun")]


def counted_command(place: Place, runtime: str) -> list[str]:
    """The interpreter as the launcher starts it, or the program that has the interpreter in itself."""
    if runtime == "ocirun" and LAUNCHED in place.programs:
        return [place.programs[runtime]]
    return [interpreter(), "-I", "-S", "-X", "utf8", str(MAIN)]


def callgrind(command: list[str]) -> int | None:
    """Its instructions; None where valgrind is missing, or cannot run it."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    return count(tool, command, r"Collected : (\d+)")


def perf(command: list[str]) -> int | None:
    """Likewise, by the processor's own counter; None where perf is missing, or a virtual machine has no counter."""
    return count(["perf", "stat", "--no-inherit", "-x,", "-e", "instructions:u", "--"], command, r"(?m)^(\d+),")


def count(tool: list[str], command: list[str], pattern: str) -> int | None:
    if not shutil.which(tool[0]):
        return None
    try:
        done = subprocess.run([*tool, *command], capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return None
    found = re.search(pattern, done.stderr)
    return int(found.group(1)) if found else None


def instructions(bench: Bench, runtime: str) -> tuple[str, dict[str, int]]:
    """What counted ("callgrind", "perf" or "nothing"), and command -> instructions on the spec bundle."""
    command = counted_command(bench.place, runtime)
    for counter in (callgrind, perf):
        if counter([*command, "--version"]) is not None:
            return counter.__name__, count_commands(bench, runtime, counter, command)
    return "nothing", {}


def count_commands(bench: Bench, runtime: str, counter: Counter, program: list[str]) -> dict[str, int]:
    """valgrind cannot start a program from a memfd, so for create, exec and run it counts up to the start of init, and
    the wording of that failure.
    """
    short, long = bench.bundles["spec"]
    place, id = bench.place, f"{bench.place.token}-counted"
    program = [*program, "--root", str(place.state(runtime))]
    counts: dict[str, int | None] = {}
    for command, bundle in {"create": long, "run": short}.items():
        counts[command] = counter([*program, command, "--bundle", str(bundle), id])
        subprocess.run(place.words(runtime, "delete", "--force", id), capture_output=True, check=False)
        snapshot.reap_orphans()
    quiet(place.words(runtime, "create", "--bundle", str(long), id), check=True)
    for command, words in {"state": [id], "start": [id], "exec": [id, "/bin/true"], "kill": [id, "KILL"]}.items():
        counts[command] = counter([*program, command, *words])
    snapshot.reap_orphans()
    counts["delete"] = counter([*program, "delete", id])
    quiet(place.words(runtime, "delete", "--force", id))
    return {command: count for command, count in counts.items() if count is not None}


def quiet(words: list[str], timeout: float | None = None, check: bool = False) -> int:
    """Its exit status."""
    null = subprocess.DEVNULL
    done = subprocess.run(words, stdin=null, stdout=null, stderr=null, timeout=timeout, check=check)
    return done.returncode


def pss(bench: Bench, runtime: str) -> int:
    """KiB that a created, not yet started container of the spec bundle costs."""
    place, id = bench.place, f"{bench.place.token}-measured"
    quiet(place.words(runtime, "create", "--bundle", str(bench.bundles["spec"][1]), id), check=True)
    try:
        state = subprocess.run(place.words(runtime, "state", id), capture_output=True, check=True)
        return pss_of(json.loads(state.stdout)["pid"])
    finally:
        quiet(place.words(runtime, "delete", "--force", id))
        snapshot.reap_orphans()


def pss_of(pid: int) -> int:
    """KiB."""
    return int(Path(f"/proc/{pid}/smaps_rollup").read_text().split("Pss:")[1].split()[0])


def runs_within(bench: Bench, runtime: str, limit: int) -> bool:
    """Whether /bin/true runs, TRIES times of TRIES, with a memory limit of so many KiB."""
    source = bench.bundles["spec"][0]
    config = json.loads((source / "config.json").read_text())
    config["linux"].setdefault("resources", {})["memory"] = {"limit": limit * 1024}
    bundle = bench.place.directory / "limited"
    bundle.mkdir(exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(config))
    if not (bundle / "rootfs").exists():
        shutil.copytree(source / "rootfs", bundle / "rootfs", symlinks=True)
    id = f"{bench.place.token}-limited"
    for _ in range(TRIES):
        words = bench.place.words(runtime, "run", "--bundle", str(bundle), id)
        with contextlib.suppress(subprocess.TimeoutExpired):
            if quiet(words, timeout=10) == 0:
                continue
        quiet(bench.place.words(runtime, "delete", "--force", id))
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
        for name in bench.place.programs
    }


def imports() -> dict[str, list[str]]:
    """command -> modules that it loads, from the list that a test holds exact."""
    return {file.stem: file.read_text().split() for file in sorted(IMPORTS.glob("*.txt"))}
