#!/usr/bin/env python3
"""`make crash-sweep`: SIGKILL at each system call of create, start, kill and delete, and to init at each of its own.

A dry run under strace lists the calls that a command makes after its last exec: the launcher's, or the image's own. Then
the command runs once for each of them and is killed on entry to that call. Without `-f`: that would follow the detached
init for ever. The verb `init` is create and then start, by kill_init.py, with init killed at each call that one of its two processes makes up
to the user's program, and also while create or start is at each call of its own once init is there.

After each, `delete --force` must exit 0, no process, cgroup, mount or file may be left that was not there before, and
the same id must be free for a new container. A point at which nothing was killed has proved nothing: it is tried once
more, then reported, and the sweep fails when more than a few are.

    conformance/sweeps/crash.py [--runtime PROGRAM] [--verbs create,start,...] [--sample N] [--seed S]
"""

from __future__ import annotations

import argparse
import collections
import json
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from tests.integration import adapt, snapshot  # noqa: E402
from tests.integration.bundle import Bundle, build_busybox_rootfs  # noqa: E402

OCIRUN = TREE / "build/ocirun"
VERBS = ("create", "start", "kill", "delete", "init")
"""`init`: create and start, with the SIGKILL to the container's init instead."""
TRACER = TREE / "conformance/sweeps/kill_init.py"
INIT_TIMES = {
    "first": "init, before its fork",
    "second": "init, after its fork",
    "create": "init, while create is",
    "start": "init, while start is",
}
PATIENCE = 20
CALL = re.compile(r"^(\w+)\(")


@dataclass(frozen=True)
class Point:
    """The occurrence-th (from 1) call of that name, which `verb` makes; of any name where `who` of INIT_TIMES does."""

    verb: str
    call: str
    occurrence: int
    who: str = ""

    def __str__(self) -> str:
        if self.who:
            return f"{INIT_TIMES[self.who]} at its call {self.occurrence}, {self.call}"
        return f"{self.verb}: {self.call} #{self.occurrence}"


class NotReached(Exception):
    """Nothing was killed: the run made other calls than the dry run."""


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
        self.init_must_notice = 0
        self.make_bundle()
        # Leftovers by design (the cache of compiled filters, mount points in the rootfs) are made beforehand.
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
        """Every point of the verb, from a dry run. Valid for what is struck next, in the same state."""
        self.prepare(verb)
        if verb == "init":
            calls = self.traced(None)["calls"]
            self.init_must_notice = len(calls["second"]) - calls["second"][::-1].index("recvmsg")
            # Its last read is the end of file on the channel: by then init has become the user's program.
            del calls["start"][calls["start"].index("recvmsg") + 1 :]
            points = [
                Point(verb, call, number + 1, who)
                for who in INIT_TIMES
                for number, call in enumerate(calls[who])
                if not call.startswith("exit")
            ]
        else:
            trace = self.directory / "trace"
            self.quiet(*self.verb_words(verb), around=["strace", "-qq", "-o", str(trace)])
            matches = map(CALL.match, trace.read_text(errors="replace").splitlines())
            points = list(points_of(verb, [match.group(1) for match in matches if match]))
        self.clean()
        return points

    def traced(self, at: tuple[str, int] | None) -> dict[str, Any]:
        """What kill_init.py says of create and start."""
        request = {verb: self.words(*self.verb_words(verb)) for verb in ("create", "start")}
        ended = subprocess.run(
            [sys.executable, TRACER, json.dumps({**request, "at": at})],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "TMPDIR": str(self.temporary)},
            timeout=PATIENCE,
            check=False,
        )
        if ended.returncode != 0:
            raise RuntimeError(f"create or start does not end ({ended.returncode}): {ended.stderr.decode()}")
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    def strike(self, point: Point) -> str | None:
        """Kill at the point and recover; None, or what was wrong. NotReached when nothing was killed."""
        try:
            self.prepare(point.verb)
            if point.who:
                self.strike_init(point)
            else:
                self.strike_command(point)
        except RuntimeError as error:
            return str(error)
        return self.recover()

    def strike_command(self, point: Point) -> None:
        inject = f"inject={point.call}:signal=KILL:when={point.occurrence}"
        options = ["-e", f"trace={point.call}", "-e", inject, "-o", "/dev/null"]
        code = self.quiet(*self.verb_words(point.verb), around=["strace", "-qq", *options])
        if code != -signal.SIGKILL:  # strace ends as the command did
            raise NotReached

    def strike_init(self, point: Point) -> None:
        """create must notice init's end as long as init does more than wait for start."""
        found = self.traced((point.who, point.occurrence))
        if not found["fired"]:
            raise NotReached
        early = point.who == "first" or (point.who == "second" and point.occurrence < self.init_must_notice - 1)
        if early and found["codes"]["create"] == 0:
            raise RuntimeError("create exits 0")

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


