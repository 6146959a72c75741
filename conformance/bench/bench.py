#!/usr/bin/env python3
"""`make bench`: ocirun, crun and runc in turn, in one run, on the `spec` bundle and on Podman's config.

Each round calls every runtime once with every command, so that a busy moment of the machine hits all alike. The
bundle is the same file for all; output goes to /dev/null. Writes docs/bench.json, bench.md and bench.svg.

    conformance/bench/bench.py [--n N] [--runtimes A,B] [--configs spec,podman] [--no-extras] [--output DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from conformance.bench import costs, report  # noqa: E402
from tests.integration import adapt, snapshot  # noqa: E402
from tests.integration.bundle import Bundle, build_busybox_rootfs  # noqa: E402

OCIRUN = TREE / "build/ocirun"
PROGRAMS = {"ocirun": str(OCIRUN), "crun": "crun", "runc": "runc"}
COMMANDS = ("create", "start", "state", "exec", "kill", "delete", "run", "cycle")
CYCLE = ("create", "start", "kill", "delete")
ID = "ocirun-bench"
NULL_STREAMS = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1, 2)]

Samples = dict[tuple[str, str, str], list[float]]
"""(config, command, runtime) -> milliseconds, a sample a round."""


class Failed(Exception):
    """A command that should have succeeded did not; the message says what it printed."""


def call(command: Sequence[str]) -> float:
    """Milliseconds from the start of the command to its end, by a plain posix_spawn and wait."""
    began = time.perf_counter_ns()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=NULL_STREAMS)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter_ns() - began) / 1e6
    if status != 0:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        raise Failed(f"{' '.join(command)}: exit {os.waitstatus_to_exitcode(status)}\n{said.stderr}")
    return took


class Bench:
    """The bundles in a private directory, and a round of commands for one runtime on one config."""

    def __init__(self, directory: Path, runtimes: Sequence[str]) -> None:
        self.directory = directory
        self.programs = {name: shutil.which(PROGRAMS[name]) or PROGRAMS[name] for name in runtimes}
        self.samples: Samples = {}
        self.bundles = {
            "spec": (self.make_spec("true", ["/bin/true"]), self.make_spec("sleep", ["/bin/sleep", "600"])),
            "podman": (self.make_podman("true", ["/bin/true"]), self.make_podman("sleep", ["/bin/sleep", "600"])),
        }
        """config -> (bundle whose process ends at once, bundle whose process stays)"""

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
        bundle = self.make_rootfs(f"podman-{name}")
        around = adapt.Surroundings(
            sources=self.directory / "sources",
            sandbox_pid=0,
            cgroup=f"{ID}-{os.getpid()}",
            netns=lambda: "",
            recorder=Path("/bin/true"),
        )
        config = adapt.adapt(adapt.load("podman"), around)
        config["process"]["args"] = args
        Bundle(bundle, config).save()
        return bundle

    def words(self, runtime: str, *command: str) -> list[str]:
        return [self.programs[runtime], "--root", str(self.directory / f"state-{runtime}"), *command]

    def record(self, config: str, command: str, runtime: str, milliseconds: float) -> float:
        self.samples.setdefault((config, command, runtime), []).append(milliseconds)
        return milliseconds

    def round(self, config: str, runtime: str) -> None:
        """Every command once: a whole life of a container, then `run`."""
        short, long = self.bundles[config]
        pid_file = str(self.directory / "pid")

        def timed(command: str, *words: str) -> float:
            return self.record(config, command, runtime, call(self.words(runtime, command, *words)))

        cycle = timed("create", "--bundle", str(long), "--pid-file", pid_file, ID)
        timed("state", ID)
        cycle += timed("start", ID)
        timed("exec", ID, "/bin/true")
        cycle += timed("kill", ID, "KILL")
        # Its exit is the caller's to collect, as a manager does before delete.
        os.waitpid(int(Path(pid_file).read_text()), 0)
        cycle += timed("delete", ID)
        self.record(config, "cycle", runtime, cycle)
        timed("run", "--bundle", str(short), ID)

    def floor(self) -> None:
        """The floor for any Python program, in the same run."""
        python = costs.interpreter()
        self.record("floor", "python3 -I -S -c pass", "python", call([python, "-I", "-S", "-c", "pass"]))

    def interface(self, cycles: int) -> None:
        """The cycle through the Python API in one process, without a new interpreter for each call."""
        worker = TREE / "conformance/bench/api.py"
        command = [costs.interpreter(), "-I", str(worker), str(self.directory / "state-api"), str(cycles)]
        for config, (_, long) in self.bundles.items():
            done = subprocess.run([*command, str(long)], capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                raise Failed(f"the Python API: {done.stderr}")
            for row, samples in json.loads(done.stdout).items():
                for milliseconds in samples:
                    self.record(config, row, "ocirun API", milliseconds)


def rows_of(samples: Samples, instructions: dict[str, int]) -> list[dict[str, Any]]:
    """The rows of bench.json. instructions: of ocirun's commands."""
    rows = []
    for (config, command, runtime), values in samples.items():
        ordered = sorted(values)
        middle = len(ordered) // 2
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
        rows.append(
            {
                "config": config,
                "command": command,
                "runtime": runtime,
                "n": len(ordered),
                "median_ms": round(median, 3),
                "min_ms": round(ordered[0], 3),
                "instructions": instructions.get(command) if (config, runtime) == ("spec", "ocirun") else None,
            }
        )
    return rows


