"""A round of commands for each runtime, and what they took."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time

from conformance.bench import report
from conformance.bench.places import TREE, Cost, Failed, Place, call, interpreter

PAUSE = 0.05
"""Seconds before a command that is measured alone."""
CYCLE = ("create", "start", "kill", "delete")
Key = tuple[str, str, str]
"""(config, command, runtime)"""


class Bench:
    """The bundles, and a round of commands on one config."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.names = list(place.programs)
        self.samples: dict[Key, list[float]] = {}
        """Milliseconds, a sample a round."""
        self.faults: dict[Key, list[int]] = {}
        short, long = ["/bin/true"], ["/bin/sleep", "600"]
        self.bundles = {
            "spec": (place.make_spec("true", short), place.make_spec("sleep", long)),
            "podman": (place.make_podman("true", short), place.make_podman("sleep", long)),
        }
        """config -> (bundle whose process ends at once, bundle whose process stays)"""
        others = [place.make_podman(f"sleep-{number}", long) for number in range(1, len(self.names))]
        self.staying = {
            "spec": [self.bundles["spec"][1]] * len(self.names),
            "podman": [self.bundles["podman"][1], *others],
        }
        """config -> the second of them for each runtime: Podman's config names the cgroup, which only one container may have"""

    def record(self, config: str, command: str, runtime: str, milliseconds: float) -> None:
        self.samples.setdefault((config, command, runtime), []).append(milliseconds)

    def round(self, config: str, number: int) -> None:
        """Every command once with every runtime. The order is drawn for each command, so that none always follows the same."""
        orders = random.Random(number)
        lives = [Life(self, config, runtime) for runtime in self.names]
        took = dict.fromkeys(self.names, 0.0)
        for command in ("create", "state", "start", "exec", "kill", "delete", "run"):
            for life in orders.sample(lives, len(lives)):
                cost = life.timed(command, command)
                if command in CYCLE:
                    took[life.runtime] += cost
            if command == "kill":
                for life in lives:
                    life.collect()
        for runtime, milliseconds in took.items():
            self.record(config, "cycle", runtime, milliseconds)
        for life in orders.sample(lives, len(lives)):
            life.whole("alone", PAUSE)
            life.whole("in a row", 0)

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


class Life:
    """The commands of one runtime on one config, with a container of its own."""

    def __init__(self, bench: Bench, config: str, runtime: str) -> None:
        number = bench.names.index(runtime)
        self.bench, self.config, self.runtime = bench, config, runtime
        self.id = f"{bench.place.token}-{number}"
        self.pid_file = bench.place.states / f"pid-{number}"
        self.short, self.long = bench.bundles[config][0], bench.staying[config][number]

    def words(self, command: str) -> list[str]:
        """The whole command."""
        options: dict[str, list[str]] = {
            "create": ["--bundle", str(self.long), "--pid-file", str(self.pid_file), self.id],
            "exec": [self.id, "/bin/true"],
            "kill": [self.id, "KILL"],
            "run": ["--bundle", str(self.short), self.id],
        }
        return self.bench.place.words(self.runtime, command, *options.get(command, [self.id]))

    def timed(self, command: str, row: str) -> float:
        """Call it, and record its milliseconds, which are returned, and its faults as those of ``row``."""
        cost: Cost = call(self.words(command))
        self.bench.record(self.config, row, self.runtime, cost.milliseconds)
        self.bench.faults.setdefault((self.config, row, self.runtime), []).append(cost.faults)
        return cost.milliseconds

    def collect(self) -> None:
        """Collect the exit of the container's process, which is the caller's, as a manager does before delete."""
        os.waitpid(int(self.pid_file.read_text()), 0)

    def whole(self, kind: str, pause: float) -> None:
        """A life of a container and a `run`, one command straight after the other. Those that move a process to cgroups come
        after a pause of so many seconds, and are recorded as of that ``kind``.
        """

        def timed(command: str) -> None:
            time.sleep(pause)
            self.timed(command, f"{command} {kind}")

        timed("create")
        call(self.words("start"))
        timed("exec")
        call(self.words("kill"))
        self.collect()
        call(self.words("delete"))
        timed("run")
