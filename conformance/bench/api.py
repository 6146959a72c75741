#!/usr/bin/env python3
"""One process that makes and removes containers through the Python API; started by bench.py.

api.py ROOT CYCLES BUNDLE    prints {"create": [ms, ...], "start": ..., "kill": ..., "delete": ..., "cycle": ...}
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

SITE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "build", "site")


def main(root: str, cycles: int, bundle: str) -> None:
    sys.path.append(SITE)
    from runtime import Container

    null = os.open("/dev/null", os.O_RDWR)
    samples: dict[str, list[float]] = {}

    def timed(name: str, act: Callable[..., Any], *arguments: str) -> Any:
        began = time.perf_counter_ns()
        result = act(*arguments)
        samples.setdefault(name, []).append((time.perf_counter_ns() - began) / 1e6)
        return result

    for _ in range(cycles):
        container = timed("create", lambda: Container.create("bench-api", bundle, root=root, stdio=(null, null, null)))
        timed("start", container.start)
        timed("kill", container.kill, "KILL")
        container.wait()
        timed("delete", container.delete)
    parts = ("create", "start", "kill", "delete")
    samples["cycle"] = [sum(samples[part][number] for part in parts) for number in range(cycles)]
    json.dump(samples, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
