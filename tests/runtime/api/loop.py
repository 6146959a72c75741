"""Event loops for tests: afterwards nothing is left of them, and it is known how long they stalled."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from ocirun.aio import AsyncContainer

from tests.integration import snapshot
from tests.integration.bundle import merge
from tests.runtime.api.place import Place

LONGEST = 0.1
"""Seconds: a tenth of what a hook takes; the slowest message takes some milliseconds, and a busy machine has pauses of its own."""


def lived(act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a loop of its own; afterwards this process has no more descriptors and no child."""
    before = snapshot.descriptors()
    asyncio.run(asyncio.wait_for(act(), 120))
    assert snapshot.descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def run(place: Place, *args: str, name: str = "", **options: Any) -> Coroutine[Any, Any, AsyncContainer]:
    id = place.token + name
    config = merge(place.bundle.config, {"linux": {"cgroupsPath": f"/{id}"}})
    if args:
        config["process"] = {**config["process"], "args": list(args)}
    return AsyncContainer.run(id, place.directory, root=place.root, config=config, **options)


def waited_for_processor() -> float:
    """Seconds that this thread was ready to run and had no processor: others' work, not ours."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def stalls(found: list[float]) -> None:
    """Ticks each millisecond, and notes by how much each tick is late."""
    while True:
        began, waited = time.perf_counter(), waited_for_processor()
        await asyncio.sleep(0.001)
        late = time.perf_counter() - began - 0.001
        found.append(late - (waited_for_processor() - waited))
