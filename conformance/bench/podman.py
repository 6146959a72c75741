#!/usr/bin/env python3
"""How long `podman run --rm` takes with each runtime in turn, in an image store of its own. No daemon, no network.

`make bench ARGS=--podman` puts it on the bench's page.

    conformance/bench/podman.py [--n N] [--runtimes A,B] [--launcher PATH]
"""

from __future__ import annotations

import argparse
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

RUN = "run --rm {run} {image} true"


def measure(place: Place, n: int = 20) -> dict[str, Any]:
    """{"version", "n", "runtimes": runtime -> {"mean_ms", "median_ms", "min_ms"}}"""
    missing = managers.missing_program("podman")
    if missing:
        raise Failed(f"{missing} is not installed: make deps-managers")
    samples: dict[str, list[float]] = {name: [] for name in place.programs}
    rootfs = place.make_rootfs("podman-image") / "rootfs"
    with managers.starter("crun", place.directory, rootfs) as start:
        podman = start("podman")
        for number in range(-1, n):  # the first to fill the caches
            places.progress(f"podman run {number + 1} of {n}")
            for name in rotated(list(samples), number):
                with places.deferred():
                    done = podman.call(RUN, {"runtime": place.programs[name]})
                if done.code != 0:
                    raise Failed(f"podman run with {name}: exit {done.code}\n{done.err}")
                if number >= 0:
                    samples[name].append(done.seconds * 1000)
    version = subprocess.run(["podman", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return {
        "version": version,
        "n": n,
        "runtimes": {name: summary(values) for name, values in samples.items()},
    }


def summary(values: Sequence[float]) -> dict[str, float]:
    return {
        "mean_ms": round(statistics.mean(values), 3),
        "median_ms": middle(values),
        "min_ms": round(min(values), 3),
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="podman", description="podman run with each runtime")
    parser.add_argument("--n", type=int, default=20, help="containers for each runtime (default 20)")
    parser.add_argument("--runtimes", default="ocirun,crun", help="comma-separated (default: ocirun and crun)")
    parser.add_argument("--launcher", type=Path, default=places.LAUNCHER, help="measured too, where it exists")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("podman: needs root", file=sys.stderr)
        return 2
    with places.place(places.find_programs(options.runtimes.split(","), options.launcher)) as place:
        measured = measure(place, options.n)
    places.progress("")
    print(report.table(report.PODMAN_HEAD, report.podman_rows(measured["runtimes"])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
