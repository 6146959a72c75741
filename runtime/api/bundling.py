"""What the functions of `runtime.api.images` and of its asyncio counterpart ask of `ocirun bundle`, and how they read the answer."""

import posix

from runtime.api import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ParamSpec, TypeVar

    from runtime.api.arguments import Path

    Given = ParamSpec("Given")
    Result = TypeVar("Result")
    Answer = TypeVar("Answer")
    # The words of the command line, and what makes the answer of the command's output.
    Question = tuple[list[str], Callable[[str], Answer]]


def unpack(
    image: "Path",
    bundle: "Path",
    *,
    store: "Path | None" = None,
    platform: str = "",
    copy: bool = False,
    max_size: "int | None" = None,
) -> "Question[None]":
    """Make a bundle of an image: ``image`` is LAYOUT[:TAG], an OCI layout or an archive of docker save.

    ``store``: the layers' directory. ``platform``: OS/ARCHITECTURE[/VARIANT]. ``copy``: all files go into the bundle, which then
    needs no overlayfs. ``max_size``: refuse an image with more bytes.
    """
    options = {"store": arguments.optional(store), "platform": platform, "max-size": max_size}
    operands = (posix.fspath(image), arguments.absolute(bundle))
    return _words("bundle unpack", options, copy * ["--copy"], *operands), _nothing


def changes(bundle: "Path") -> "Question[list[dict[str, str]]]":
    """What containers have changed in a bundle of `unpack`: {"kind": "A", "C" or "D", "path"}, by path.

    A path that is not UTF-8 also has its "bytes", in hexadecimal digits.
    """
    import json

    return _words("bundle diff", {"format": "json"}, [], arguments.absolute(bundle)), json.loads


def commit(
    bundle: "Path",
    image: "Path",
    *,
    base: "Path | None" = None,
    root: "Path | None" = None,
    compress: str = "gzip",
    timestamp: "int | None" = None,
    author: str = "",
    message: str = "",
) -> "Question[str]":
    """Write what containers have changed in a bundle as a layer of a new image. Returns the digest of its manifest.

    ``image``: LAYOUT[:TAG]. ``base``: the layout with the image's own layers. ``root``: the directory of the containers' state: a
    bundle in which one of them runs is refused. ``compress``: "gzip", "zstd" or "none". ``timestamp``: seconds since 1970, the time
    of the image and the latest of its files'.
    """
    options = {
        "base": arguments.optional(base),
        "root": arguments.optional(root),
        "compress": compress,
        "timestamp": timestamp,
        "author": author,
        "message": message,
    }
    operands = (arguments.absolute(bundle), posix.fspath(image))
    return _words("bundle commit", options, [], *operands), str.strip


def prune(store: "Path | None" = None) -> "Question[list[str]]":
    """Remove the layers that no bundle needs. Returns their names (docs/images.md)."""
    return _words("bundle prune", {"store": arguments.optional(store)}, []), str.split


def _words(command: str, options: "Mapping[str, str | int | None]", more: "list[str]", *operands: str) -> "list[str]":
    given = [f"--{name}={value}" for name, value in options.items() if value not in ("", None)]
    return [*command.split(), *given, *more, "--", *operands]


def _nothing(_: str) -> None:
    return None


def named(function: "Callable[Given, Result]", ask: "Callable[Given, Question[Any]]") -> "Callable[Given, Result]":
    """The function, with the name, parameters and docstring of ``ask``, as `help` shows them."""
    import functools
    import inspect

    functools.update_wrapper(function, ask, ("__name__", "__qualname__", "__doc__"))
    answer = ask.__annotations__["return"].removeprefix("Question[").removesuffix("]")
    function.__signature__ = inspect.signature(ask).replace(return_annotation=answer)  # type: ignore[attr-defined]
    return function
