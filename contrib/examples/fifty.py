#!/usr/bin/env python3
"""The lives of fifty containers at once, with asyncio: an image, limits, output as it comes, another program in each, a change
of a limit.

fifty.py IMAGE [COUNT]: an OCI layout or an archive of docker save, LAYOUT[:TAG], of an image with a shell.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ocirun.aio import DEVNULL, PIPE, AsyncContainer, images

PROGRAM = "echo started; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo went on; exit 3"


async def live(number: int, bundle: str, options: dict[str, Any]) -> tuple[int | None, list[str], int]:
    async with await AsyncContainer.run(f"example-{number}", bundle, **options) as container:
        lines = [await container.stdout.readline()]
        await container.update({"pids": {"limit": 10}})
        usage = (await container.stats())["memory"]["usage"]["usage"]
        await container.exec(["touch", "/tmp/go"])  # killed if the container ends first, so there is no status to check
        lines += [line async for line in container.stdout]
        return await container.wait(timeout=60), [line.rstrip() for line in lines], usage


async def tick() -> None:
    """Shows that the loop is free meanwhile."""
    while True:
        print(".", end="", flush=True)
        await asyncio.sleep(0.1)


async def main(image: str, place: str, count: int) -> None:
    bundle = f"{place}/bundle"
    ticker = asyncio.create_task(tick())
    await images.unpack(image, bundle, store=f"{place}/store", copy=True)  # an overlay is one container's
    config = json.loads(Path(bundle, "config.json").read_text())
    config["process"] |= {"args": ["/bin/sh", "-c", PROGRAM], "terminal": False}
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    config["linux"].setdefault("resources", {}).update(memory={"limit": 64 << 20}, pids={"limit": 20})
    options = {"config": config, "root": f"{place}/state", "stdin": DEVNULL, "stdout": PIPE, "text": True}
    began = time.monotonic()
    found = await asyncio.gather(*(live(number, bundle, options) for number in range(count)))
    ticker.cancel()
    same = {(status, *lines) for status, lines, _ in found}
    print(
        f"\n{count} containers in {time.monotonic() - began:.1f} s, with {max(usage for *_, usage in found)} bytes at most"
    )
    print("each:", *same)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(sys.argv[1], place, int(sys.argv[2]) if sys.argv[2:] else 50))
