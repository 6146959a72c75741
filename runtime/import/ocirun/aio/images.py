"""Images and bundles, for asyncio: see docs/api.md."""

from runtime.api.aio.images import *  # noqa: F403 - the API's names, under the name of the project
from runtime.api.aio.images import __all__ as __all__
