"""The runtime. Its Python API is `runtime.api`, imported as `ocirun` (docs/api.md); the API's names are here too, as before.

A name is imported when it is first used (PEP 562): the command line imports this package too, on every call.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.api import Container, OcirunWarning, list_containers
    from runtime.errors import InvalidConfig, NotFound, OcirunError, WrongState

__all__ = [
    "Container",
    "InvalidConfig",
    "NotFound",
    "OcirunError",
    "OcirunWarning",
    "WrongState",
    "list_containers",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from runtime import api

    value: object = getattr(api, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
