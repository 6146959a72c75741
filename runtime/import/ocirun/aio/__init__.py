"""The API for asyncio: see docs/api.md."""

from runtime.api.aio import *  # noqa: F403 - the API's names, under the name of the project
from runtime.api.aio import __all__ as __all__
