#!/usr/bin/env python3
"""What a created container costs of the machine's memory, by kind: many of each runtime, in turn.

The state directories are on a tmpfs, as /run is. Processes, cgroups and files are all removed at the end. "Others" is what
other processes of the machine took meanwhile, counted like ours: a run in which that is not near 0 says little.

    conformance/bench/created.py [--count N] [--rounds N] [--runtimes A,B] [--slabs] [--started]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from conformance.bench import costs  # noqa: E402
from conformance.bench.places import Place, call, find_programs, place  # noqa: E402
from tests.integration import snapshot  # noqa: E402

KINDS = (
    *("Shmem", "AnonPages", "Mapped", "PageTables", "KernelStack", "SReclaimable", "SUnreclaim", "Percpu"),
    "VmallocUsed",
)
"""Rows of /proc/meminfo."""
SETTLE = 2.0  # seconds until the kernel has freed what it frees later


def settle() -> None:
    """Collect the ended, and drop the caches: they would hide what the containers keep."""
    snapshot.reap_orphans()
    time.sleep(SETTLE)
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    time.sleep(SETTLE / 4)


def meminfo() -> dict[str, int]:
    """Name -> KiB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}


def anonymous(pid: int) -> int:
    """KiB of a process's anonymous memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0])


def slabs() -> dict[str, float]:
    """Name of a slab cache -> KiB in it."""
    found = {}
    for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, *numbers = line.split()
        pages, number = int(numbers[4]), int(numbers[13])
        found[name] = number * pages * os.sysconf("SC_PAGE_SIZE") / 1024
    return found


def grown(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """Name -> growth for each of ``count``."""
    return {name: (after[name] - before.get(name, 0)) / count for name in after}


@contextlib.contextmanager
def containers(here: Place, bundle: Path, runtime: str, count: int, *, started: bool = False) -> Iterator[list[int]]:
    """The pids of so many created containers of a bundle; ``started``: that run. All are deleted, whatever happens."""
    ids = [f"{here.token}-{number}" for number in range(count)]
    file = here.states / "pid"
    pids = []
    try:
        for id in ids:
            call(here.words(runtime, "create", "--bundle", str(bundle), "--pid-file", str(file), id))
            pids.append(int(file.read_text()))
            if started:
                call(here.words(runtime, "start", id))
        yield pids
    finally:
        for id in ids:
            words = here.words(runtime, "delete", "--force", id)
            subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        snapshot.reap_orphans()


def cost(
    here: Place, bundle: Path, runtime: str, count: int, *, started: bool = False
) -> tuple[dict[str, float], dict[str, float]]:
    """KiB for each of ``count`` created containers: "MemAvailable" (as a cost), "Others" and KINDS; and by slab cache."""
    settle()
    memory, caches = meminfo(), slabs()
    with containers(here, bundle, runtime, count, started=started) as pids:
        settle()
        more, slab = grown(memory, meminfo(), count), grown(caches, slabs(), count)
        own = sum(anonymous(pid) for pid in pids) / count
    others = more["AnonPages"] - own
    return {"MemAvailable": -more["MemAvailable"], "Others": others, **{kind: more[kind] for kind in KINDS}}, slab


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="created", description="the memory of a created container")
    parser.add_argument("--count", type=int, default=400, help="containers (default 400)")
    parser.add_argument("--rounds", type=int, default=3, help="of all runtimes in turn (default 3)")
    parser.add_argument("--runtimes", default="ocirun,crun", help="comma-separated (default: ocirun,crun)")
    parser.add_argument("--slabs", action="store_true", help="also print each slab cache that grows by 0.5 KiB")
    parser.add_argument("--started", action="store_true", help="start them: the cost of a running one")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if os.geteuid() != 0:
        print("created: needs root", file=sys.stderr)
        return 2
    with place(find_programs(options.runtimes.split(","))) as here:
        bundle = here.make_spec("sleep", ["/bin/sleep", "600"])
        for runtime in here.programs:  # to fill the caches
            with containers(here, bundle, runtime, 20):
                pass
        for number in range(options.rounds):
            for runtime in here.programs:
                kinds, caches = cost(here, bundle, runtime, options.count, started=options.started)
                text = "  ".join(f"{kind} {size:.1f}" for kind, size in kinds.items())
                print(f"{number + 1} {runtime:6} KiB each: {text}", flush=True)
                for name, size in sorted(caches.items(), key=lambda item: -abs(item[1])):
                    if options.slabs and abs(size) >= 0.5:
                        print(f"    {name:24} {size:7.1f}")
        for runtime in here.programs:
            with containers(here, bundle, runtime, 1) as pids:
                print(f"{runtime:6} Pss of one: {costs.pss_of(pids[0])} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
