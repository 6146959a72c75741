#!/usr/bin/env python3
"""SIGKILL at each system call of `bundle unpack`, as root and in the copy's last steps; the next call, or prune, cleans up.

A dry run under strace lists the calls; then a call is killed on entry to each of them. After each, either a bundle is there,
and whole, or none is; the next unpack succeeds, and prune leaves the store as if nothing had been.

    conformance/sweeps/unpack.py [--runtime PROGRAM] [--sample N] [--seed S]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from conformance.sweeps.crash import CALL, Point, points_of, sample  # noqa: E402
from tests.integration.images import archive, directory, entry, hardlink, layout, symlink  # noqa: E402

PATIENCE = 60
STAYS = ["lock", "store.json"]  # files of a store that has nothing


class Sweep:
    """One image of three layers, one store, one bundle; all in a private directory. ``flags``: of unpack.

    The last layer has its ChainID as its name: it has a hard link to a file of the first, and goes through a link of the first.
    """

    def __init__(self, program: str, place: Path, flags: Sequence[str] = ()) -> None:
        place.mkdir(parents=True)
        self.place, self.program, self.flags = place, program, list(flags)
        self.bundle, self.store = place / "bundle", place / "store"
        lower = archive(directory("d"), entry("d/f", b"x" * 3000), hardlink("h", "d/f"), symlink("s", "d"))
        layers = lower, archive(entry(".wh.h"), entry("d/new")), archive(hardlink("again", "d/f"), entry("s/newer"))
        self.source = layout(place / "layout", *layers, config={"Cmd": ["sh"]})

    def words(self, *words: str | Path) -> list[str]:
        return [self.program, "bundle", *map(str, words), "--store", str(self.store)]

    def unpack(self) -> list[str]:
        return self.words("unpack", *self.flags, self.source, self.bundle)

    def points(self) -> list[Point]:
        """Every call that unpack makes, from nothing."""
        trace = self.place / "trace"
        subprocess.run(
            ["strace", "-qq", "-o", trace, *self.unpack()], check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
        self.clean()
        found = (CALL.match(line) for line in trace.read_text(errors="replace").splitlines())
        return list(points_of("unpack", [match[1] for match in found if match]))

    def clean(self) -> None:
        for path in (self.bundle, self.store):
            shutil.rmtree(path, ignore_errors=True)

    def strike(self, point: Point) -> str | None:
        """Kill at the point, and look. What is wrong afterwards; None if nothing is, "" if nothing was killed."""
        inject = f"inject={point.call}:signal=KILL:when={point.occurrence}"
        options = ["-qq", "-e", f"trace={point.call}", "-e", inject, "-o", "/dev/null"]
        call = subprocess.run(
            ["strace", *options, *self.unpack()],
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        if call.returncode != -signal.SIGKILL:
            self.clean()
            return ""
        problem = self.look()
        self.clean()
        return problem

    def look(self) -> str | None:
        whole = self.bundle.exists()
        if whole and not (self.bundle / "image.json").exists():
            return "there is a bundle without image.json"
        pruned = self.run(self.words("prune"))
        if self.leftovers():
            return f"prune leaves {self.leftovers()}"
        if pruned or whole:
            return pruned or self.prune_all()
        again = self.run(self.unpack())
        left = sorted(path.name for path in self.store.glob("tmp/*")) + [path.name for path in self.place.glob(".*")]
        if again or left:
            return again or f"the next call leaves {left}"
        return self.prune_all()

    def leftovers(self) -> list[str]:
        """What nobody uses: all in tmp, and what stands beside the bundle."""
        return [str(path) for path in (*self.store.glob("tmp/*"), *self.store.glob("locks/*"), *self.place.glob(".*"))]

    def prune_all(self) -> str | None:
        """After the bundle's end nothing is left."""
        shutil.rmtree(self.bundle)
        wrong = self.run(self.words("prune"))
        left = sorted(path.name for path in self.store.rglob("*") if not path.is_dir())
        return wrong or (None if left == STAYS else f"without bundles the store has {left}")

    def run(self, words: list[str]) -> str | None:
        done = subprocess.run(
            words, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return f"{words[2]}: exit {done.returncode}: {done.stderr}" if done.returncode else None


def sweep(one: Sweep, points: Sequence[Point]) -> tuple[int, dict[str, str]]:
    """How many were struck, and what was wrong after which."""
    struck, wrong = 0, {}
    for point in points:
        problem = one.strike(point)
        struck += problem != ""
        if problem:
            wrong[str(point)] = problem
    return struck, wrong


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", default=str(TREE / "build/ocirun"))
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("strace"):
        print("unpack.py: needs root and strace", file=sys.stderr)
        return 2
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        for flags in ((), ("--copy",)):
            one = Sweep(options.runtime, Path(place, f"with{len(flags)}"), flags)
            every = one.points()
            struck, wrong = sweep(one, sample(every, options.sample, options.seed))
            print(f"unpack {' '.join(flags)}: {struck} struck of {len(every)} points, {len(wrong)} wrong")
            for point, problem in wrong.items():
                print(f"  {point}: {problem}")
            bad += len(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
