"""Waiting for a child process in an event loop: by pidfd, without a thread and without a handler of SIGCHLD."""

import asyncio
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen
    from typing import Any


async def ended(process: "Popen[Any]", timeout: "float | None" = None) -> bool:
    """Wait until the child has ended; False after ``timeout`` seconds. Does not reap it."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:  # SIGCHLD is ignored, and it has ended
        return True
    loop = asyncio.get_running_loop()
    end = loop.create_future()
    loop.add_reader(descriptor, lambda: end.cancel())
    try:
        return bool((await asyncio.wait([end], timeout=timeout))[0])
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
