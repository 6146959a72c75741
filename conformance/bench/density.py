#!/usr/bin/env python3
"""Many containers: created ones and their memory, lifecycles at once, and lifecycles in a row; with crun and runc.

A lifecycle is create, start, kill and delete, a command each, on the bundle of `ocirun spec`. Writes docs/density.json,
density.md and density.svg.

    conformance/bench/density.py [--created N] [--compared N] [--runs N] [--at-once N] [--rounds N] [--in-a-row N]
                                 [--peers-every N] [--runtimes A,B] [--output DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from conformance.bench import costs, density_page, memory, places  # noqa: E402
from conformance.bench.places import Failed, Place, call, middle, rotated  # noqa: E402
from tests.integration import snapshot  # noqa: E402


class Density:
    """The bundle, and what is done with it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.bundle = place.make_spec("sleep", ["/bin/sleep", "600"])
        (place.directory / "pids").mkdir()

    def create(self, runtime: str, id: str) -> float:
        """Milliseconds, as for the next two."""
        words = ["create", "--bundle", str(self.bundle), "--pid-file", str(self.pid_file(id)), id]
        return call(self.place.words(runtime, *words)).milliseconds

    def kill(self, runtime: str, id: str) -> float:
        took = call(self.place.words(runtime, "kill", id, "KILL")).milliseconds
        # Its exit is the caller's to collect, as a manager does before delete.
        os.waitpid(int(self.pid_file(id).read_text()), 0)
        return took

    def delete(self, runtime: str, id: str) -> float:
        took = call(self.place.words(runtime, "delete", id)).milliseconds
        self.pid_file(id).unlink()
        return took

    def live(self, runtime: str, id: str) -> float:
        """A lifecycle; the milliseconds of its four commands."""
        took = self.create(runtime, id)
        took += call(self.place.words(runtime, "start", id)).milliseconds
        return took + self.kill(runtime, id) + self.delete(runtime, id)

    def pid_file(self, id: str) -> Path:
        return self.place.directory / "pids" / id

    def ids(self, what: str, count: int) -> list[str]:
        return [f"{self.place.token}-{what}-{number}" for number in range(count)]


# Created containers


def created(density: Density, runtime: str, count: int) -> dict[str, Any]:
    """What so many created containers take, and how long it takes to make and to remove them."""
    ids = density.ids("created", count)
    patience = min(5.0, count / 40)
    before, charge = memory.settled(patience), memory.charge(density.place.token)
    began = time.monotonic()
    for id in ids:
        density.create(runtime, id)
        places.progress(f"{runtime}: {id}")
    create_s = time.monotonic() - began
    full, charged = memory.settled(patience), memory.charge(density.place.token)
    pss = [costs.pss_of(int(density.pid_file(id).read_text())) for id in ids]
    began = time.monotonic()
    for id in ids:
        density.kill(runtime, id)
        density.delete(runtime, id)
    delete_s = time.monotonic() - began
    return {
        "count": count,
        "create_s": round(create_s, 2),
        "delete_s": round(delete_s, 2),
        "available_mib": round(before["MemAvailable"] - full["MemAvailable"], 1),
        "charged_mib": None if charge is None or charged is None else round(charged - charge, 1),
        "kinds_mib": {kind: round(full[kind] - before[kind], 1) for kind in memory.KINDS},
        "pss_kib": round(statistics.mean(pss)),
        "returned_mib": round(memory.settled(patience)["MemAvailable"] - full["MemAvailable"], 1),
    }


def all_created(density: Density, options: argparse.Namespace) -> dict[str, Any]:
    """The goal's runs, and then the many."""
    names = list(density.place.programs)
    with memory.charged_to(density.place.token):
        runs = [
            {name: created(density, name, options.compared) for name in rotated(names, number)}
            for number in range(options.runs)
        ]
        return {"compared": runs, "created": {name: created(density, name, options.created) for name in names}}


# At once


def worker(density: Density, runtime: str, id: str, gate: tuple[int, int]) -> int:
    """A process that waits until the pipe's write end closes, and then lives through one lifecycle; its pid."""
    pid = os.fork()
    if pid != 0:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        snapshot.become_subreaper()  # the container is then this process's to wait for
        os.close(gate[1])
        os.read(gate[0], 1)
        density.live(runtime, id)
        status = 0
    except Failed as problem:
        print(problem, file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def at_once(density: Density, runtime: str, count: int) -> float:
    """Containers a second, from the first create to the last delete."""
    gate = os.pipe()
    workers: list[int] = []
    try:
        for id in density.ids("once", count):
            workers.append(worker(density, runtime, id, gate))
    finally:
        # Also after a signal: what began should end.
        began = time.monotonic()
        for descriptor in gate:
            os.close(descriptor)
        failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in workers)
    took = time.monotonic() - began
    if failed:
        raise Failed(f"{runtime}: {failed} of {count} lifecycles at once failed")
    return round(count / took, 2)


