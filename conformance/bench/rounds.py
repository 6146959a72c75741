"""A round of commands for each runtime, and what they took."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from conformance.bench import report
from conformance.bench.places import TREE, Cost, Failed, Place, call, interpreter

PAUSE = 0.05
"""Seconds before a command that is measured alone."""
Key = tuple[str, str, str]
"""(config, command, runtime)"""


class Bench:
    """The bundles, and a round of commands for one runtime on one config."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.samples: dict[Key, list[float]] = {}
        """Milliseconds, a sample a round."""
        self.faults: dict[Key, list[int]] = {}
        short, long = ["/bin/true"], ["/bin/sleep", "600"]
        self.bundles = {
            "spec": (place.make_spec("true", short), place.make_spec("sleep", long)),
            "podman": (place.make_podman("true", short), place.make_podman("sleep", long)),
        }
        """config -> (bundle whose process ends at once, bundle whose process stays)"""

    def record(self, config: str, command: str, runtime: str, milliseconds: float) -> None:
        self.samples.setdefault((config, command, runtime), []).append(milliseconds)

    def round(self, config: str, runtime: str) -> None:
        """Every command once, one straight after the other: a whole life of a container, then `run`. Then those alone that
        move a process to cgroups.
        """
        short, long = self.bundles[config]
        id, pid_file = self.place.token, str(self.place.states / "pid")

        def timed(command: str, *words: str, row: str = "") -> float:
            cost: Cost = call(self.place.words(runtime, command, *words))
            self.record(config, row or command, runtime, cost.milliseconds)
            self.faults.setdefault((config, row or command, runtime), []).append(cost.faults)
            return cost.milliseconds

        def alone(command: str, *words: str) -> None:
            time.sleep(PAUSE)
            timed(command, *words, row=f"{command} alone")

        def collect() -> None:
            """Collect the exit of the container's process, which is the caller's, as a manager does before delete."""
            os.waitpid(int(Path(pid_file).read_text()), 0)

        create = "--bundle", str(long), "--pid-file", pid_file, id
        cycle = timed("create", *create)
        timed("state", id)
        cycle += timed("start", id)
        timed("exec", id, "/bin/true")
        cycle += timed("kill", id, "KILL")
        collect()
        cycle += timed("delete", id)
        self.record(config, "cycle", runtime, cycle)
        timed("run", "--bundle", str(short), id)

        alone("create", *create)
        call(self.place.words(runtime, "start", id))
        alone("exec", id, "/bin/true")
        call(self.place.words(runtime, "kill", id, "KILL"))
        collect()
        call(self.place.words(runtime, "delete", id))
        alone("run", "--bundle", str(short), id)

    def floor(self) -> None:
        """An idle interpreter, in the same run."""
        cost = call([interpreter(), "-I", "-S", "-c", "pass"])
        self.record("floor", report.FLOOR, "python", cost.milliseconds)

    def interface(self, cycles: int) -> None:
        """The cycle through the Python API in one process, without a new interpreter for each call."""
        worker = TREE / "conformance/bench/api.py"
        command = [interpreter(), "-I", str(worker), str(self.place.state("api")), str(cycles)]
        for config, (_, long) in self.bundles.items():
            done = subprocess.run([*command, str(long)], capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                raise Failed(f"the Python API: {done.stderr}")
            for row, samples in json.loads(done.stdout).items():
                for milliseconds in samples:
                    self.record(config, row, "ocirun API", milliseconds)
