"""Images and bundles: see docs/api.md."""

from runtime.api.images import *  # noqa: F403 - the API's names, under the name of the project
from runtime.api.images import __all__ as __all__
