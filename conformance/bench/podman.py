#!/usr/bin/env python3
"""How long `podman run --rm`, `docker run --rm` and `ctr run --rm` take with each runtime in turn.

Each runtime has a manager of its own, with private directories, image store and daemon. No network. `make bench
ARGS=--podman` puts it on the bench's page; `--output docs` puts it on the page that is there.

    conformance/bench/podman.py [--managers A,B] [--n N] [--runtimes A,B] [--launcher PATH] [--output DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from conformance.bench import places, report  # noqa: E402
from conformance.bench.places import Failed, Place, middle, rotated  # noqa: E402
from tests.integration import managers  # noqa: E402

RUNS = {
    "podman": "run --rm {run} {image} true",
    "docker": "run --rm {run} {image} true",
    "containerd": "run --rm {run} {image} {id} true",
}
"""manager -> what is measured"""


def measure(place: Place, n: int = 20, names: Sequence[str] = tuple(RUNS)) -> dict[str, Any]:
    """manager -> {"version", "n", "runtimes": runtime -> {"mean_ms", "median_ms", "min_ms"}}"""
    for name in names:
        missing = managers.missing_program(name)
        if missing:
            raise Failed(f"{missing} is not installed: make deps-managers")
    rootfs = place.make_rootfs("podman-image") / "rootfs"
    with contextlib.ExitStack() as stack:
        starters = {
            runtime: stack.enter_context(managers.starter(program, place.directory, rootfs, strict=False))
            for runtime, program in place.programs.items()
        }
        return {name: one_manager(name, {key: start(name) for key, start in starters.items()}, n) for name in names}


def one_manager(name: str, started: dict[str, managers.Manager], n: int) -> dict[str, Any]:
    """started: runtime -> the manager that has it. They take turns."""
    samples: dict[str, list[float]] = {runtime: [] for runtime in started}
    for number in range(-1, n):  # the first to fill the caches
        places.progress(f"{name} run {number + 1} of {n}")
        for runtime in rotated(list(samples), number):
            with places.deferred():
                done = started[runtime].call(RUNS[name], {"id": f"bench{number}"})
            if done.code != 0:
                raise Failed(f"{name} run with {runtime}: exit {done.code}\n{done.err}")
            if number >= 0:
                samples[runtime].append(done.seconds * 1000)
    return {
        "version": version(managers.manager_table(name)["programs"][0]),
        "n": n,
        "runtimes": {runtime: summary(values) for runtime, values in samples.items()},
    }


def version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return next(word.strip(",") for word in said.split() if word[0].isdigit())


def summary(values: Sequence[float]) -> dict[str, float]:
    return {
        "mean_ms": round(statistics.mean(values), 3),
        "median_ms": middle(values),
        "min_ms": round(min(values), 3),
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="podman", description="managers' run --rm with each runtime")
    parser.add_argument("--managers", default=",".join(RUNS), help="comma-separated (default: all)")
    parser.add_argument("--n", type=int, default=20, help="containers for each runtime (default 20)")
    parser.add_argument("--runtimes", default="ocirun,crun", help="comma-separated (default: ocirun and crun)")
    parser.add_argument("--launcher", type=Path, default=places.LAUNCHER, help="measured too, where it exists")
    parser.add_argument("--output", type=Path, help="directory of the bench's page, to put it there")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("podman: needs root", file=sys.stderr)
        return 2
    with places.place(places.find_programs(options.runtimes.split(","), options.launcher)) as place:
        measured = measure(place, options.n, options.managers.split(","))
    places.progress("")
    for name, found in measured.items():
        print(f"{name} {found['version']}, n = {found['n']}")
        print(report.table(report.PODMAN_HEAD, report.podman_rows(found["runtimes"])))
    if options.output:
        result = json.loads((options.output / "bench.json").read_text())
        report.write({**result, **measured}, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
