"""Images and bundles: what `ocirun bundle` does. The command runs in a process of its own, since it changes its umask and, for
an ordinary user, becomes another in a user namespace.
"""

import posix

from runtime.api import arguments
from runtime.api.outcome import ERRORS
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.api.arguments import Path

__all__ = ["changes", "commit", "prune", "unpack"]

START = "import json, os, sys; sys.path[:] = json.loads(sys.argv[1]); from runtime.cli import main; os._exit(main(sys.argv[2:]))"
WARNING = "ocirun: warning: "


def unpack(
    image: "Path",
    bundle: "Path",
    *,
    store: "Path | None" = None,
    platform: str = "",
    copy: bool = False,
    max_size: "int | None" = None,
) -> None:
    """Make a bundle of an image: ``image`` is LAYOUT[:TAG], an OCI layout or an archive of docker save.

    ``store``: the layers' directory. ``platform``: OS/ARCHITECTURE[/VARIANT]. ``copy``: all files go into the bundle, which then
    needs no overlayfs. ``max_size``: refuse an image with more bytes.
    """
    options = {"store": arguments.optional(store), "platform": platform, "max-size": max_size}
    _run("bundle unpack", options, copy * ["--copy"], posix.fspath(image), arguments.absolute(bundle))


def changes(bundle: "Path") -> "list[dict[str, str]]":
    """What containers have changed in a bundle of `unpack`: {"kind": "A", "C" or "D", "path"}, by path.

    A path that is not UTF-8 also has its "bytes", in hexadecimal digits.
    """
    import json

    found: list[dict[str, str]] = json.loads(_run("bundle diff", {"format": "json"}, [], arguments.absolute(bundle)))
    return found


def commit(
    bundle: "Path",
    image: "Path",
    *,
    base: "Path | None" = None,
    compress: str = "gzip",
    timestamp: "int | None" = None,
    author: str = "",
    message: str = "",
) -> str:
    """Write what containers have changed in a bundle as a layer of a new image. Returns the digest of its manifest.

    ``image``: LAYOUT[:TAG]. ``base``: the layout with the image's own layers. ``compress``: "gzip", "zstd" or "none".
    ``timestamp``: seconds since 1970, the time of the image and the latest of its files'.
    """
    options = {"base": arguments.optional(base), "compress": compress, "author": author, "message": message}
    more = [] if timestamp is None else [f"--timestamp={timestamp}"]
    return _run("bundle commit", options, more, arguments.absolute(bundle), posix.fspath(image)).strip()


def prune(store: "Path | None" = None) -> "list[str]":
    """Remove the layers that no bundle needs. Returns their diff_ids."""
    return _run("bundle prune", {"store": arguments.optional(store)}, []).split()


def _run(command: str, options: "Mapping[str, str | int | None]", more: "list[str]", *operands: str) -> str:
    """What the command prints. Its warnings become ours, its error an OcirunError."""
    import json
    import os
    import subprocess
    import sys

    log = os.memfd_create("ocirun-log")
    try:
        given = [f"--{name}={value}" for name, value in options.items() if value not in ("", None)]
        words = [f"--log=/proc/self/fd/{log}", "--log-format=json", *command.split(), *given, *more, "--", *operands]
        done = subprocess.run(
            [sys.executable, "-I", "-c", START, json.dumps(sys.path), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            pass_fds=[log],
            check=False,
        )
        lines = os.pread(log, 1 << 20, 0).splitlines()
    except OSError as error:
        raise OcirunError(f"{command}: {(error.strerror or '').lower()}") from None
    finally:
        os.close(log)
    for line in done.stderr.splitlines():
        if line.startswith(WARNING):
            arguments.warn(line.removeprefix(WARNING))
    if done.returncode:
        raise _failure(command, done.returncode, json.loads(lines[-1]) if lines else {})
    return done.stdout


def _failure(command: str, status: int, told: "Mapping[str, str]") -> OcirunError:
    """``told``: the error's line in the log, {} if the command was killed before it wrote one."""
    import errno

    message = told.get("msg") or f"{command} ended with status {status}"
    number = getattr(errno, told.get("errno", ""), None)
    return ERRORS.get(told.get("code", ""), OcirunError)(message, told.get("pointer"), None, number)
