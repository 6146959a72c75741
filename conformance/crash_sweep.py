#!/usr/bin/env python3
"""`make crash-sweep`: SIGKILL at each system call of create, start, kill and delete, and to init at each of its own.

A dry run under strace lists the calls that a command makes after its launcher's exec. Then the command runs once for
each of them and is killed on entry to that call. After each, `delete --force` must exit 0, no process, cgroup, mount
or file may be left that was not there before, and the same id must be free for a new container. `strace -f` is not
used for the command itself: it would follow the detached init for ever.

    conformance/crash_sweep.py [--runtime PROGRAM] [--verbs create,start,...] [--sample N] [--seed S]
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE))

from tests.integration import adapt, snapshot  # noqa: E402
from tests.integration.bundle import Bundle, build_busybox_rootfs  # noqa: E402

OCIRUN = TREE / "build/ocirun"
VERBS = ("create", "start", "kill", "delete", "init")
"""`init`: create, with the SIGKILL to the container's init instead."""
PATIENCE = 20
CALL = re.compile(r"^(?:(\d+) +)?(\w+)\(")


@dataclass(frozen=True)
class Point:
    """The occurrence-th (from 1) call of that name, which `verb` makes."""

    verb: str
    call: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.verb}: {self.call} #{self.occurrence}"


def points_of(verb: str, calls: Sequence[str]) -> Iterator[Point]:
    """A point for each call after the last execve, numbered as strace counts: by name, from the start."""
    last = max((number for number, name in enumerate(calls) if name == "execve"), default=-1)
    seen: collections.Counter[str] = collections.Counter()
    for number, name in enumerate(calls):
        seen[name] += 1
        if number > last and not name.startswith("exit"):
            yield Point(verb, name, seen[name])


class Sweep:
    """One runtime, one bundle, one id; everything in a private directory."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program = program
        self.directory = directory
        self.token = f"c{secrets.token_hex(4)}"
        self.id = f"{self.token}-id"
        self.root = directory / "state"
        self.temporary = directory / "tmp"
        self.watched = (self.root, self.temporary, directory / "bundle")
        for made in (self.root, self.temporary, directory / "bundle"):
            made.mkdir(parents=True)
        self.pid_file = directory / "pid"
        self.make_bundle()
        # What stays by design (the cache of compiled filters, mount points in the rootfs) is made once.
        self.quiet("create", "--bundle", str(directory / "bundle"), self.id)
        self.quiet("delete", "--force", self.id)
        self.before = snapshot.take(self.token, *self.watched)

    def make_bundle(self) -> None:
        """Podman's config: seccomp, masked paths, devices and limits are all in it."""
        around = adapt.Surroundings(
            sources=self.directory / "sources",
            sandbox_pid=0,
            cgroup=self.token,
            netns=lambda: "",
            recorder=Path("/bin/true"),
        )
        config = adapt.adapt(adapt.load("podman"), around)
        config["linux"]["cgroupsPath"] = f"/{self.token}"
        config["process"]["args"] = ["sleep", "600"]
        bundle = Bundle(self.directory / "bundle", config).save()
        build_busybox_rootfs(bundle.rootfs)

    # Calls

    def words(self, *arguments: str) -> list[str]:
        return [self.program, "--root", str(self.root), *arguments]

    def quiet(self, *arguments: str, around: Sequence[str] = ()) -> int:
        """Run the runtime, perhaps under strace; its exit code, or -1 when it took too long."""
        child = subprocess.Popen(
            [*around, *self.words(*arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(self.temporary)},
        )
        try:
            return child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return -1

    def verb_words(self, verb: str) -> list[str]:
        if verb in ("create", "init"):
            return ["create", "--bundle", str(self.directory / "bundle"), "--pid-file", str(self.pid_file), self.id]
        return {"start": ["start", self.id], "kill": ["kill", self.id, "KILL"], "delete": ["delete", self.id]}[verb]

    def prepare(self, verb: str) -> None:
        """Bring the container to where the verb begins."""
        steps = {"start": ["create"], "kill": ["create", "start"], "delete": ["create", "kill"]}.get(verb, [])
        for step in steps:
            code = self.quiet(*self.verb_words(step))
            if code != 0:
                raise RuntimeError(f"{step}, before {verb}, exits {code}")
        if verb == "delete":
            os.waitpid(int(self.pid_file.read_text()), 0)

    # Points

    def points(self, verb: str) -> list[Point]:
        """Every point of the verb, from a dry run."""
        trace = self.directory / "trace"
        self.prepare(verb)
        if verb == "init":
            calls = self.init_calls(trace)
        else:
            self.quiet(*self.verb_words(verb), around=["strace", "-qq", "-o", str(trace)])
            matches = (CALL.match(line) for line in trace.read_text(errors="replace").splitlines())
            calls = list(points_of(verb, [match.group(2) for match in matches if match]))
        self.clean()
        return calls

    def init_calls(self, trace: Path) -> list[Point]:
        """Calls of init's that the command itself never makes, so that strace's own count finds init alone."""
        with self.followed(["-o", str(trace)]):
            pass
        calls: dict[str, list[str]] = {}
        for line in trace.read_text(errors="replace").splitlines():
            match = CALL.match(line)
            if match and match.group(1):
                calls.setdefault(match.group(1), []).append(match.group(2))
        command, *others = calls.values()  # the command's pid comes first
        own = set(command)
        counted: list[Point] = []
        for one in others:
            counted.extend(point for point in points_of("init", ["execve", *one]) if point.call not in own)
        return list(dict.fromkeys(counted))

    def followed(self, options: Sequence[str]) -> Followed:
        """create under `strace -f`."""
        return Followed(["strace", "-f", "-qq", *options, *self.words(*self.verb_words("init"))], self.temporary)

    def strike(self, point: Point) -> str | None:
        """Kill at the point and recover; None, or what was wrong."""
        try:
            self.prepare(point.verb)
        except RuntimeError as error:
            return str(error)
        inject = f"inject={point.call}:signal=KILL:when={point.occurrence}"
        options = ["-e", f"trace={point.call}", "-e", inject, "-o", "/dev/null"]
        if point.verb == "init":
            with self.followed(options):
                pass
        else:
            self.quiet(*self.verb_words(point.verb), around=["strace", "-qq", *options])
        return self.recover()

    def recover(self) -> str | None:
        """The three things that must hold after a crash."""
        code = self.quiet("delete", "--force", self.id)
        if code != 0:
            return f"delete --force exits {code}"
        left = snapshot.leftovers(self.before, self.token, *self.watched, patience=1)
        if left:
            return f"left: {left}"
        code = self.quiet(*self.verb_words("create"))
        if code != 0:
            return f"a new create exits {code}"
        code = self.quiet("delete", "--force", self.id)
        if code != 0:
            return f"delete --force of the new one exits {code}"
        return None

    def clean(self) -> None:
        """After a point that was not recovered: by hand, so that the next one starts from nothing."""
        self.quiet("delete", "--force", self.id)
        for pid in snapshot.descendants(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        snapshot.reap_orphans()
        for path in sorted(snapshot.cgroups(self.token), key=len, reverse=True):
            try:
                os.rmdir(path)
            except OSError:
                pass
        for entry in self.root.iterdir():
            if not entry.name.startswith("."):
                shutil.rmtree(entry, ignore_errors=True)
        self.before = snapshot.take(self.token, *self.watched)


class Followed:
    """A command under `strace -f`, ended when the command itself has ended: strace would stay with the init."""

    def __init__(self, command: Sequence[str], temporary: Path) -> None:
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(temporary)},
        )

    def __enter__(self) -> Followed:
        deadline = time.monotonic() + PATIENCE
        seen = False
        while time.monotonic() < deadline and self.child.poll() is None:
            alive = self.command_is_alive()
            if seen and not alive:
                break
            seen = seen or alive
            time.sleep(0.01)
        return self

    def command_is_alive(self) -> bool:
        """Whether strace has a child that is the command: it makes others, to try the kernel, before."""
        for pid, state in snapshot.descendants(self.child.pid).items():
            fields = snapshot.stat_fields(pid)
            if state != "Z" and fields and int(fields[1]) == self.child.pid and command_name(pid) != "strace":
                return True
        return False

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.terminate()  # strace detaches from what it follows
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def command_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "strace"  # gone, or not begun


