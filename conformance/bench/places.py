"""Where the benches run: bundles and states in a private directory, and commands that are waited for.

Whatever happens in it, a signal too, nothing of it remains: containers, processes, cgroups, files.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from tests.integration import adapt, snapshot
from tests.integration.bundle import Bundle, build_busybox_rootfs

TREE = Path(__file__).resolve().parents[2]
OCIRUN = TREE / "build/ocirun"
LAUNCHER = TREE / "build/launcher/ocirun"
LAUNCHED = "ocirun (launcher)"
"""The name of the launcher where build/ocirun is something else: an executable with the interpreter in it."""
NULL_STREAMS = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1, 2)]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failed(Exception):
    """A command that should have succeeded did not; the message says what it printed."""


class Cost(NamedTuple):
    milliseconds: float
    faults: int
    """Minor page faults of the command and of the children that it waited for."""


def call(command: list[str]) -> Cost:
    """From the start of the command to its end, by a plain posix_spawn and wait."""
    began = time.perf_counter_ns()
    # In a group of its own: the terminal's Ctrl-C is for the bench, which lets the command end.
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=NULL_STREAMS, setpgroup=0)
    try:
        _, status, usage = os.wait4(pid, 0)
    except BaseException:
        with contextlib.suppress(ChildProcessError):  # a signal came when it was reaped already
            os.waitpid(pid, 0)
        raise
    took = (time.perf_counter_ns() - began) / 1e6
    if status != 0:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        raise Failed(f"{' '.join(command)}: exit {os.waitstatus_to_exitcode(status)}\n{said.stderr}")
    return Cost(took, usage.ru_minflt)


def find_programs(names: Sequence[str], launcher: Path | None = None) -> dict[str, str]:
    """name -> program, of those that are installed. launcher: the second file of ours, measured where it exists."""
    programs = {}
    for name in names:
        found = shutil.which(str(OCIRUN) if name == "ocirun" else name)
        if found:
            programs[name] = found
        if name == "ocirun" and launcher and os.access(launcher, os.X_OK):
            programs[LAUNCHED] = str(launcher)
    return programs


MEMORY = "/dev/shm"
PATIENCE = 20
"""Seconds in which a killed process has ended."""


class Place:
    """The private directory, and the command lines of each runtime in it."""

    def __init__(self, directory: Path, programs: dict[str, str]) -> None:
        self.directory = directory
        self.programs = programs
        self.token = f"ocirun-bench-{os.getpid()}"
        """In the name of every container and cgroup."""
        self.states = Path(tempfile.mkdtemp(prefix="ocirun-bench-", dir=MEMORY))
        self.not_ours = set(snapshot.descendants(os.getpid()))

    def make_rootfs(self, name: str) -> Path:
        bundle = self.directory / name
        bundle.mkdir()
        (bundle / "rootfs").mkdir()
        build_busybox_rootfs(bundle / "rootfs")
        return bundle

    def make_spec(self, name: str, args: list[str]) -> Path:
        """What `ocirun spec` writes, with terminal false, these args, and a version that Debian's crun knows."""
        bundle = self.make_rootfs(f"spec-{name}")
        subprocess.run([str(OCIRUN), "spec", "--bundle", str(bundle)], check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["ociVersion"] = "1.0.2"
        config["process"].update(terminal=False, args=args)
        Bundle(bundle, config).save()
        return bundle

    def make_podman(self, name: str, args: list[str]) -> Path:
        """Podman's config, with these args and a cgroup of its own."""
        bundle = self.make_rootfs(f"podman-{name}")
        around = adapt.Surroundings(
            sources=self.directory / "sources",
            sandbox_pid=0,
            cgroup=f"{self.token}-{name}",
            netns=lambda: "",
            recorder=Path("/bin/true"),
            own_parent=True,
        )
        config = adapt.adapt(adapt.load("podman"), around)
        config["process"]["args"] = args
        Bundle(bundle, config).save()
        return bundle

    def state(self, runtime: str) -> Path:
        """The runtime's --root, on a tmpfs, as /run is."""
        return self.states / f"state-{re.sub(r'[^a-z]+', '-', runtime)}"

    def words(self, runtime: str, *command: str) -> list[str]:
        return [self.programs[runtime], "--root", str(self.state(runtime)), *command]

    def kill_all(self) -> None:
        """Kill and reap, until nothing is left: a process may fork before its own turn comes."""
        deadline = time.monotonic() + PATIENCE
        while (left := snapshot.descendants(os.getpid()).keys() - self.not_ours) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            snapshot.reap_orphans()
            time.sleep(0.001)

    def clean(self) -> None:
        self.kill_all()
        for runtime in self.programs:
            for state in self.state(runtime).glob(f"{self.token}*"):
                # Its record may be half written; what it has beside it goes below.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    words = self.words(runtime, "delete", "--force", state.name)
                    subprocess.run(words, capture_output=True, timeout=60, check=False)
        for cgroup in sorted(snapshot.cgroups(self.token), key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(cgroup)
        shutil.rmtree(self.states, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)
        snapshot.reap_orphans()


def stop(number: int, _: Any) -> NoReturn:
    sys.exit(128 + number)


@contextlib.contextmanager
def place(programs: dict[str, str]) -> Iterator[Place]:
    """A new Place; it is cleaned up at the end, also after SIGINT, SIGTERM or SIGHUP."""
    snapshot.become_subreaper()
    snapshot.hide_hybrid_controllers()
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    directory = Path(tempfile.mkdtemp(prefix="ocirun-bench-"))
    here = Place(directory, programs)
    try:
        directory.chmod(0o755)
        yield here
    finally:
        for number in SIGNALS:
            # Not SIG_IGN, which the commands would inherit.
            signal.signal(number, lambda *_: None)
        here.clean()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """A signal that comes meanwhile acts at the end, so that a manager's command is not cut off."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        stop(came[0], None)


def rotated(names: Sequence[str], number: int) -> list[str]:
    """The order of a round, so that the same runtime does not always follow another's cleanup."""
    first = number % len(names)
    return [*names[first:], *names[:first]]


def middle(values: Sequence[float]) -> float:
    """The median, to microseconds."""
    return round(statistics.median(values), 3)


def interpreter() -> str:
    """The interpreter that the launcher starts: it is compiled in."""
    for program in (LAUNCHER, OCIRUN):
        if program.exists():
            for found in re.findall(rb"(/[\w./-]*python3[\w.]*)\x00", program.read_bytes()):
                if os.access(found, os.X_OK) and os.path.isfile(found):
                    return str(found.decode())
    return "/usr/bin/python3"


def versions(programs: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, program in programs.items():
        if name != LAUNCHED:
            text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            found[name] = re.sub(rf"^{name} version ", "", text.splitlines()[0])
    python = subprocess.run([interpreter(), "--version"], capture_output=True, text=True, check=True)
    return {**found, "python": python.stdout.split()[1], "kernel": os.uname().release}


def progress(what: str) -> None:
    """The line that a person at a terminal sees change."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