def sample(points: Sequence[Point], count: int | None, seed: int) -> list[Point]:
    if count is None or count >= len(points):
        return list(points)
    chosen = random.Random(seed).sample(range(len(points)), count)
    return [points[number] for number in sorted(chosen)]


@dataclass
class Outcome:
    """Of the points struck: those not recovered, and why; those at which nothing was killed."""

    struck: int
    lost: dict[Point, str] = field(default_factory=dict)
    missed: list[Point] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.lost and len(self.missed) <= max(2, self.struck // 50)

    def __str__(self) -> str:
        recovered = self.struck - len(self.lost) - len(self.missed)
        missed = f", {len(self.missed)} not reached" if self.missed else ""
        return f"{recovered} of {self.struck} points recovered{missed}"


def sweep(one: Sweep, points: Sequence[Point], report: bool = False) -> Outcome:
    """Strike every point."""
    outcome = Outcome(len(points))
    for number, point in enumerate(points):
        problem = None
        for last in (False, True):
            try:
                problem = one.strike(point)
                break
            except NotReached:
                one.clean()
                if last:
                    outcome.missed.append(point)
        if problem:
            outcome.lost[point] = problem
            one.clean()
        if report and sys.stderr.isatty():
            print(f"\r{point.verb}: {number + 1}: {outcome} ", end="", file=sys.stderr)
    return outcome


def sweep_verbs(one: Sweep, verbs: Sequence[str], count: int | None, seed: int) -> bool:
    """Sweep and print each verb; whether all is well."""
    total = Outcome(0)
    for verb in verbs:
        every = one.points(verb)
        points = sample(every, count, seed)
        outcome = sweep(one, points, report=True)
        print(f"{verb}: {outcome} ({len(every)} in all)")
        for point, problem in [*outcome.lost.items(), *((point, "not reached") for point in outcome.missed)]:
            print(f"  {point}: {problem}")
        sys.stdout.flush()
        total.struck += outcome.struck
        total.lost |= outcome.lost
        total.missed += outcome.missed
    print(f"{os.path.basename(one.program)}: {total}")
    return total.good


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="crash.py", description="SIGKILL at every system call")
    parser.add_argument("--runtime", default=str(OCIRUN), help="the runtime to kill (default build/ocirun)")
    parser.add_argument("--verbs", default=",".join(VERBS), help="comma-separated (default: all)")
    parser.add_argument("--sample", "--points", type=int, help="only so many points of each verb")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    options = parser.parse_args(arguments)
    program = shutil.which(options.runtime) or options.runtime
    if os.geteuid() != 0 or not shutil.which("strace"):
        print("crash.py: needs root and strace", file=sys.stderr)
        return 2
    snapshot.become_subreaper()
    if os.path.basename(program) == "crun":
        snapshot.hide_hybrid_controllers()
    directory = Path(tempfile.mkdtemp(prefix="ocirun-crash-"))
    directory.chmod(0o755)
    try:
        one = Sweep(program, directory / "sweep")
        return 0 if sweep_verbs(one, options.verbs.split(","), options.sample, options.seed) else 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