def sample(points: Sequence[Point], count: int | None, seed: int) -> list[Point]:
    if count is None or count >= len(points):
        return list(points)
    chosen = random.Random(seed).sample(range(len(points)), count)
    return [points[number] for number in sorted(chosen)]


def sweep(one: Sweep, points: Sequence[Point], report: bool = False) -> dict[Point, str]:
    """Strike every point; the ones that were not recovered, and why."""
    failed = {}
    for number, point in enumerate(points):
        problem = one.strike(point)
        if problem:
            failed[point] = problem
            one.clean()
        if report and sys.stderr.isatty():
            print(f"\r{point.verb}: {number + 1} of {len(points)}, {len(failed)} lost ", end="", file=sys.stderr)
    return failed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="crash_sweep", description="SIGKILL at every system call")
    parser.add_argument("--runtime", default=str(OCIRUN), help="the runtime to kill (default build/ocirun)")
    parser.add_argument("--verbs", default=",".join(VERBS), help="comma-separated (default: all)")
    parser.add_argument("--sample", type=int, help="only so many points of each verb")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    options = parser.parse_args(arguments)
    program = shutil.which(options.runtime) or options.runtime
    if os.geteuid() != 0 or not shutil.which("strace"):
        print("crash_sweep: needs root and strace", file=sys.stderr)
        return 2
    snapshot.become_subreaper()
    if os.path.basename(program) == "crun":
        snapshot.hide_hybrid_controllers()
    directory = Path(tempfile.mkdtemp(prefix="ocirun-crash-"))
    directory.chmod(0o755)
    lost = total = 0
    try:
        one = Sweep(program, directory / "sweep")
        for verb in options.verbs.split(","):
            every = one.points(verb)
            points = sample(every, options.sample, options.seed)
            failed = sweep(one, points, report=True)
            total, lost = total + len(points), lost + len(failed)
            print(f"{verb}: {len(points) - len(failed)} of {len(points)} points recovered ({len(every)} in all)")
            for point, problem in failed.items():
                print(f"  {point}: {problem}")
            sys.stdout.flush()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{os.path.basename(program)}: {total - lost} of {total} points recovered")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
