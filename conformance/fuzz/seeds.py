"""Writes the corpus that the fuzz target starts from: the plans of all kept configs on two hosts, and each operation alone.

Usage: python -m conformance.fuzz.seeds DIRECTORY
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from oci_spec.default import default
from runtime.plan import ops, plan
from runtime.plan.encode import TRACE, encode
from tests.integration import adapt
from tests.runtime.plan import machines

# The flags of target.c: how to run the plan, and the seed of the fake kernel's answers (0: all calls succeed).
ANSWERS, WHOLE, SEED = 2, 4, 1 << 3
WAYS = {
    "stop": 0,
    "answer": ANSWERS,
    "fail": ANSWERS | 7 * SEED,
    "whole": WHOLE,
    "trace": WHOLE | TRACE | 9 * SEED,
}


def single(code: int) -> list[ops.Operation]:
    """An operation alone, with arguments of every kind."""
    _, numbers, strings = ops.TABLE[code]
    texts = ("/a/b", ["x=y", "z"], "c", None)[: len(strings)]
    return [(code, ops.CONTAINER, None, tuple(range(1, len(numbers) + 1)), texts)]


def plans() -> Iterator[tuple[str, list[ops.Operation]]]:
    """(name, operations) of each."""
    for name in [*adapt.names(), "spec"]:
        spec = default() if name == "spec" else adapt.load(name)
        for host in sorted(machines.HOSTS):
            yield f"{name}.{host}", plan(spec, machines.facts(spec, host), machines.options(spec))[0]
    for code, (name, _, _) in enumerate(ops.TABLE):
        yield name, single(code)


def write(directory: Path) -> list[Path]:
    """One file per plan and way to run it."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, operations in plans():
        for way, flags in WAYS.items():
            path = directory / f"{name}.{way}"
            path.write_bytes(encode(operations, flags))
            written.append(path)
    return written


if __name__ == "__main__":
    write(Path(sys.argv[1]))
