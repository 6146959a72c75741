"""ocirun as a library: containers from Python, without a new process for each call. docs/api.md shows how to use it.

`ocirun.images` does what `ocirun bundle` does; `ocirun.aio` is the same for asyncio.
"""

from runtime.api import *  # noqa: F403 - the API's names, under the name of the project
from runtime.api import __all__ as __all__
