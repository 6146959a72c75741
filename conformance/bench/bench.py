#!/usr/bin/env python3
"""`make bench`: ocirun, crun and runc in turn, in one run, on the `spec` bundle and on Podman's config.

Each round calls every command once with every runtime, so that a busy moment of the machine hits all alike. The
bundle is the same for all; output goes to /dev/null. Writes docs/bench.json, bench.md and bench.svg.

Where build/launcher/ocirun exists, build/ocirun has its interpreter in itself, and both are measured.

    conformance/bench/bench.py [--n N] [--runtimes A,B] [--configs spec,podman] [--launcher PATH] [--no-extras]
                               [--podman] [--density] [--output DIR]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from conformance.bench import costs, density, places, podman, report  # noqa: E402
from conformance.bench.places import Place, middle  # noqa: E402
from conformance.bench.rounds import Bench  # noqa: E402


def rows_of(bench: Bench, instructions: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """The rows of bench.json. instructions: runtime -> command -> count, on the spec bundle."""
    rows = []
    for (config, command, runtime), values in bench.samples.items():
        faults = bench.faults.get((config, command, runtime))
        rows.append(
            {
                "config": config,
                "command": command,
                "runtime": runtime,
                "n": len(values),
                "median_ms": middle(values),
                "min_ms": round(min(values), 3),
                "faults": round(middle(faults)) if faults else None,
                "instructions": instructions.get(runtime, {}).get(command) if config == "spec" else None,
            }
        )
    return rows


def measure(bench: Bench, n: int, configs: Sequence[str], with_interface: bool) -> None:
    for number in range(n):
        for config in configs:
            bench.round(config, number)
        bench.floor()
        if with_interface and number % 10 == 9:
            bench.interface(10)
        places.progress(f"round {number + 1} of {n}")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="ocirun beside crun and runc")
    parser.add_argument("--n", type=int, default=100, help="rounds (default 100)")
    parser.add_argument("--runtimes", default="ocirun,crun,runc", help="comma-separated (default: all three)")
    parser.add_argument("--configs", default="spec,podman", help="comma-separated: spec, podman")
    parser.add_argument("--launcher", type=Path, default=places.LAUNCHER, help="measured too, where it exists")
    parser.add_argument("--no-extras", action="store_true", help="leave out instructions, memory and the Python API")
    parser.add_argument("--podman", action="store_true", help="also `run --rm` of Podman, Docker and ctr")
    parser.add_argument("--density", action="store_true", help="then also density.py, for docs/density.md")
    parser.add_argument("--output", type=Path, default=TREE / "docs", help="directory of the pages")
    return parser.parse_args(arguments)


def whole(place: Place, options: argparse.Namespace) -> dict[str, Any]:
    """Everything that bench.json holds."""
    began = time.monotonic()
    bench = Bench(place)
    configs = options.configs.split(",")
    extras = not options.no_extras
    measure(bench, 2, configs, False)  # to fill the caches
    bench.samples.clear()
    bench.faults.clear()
    measure(bench, options.n, configs, extras and costs.has_interface())
    counters = {name: costs.instructions(bench, name) for name in costs.ours(place)} if extras else {}
    result: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": places.versions(place.programs),
        "counters": {name: tool for name, (tool, _) in counters.items()},
        "rows": rows_of(bench, {name: counts for name, (_, counts) in counters.items()}),
    }
    if extras:
        result["memory"] = costs.memory(bench)
        result["imports"] = costs.imports()
    if options.podman:
        result.update(podman.measure(place))
    result["minutes"] = round((time.monotonic() - began) / 60, 1)
    return result


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if os.geteuid() != 0:
        print("bench: needs root", file=sys.stderr)
        return 2
    programs = places.find_programs(options.runtimes.split(","), options.launcher)
    with places.place(programs) as place:
        result = whole(place, options)
    report.write(result, options.output)
    places.progress("")
    print(report.markdown(result))
    if options.density:
        return density.main(["--runtimes", options.runtimes, "--output", str(options.output)])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
