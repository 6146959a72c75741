"""``ocirun create ID``: make a container from a bundle; its program runs at ``start``."""

import posix

from runtime.cli import absolute
from runtime.errors import system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from runtime.cli import Call
    from runtime.shapes import CreateOptions

    PathOption = Literal["config", "console_socket", "pid_file", "pidfd_socket", "trace"]

OPTIONS = (
    (
        ("--bundle", "-b"),
        "DIR",
        "bundle",
        "directory with config.json and the root file system (default: the current directory)",
    ),
    (("--config", "-f"), "FILE", "config", "configuration file, instead of the bundle's config.json"),
    (("--console-socket",), "SOCKET", "console_socket", "AF_UNIX socket that receives the terminal's master end"),
    (("--pid-file",), "FILE", "pid_file", "write the pid of the container's first process to FILE"),
    (
        ("--pidfd-socket",),
        "SOCKET",
        "pidfd_socket",
        "AF_UNIX socket that receives a pidfd of the container's first process",
    ),
    (("--no-pivot",), None, "no_pivot", "use MS_MOVE instead of pivot_root(2), for a root file system on a ramdisk"),
    (("--no-new-keyring",), None, "no_new_keyring", "keep the caller's session keyring"),
    (("--preserve-fds",), "N", "preserve_fds", "pass N descriptors beyond 0, 1 and 2 (and those of LISTEN_FDS)"),
    (("--no-subreaper",), None, "no_subreaper", "ignored: ocirun never becomes a subreaper"),
    (
        ("--trace",),
        "FILE",
        "trace",
        "write when each operation began and ended: a timeline (.svg), Trace Events (.json), or JSON lines",
    ),
)
OPERANDS = (1, 1, "CONTAINER")
PATHS: "tuple[PathOption, ...]" = ("config", "console_socket", "pid_file", "pidfd_socket", "trace")


def main(call: "Call") -> int:
    options = enter_bundle(call)
    from runtime.lifecycle.create import create

    create(call.root, call.operands[0], options, call.warn)
    return 0


def enter_bundle(call: "Call") -> "CreateOptions":
    """The options and settings for `create`, with absolute paths. The bundle becomes the working directory.

    So hooks start in the bundle, as with runc. OcirunError when it cannot be entered.
    """
    options: CreateOptions = {
        "cgroup_manager": call.settings.get("cgroup_manager", "cgroupfs"),
        "rootless": call.settings.get("rootless", "auto"),
        "bundle": "",
        "interruptible": True,
        **call.options,  # type: ignore[typeddict-item]  # the keys of OPTIONS
    }
    for key in PATHS:
        if options.get(key):
            options[key] = absolute(options[key])
    if call.settings.get("root"):
        call.settings["root"] = absolute(call.settings["root"])
    if call.settings.get("debug"):
        options["debug"] = call.debug
    options["bundle"] = _clean(absolute(options["bundle"]))
    try:
        posix.chdir(options["bundle"])
    except OSError as error:
        raise system_failure(f"bundle {options['bundle']}", error) from None
    return options


def _clean(path: str) -> str:
    """The path without ``.`` and doubled slashes. ``..`` stays: only the kernel knows where it leads through a link."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)