def versions(programs: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, program in programs.items():
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        found[name] = re.sub(rf"^{name} version ", "", text.splitlines()[0])
    python = subprocess.run([costs.interpreter(), "--version"], capture_output=True, text=True, check=True)
    return {**found, "python": python.stdout.split()[1], "kernel": os.uname().release}


def measure(bench: Bench, n: int, configs: Sequence[str], with_interface: bool) -> None:
    order = list(bench.programs)
    for number in range(n):
        # Rotate the order, so that the same runtime does not always follow another's cleanup.
        for runtime in order[number % len(order) :] + order[: number % len(order)]:
            for config in configs:
                bench.round(config, runtime)
        bench.floor()
        if with_interface and number % 10 == 9:
            bench.interface(10)
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {n}", end="", file=sys.stderr)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="ocirun beside crun and runc")
    parser.add_argument("--n", type=int, default=100, help="rounds (default 100)")
    parser.add_argument("--runtimes", default="ocirun,crun,runc", help="comma-separated (default: all three)")
    parser.add_argument("--configs", default="spec,podman", help="comma-separated: spec, podman")
    parser.add_argument("--no-extras", action="store_true", help="leave out instructions, memory and the Python API")
    parser.add_argument("--output", type=Path, default=TREE / "docs", help="directory of the three files")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if os.geteuid() != 0:
        print("bench: needs root", file=sys.stderr)
        return 2
    runtimes = [name for name in options.runtimes.split(",") if shutil.which(PROGRAMS[name])]
    snapshot.become_subreaper()
    snapshot.hide_hybrid_controllers()
    directory = Path(tempfile.mkdtemp(prefix="ocirun-bench-"))
    directory.chmod(0o755)
    try:
        bench = Bench(directory, runtimes)
        configs = options.configs.split(",")
        extras = not options.no_extras
        measure(bench, 2, configs, False)  # to fill the caches
        bench.samples.clear()
        measure(bench, options.n, configs, extras and costs.has_interface())
        result: dict[str, Any] = {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": versions(bench.programs),
            "rows": rows_of(bench.samples, costs.instructions(bench) if extras else {}),
        }
        if extras:
            result["memory"] = costs.memory(bench)
            result["imports"] = costs.imports()
    finally:
        costs.clean(directory)
    report.write(result, options.output)
    print(report.markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
