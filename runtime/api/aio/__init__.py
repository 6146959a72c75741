"""The API for asyncio. A worker process makes the calls (`runtime.api.aio.worker`), so that the event loop never waits for the kernel,
for a hook or for another process's lock; it has messages to send and to receive, and pipes to read.

The worker is the parent of the containers' init. It ends with the loop; the containers do not.
"""

from runtime.api.aio.child import AsyncProcess
from runtime.api.aio.container import AsyncContainer
from runtime.api.aio.reports import doctor, features, list_containers, plan, validate
from runtime.api.streams import DEVNULL, PIPE, STDOUT

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "AsyncContainer",
    "AsyncProcess",
    "doctor",
    "features",
    "list_containers",
    "plan",
    "validate",
]
