"""The command line of ``ocirun bundle unpack`` and ``prune``: images as bundles."""

import posix

from runtime.cli import UsageError, absolute, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.cli import Call
    from runtime.images.caller import Caller

_STORE = (
    ("--store",),
    "DIR",
    "store",
    "the layers' directory (default: /var/lib/ocirun, or a directory of the user's)",
)
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
}
OPERANDS = {
    "bundle unpack": (2, 2, "LAYOUT[:TAG] BUNDLE"),
    "bundle prune": (0, 0, ""),
}


def main(call: "Call") -> int:
    from runtime.images.caller import Caller
    from runtime.images.store import default_path

    caller = Caller()
    store = absolute(call.options["store"]) if call.options.get("store") else default_path(caller.uid)
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
    unpack(request, caller, call.warn, _progress(call))
    return 0


def _prune(call: "Call", caller: "Caller", path: str) -> int:
    """Print the diff_ids of the layers that were removed."""
    from runtime.images.prune import prune
    from runtime.images.store import open_store

    if not posix.access(path, posix.F_OK):
        return 0  # nothing was ever unpacked
    caller.enter()
    for diff_id in prune(open_store(path, caller.rights(call.warn).form)):
        write(1, f"{diff_id}\n")
    return 0


def _progress(call: "Call") -> "Callable[[str], None]":
    """Tells what is done: on a terminal by a line that the next one replaces, otherwise with --debug."""
    shown = posix.isatty(2) and not call.settings.get("log")

    def tell(text: str) -> None:
        if shown:
            write(2, f"\r\x1b[K{text}")
        elif text:
            call.debug(text)

    return tell
