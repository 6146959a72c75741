"""In the place of the package, which is half a megabyte: referencing needs one name of it, where typing's takes no default."""

import typing


def TypeVar(name: str, *constraints: object, default: object = None, **options: object) -> object:  # noqa: ARG001, N802
    """typing.TypeVar, whose default only type checkers read."""
    return typing.TypeVar(name, *constraints, **options)  # type: ignore[arg-type]