# In a row


def in_a_row(density: Density, runtimes: Sequence[str], count: int, peers_every: int) -> dict[str, Any]:
    """The first runtime lives `count` times; after every `peers_every` of them each other one lives once.

    So each hundredth of the row, and its first and last tenth, are the same time of day for all.
    """
    place = density.place
    samples: dict[str, list[tuple[int, float]]] = {name: [] for name in runtimes}
    ids = {name: f"{place.token}-{place.state(name).name}" for name in runtimes}
    for name in runtimes:
        density.live(name, ids[name])  # the state directory, and what a runtime keeps
    before = snapshot.take(place.token, place.directory)
    began = time.monotonic()
    for number in range(count):
        for name in runtimes if number % peers_every == peers_every - 1 else runtimes[:1]:
            samples[name].append((number, density.live(name, ids[name])))
        places.progress(f"{number + 1} of {count} in a row")
    return {
        "count": count,
        "peers_every": peers_every,
        "seconds": round(time.monotonic() - began, 1),
        "left": snapshot.leftovers(before, place.token, place.directory),
        "runtimes": {name: drift(values, count) for name, values in samples.items()},
    }


def drift(samples: Sequence[tuple[int, float]], count: int) -> dict[str, Any]:
    """samples: (how many of the first runtime came before, milliseconds)."""
    tenth, hundredth = max(1, count // 10), max(1, count // 100)
    parts: dict[int, list[float]] = {}
    for number, milliseconds in samples:
        parts.setdefault(number // hundredth, []).append(milliseconds)
    return {
        "n": len(samples),
        "first_ms": median([milliseconds for number, milliseconds in samples if number < tenth]),
        "last_ms": median([milliseconds for number, milliseconds in samples if number >= count - tenth]),
        "series": [[part * hundredth, middle(values)] for part, values in sorted(parts.items())],
    }


def median(values: Sequence[float]) -> float | None:
    return middle(values) if values else None


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="density", description="many containers of ocirun, crun and runc")
    parser.add_argument("--created", type=int, default=1000, help="created containers (default 1000)")
    parser.add_argument("--compared", type=int, default=400, help="created containers for the goal (default 400)")
    parser.add_argument("--runs", type=int, default=3, help="times that the goal is tried (default 3)")
    parser.add_argument("--at-once", type=int, default=50, help="lifecycles at once (default 50)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of them (default 5)")
    parser.add_argument("--in-a-row", type=int, default=10000, help="lifecycles in a row (default 10000)")
    parser.add_argument(
        "--peers-every", type=int, default=10, help="lifecycles of ours to one of each peer (default 10)"
    )
    parser.add_argument("--runtimes", default="ocirun,crun,runc", help="comma-separated (default: all three)")
    parser.add_argument("--output", type=Path, default=TREE / "docs", help="directory of the three files")
    return parser.parse_args(arguments)


def measure(density: Density, options: argparse.Namespace) -> dict[str, Any]:
    """Everything that density.json holds."""
    began = time.monotonic()
    names = list(density.place.programs)
    machine = {
        "processors": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        "load": os.getloadavg()[0],
    }
    for name in names:
        density.live(name, density.place.token)  # to fill the caches
    found = all_created(density, options)
    rates: dict[str, list[float]] = {name: [] for name in names}
    for number in range(options.rounds):
        for name in rotated(names, number):
            rates[name].append(at_once(density, name, options.at_once))
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": places.versions(density.place.programs),
        "machine": machine,
        **found,
        "at_once": {"count": options.at_once, "rates": rates},
        "in_a_row": in_a_row(density, names, options.in_a_row, options.peers_every),
        "minutes": round((time.monotonic() - began) / 60, 1),
    }


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if os.geteuid() != 0:
        print("density: needs root", file=sys.stderr)
        return 2
    # The launcher makes the same containers as ocirun.
    programs = places.find_programs(options.runtimes.split(","))
    with places.place(programs) as place:
        result = measure(Density(place), options)
    density_page.write(result, options.output)
    places.progress("")
    print(density_page.markdown(result))
    return 0 if not result["in_a_row"]["left"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
