"""The command line of ``ocirun bundle``: images become bundles, and what containers change becomes images."""

import posix

from runtime import files
from runtime.cli import UsageError, absolute, shown, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call
    from runtime.images.caller import Caller
    from runtime.images.progress import Progress

_STORE = (
    ("--store",),
    "DIR",
    "store",
    "the layers' directory (default: /var/lib/ocirun, or a directory of the user's)",
)
_DIGITS = 11  # of a time: until the year 5138
OPTIONS = {
    "bundle unpack": (
        _STORE,
        (("--platform",), "PLATFORM", "platform", "OS/ARCHITECTURE[/VARIANT] of the image (default: this machine's)"),
        (("--copy",), None, "copy", "copy all files into the bundle's rootfs, which then needs no overlayfs"),
        (
            ("--max-size",),
            "BYTES",
            "max_size",
            "refuse an image with more; k, M, G, T may follow (default: what is free, and 200 times the layers' size)",
        ),
    ),
    "bundle prune": (_STORE,),
    "bundle diff": ((("--format",), "text|json", "format", "lines as of `docker diff` (default), or JSON"),),
    "bundle commit": (
        (
            ("--base",),
            "LAYOUT",
            "base",
            "where the image's own layers are (default: LAYOUT, or where they were unpacked from)",
        ),
        (("--compress",), "gzip|zstd|none", "compress", "how the new layer is compressed (default: gzip)"),
        (
            ("--timestamp",),
            "SECONDS",
            "timestamp",
            "the time of the image, and the latest of its files' (default: SOURCE_DATE_EPOCH, else now)",
        ),
        (("--author",), "NAME", "author", "the author of the image"),
        (("--message", "-m"), "TEXT", "message", "a comment in the image's history"),
    ),
}
OPERANDS = {
    "bundle unpack": (2, 2, "LAYOUT[:TAG] BUNDLE"),
    "bundle prune": (0, 0, ""),
    "bundle diff": (1, 1, "BUNDLE"),
    "bundle commit": (2, 2, "BUNDLE LAYOUT[:TAG]"),
}


def main(call: "Call") -> int:
    from runtime.images.caller import Caller
    from runtime.images.store import default_path

    caller = Caller()
    if call.command in ("bundle diff", "bundle commit"):
        return (_diff if call.command == "bundle diff" else _commit)(call, caller)
    store = absolute(call.options["store"]) if call.options.get("store") else default_path(caller.is_host_root)
    return _prune(call, caller, store) if call.command == "bundle prune" else _unpack(call, caller, store)


def _unpack(call: "Call", caller: "Caller", store: str) -> int:
    from runtime.images import budget
    from runtime.images.unpack import Request, unpack

    request = Request(call.operands[0], absolute(call.operands[1]), store)
    request.copy = call.options.get("copy", False)
    request.platform = call.options.get("platform", "")
    if "max_size" in call.options:
        request.most = budget.size(call.options["max_size"])
        if request.most is None:
            raise UsageError(f'--max-size "{call.options["max_size"]}": must be bytes, as 512, 64k, 10M or 2G')
    progress = _progress(call)
    unpack(request, caller, progress.above(call.warn), progress)
    return 0


def _prune(call: "Call", caller: "Caller", path: str) -> int:
    """Print the names of the layers that were removed."""
    from runtime.images.prune import prune
    from runtime.images.store import open_store

    if not posix.access(path, posix.F_OK):
        return 0  # nothing was ever unpacked
    caller.enter()
    for layer in prune(open_store(path, caller.rights(call.warn).form), call.warn):
        write(1, f"{layer}\n")
    return 0


def _diff(call: "Call", caller: "Caller") -> int:
    """Print what the container has changed, by path."""
    from runtime.images.bundles import container, facts
    from runtime.lifecycle.document import indented

    form = call.options.get("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f'--format "{form}": must be text or json')
    path = files.clean(absolute(call.operands[0]))
    known = facts.facts_of(path)
    caller.enter()
    opened = container.open_container(path, known, caller.rights(call.warn).form)
    rows = sorted((b"/" + b"/".join(each.path), each.kind) for each in opened.changes() if each.kind)
    opened.close()
    if form == "json":
        write(1, indented([_row(kind, name) for name, kind in rows]) + "\n")
    else:
        named = [(kind, name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")) for name, kind in rows]
        write(1, "".join(f"{kind} {shown(name)}\n" for kind, name in named))
    return 0


def _row(kind: str, name: bytes) -> "dict[str, str]":
    """A change as JSON. ``bytes``, in hexadecimal digits: the path that is no text."""
    text = name.decode("utf-8", "backslashreplace")
    return {"kind": kind, "path": text, **({} if text.encode() == name else {"bytes": name.hex()})}


def _commit(call: "Call", caller: "Caller") -> int:
    """Print the digest of the new image's manifest."""
    from runtime.images.bundles import container, facts
    from runtime.images.commit import COMPRESSIONS, Request, commit

    path = files.clean(absolute(call.operands[0]))
    request = Request(call.operands[1])
    request.base = call.options.get("base", "")
    request.compression = call.options.get("compress", COMPRESSIONS[0])
    if request.compression not in COMPRESSIONS:
        raise UsageError(f'--compress "{request.compression}": must be gzip, zstd or none')
    request.latest = _seconds(call)
    request.author, request.message = (call.options.get(name, "") for name in ("author", "message"))
    known = facts.facts_of(path)
    container.check_still(call.root, path)
    caller.enter()
    posix.umask(0o022)
    opened = container.open_container(path, known, caller.rights(call.warn).form)
    progress = _progress(call)
    try:
        digest = commit(opened, request, progress.above(call.warn), progress)
    finally:
        progress.end()
    write(1, digest + "\n")
    opened.close()
    return 0


def _seconds(call: "Call") -> "int | None":
    epoch = posix.environ.get(b"SOURCE_DATE_EPOCH", b"").decode(errors="replace")
    name, text = (
        ("--timestamp", call.options["timestamp"]) if "timestamp" in call.options else ("SOURCE_DATE_EPOCH", epoch)
    )
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS:
        raise UsageError(f'{name} "{text}": must be seconds since 1970')
    return int(text)


def _progress(call: "Call") -> "Progress":
    """A bar if standard error is a terminal, and nothing else is written there."""
    from runtime.images.progress import Progress

    bar = posix.isatty(2) and posix.environ.get(b"TERM") != b"dumb" and not call.settings.get("log")
    debugs = call.settings.get("debug")
    return Progress((lambda text: write(2, text)) if bar and not debugs else None, call.debug)
