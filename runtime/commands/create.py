"""``ocirun create ID``: make a container from a bundle; its program runs at ``start``."""

import posix

from runtime.cli import absolute
from runtime.errors import system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.cli import Call
    from runtime.shapes import CreateOptions

OPTIONS = (
    (
        ("--bundle", "-b"),
        "DIR",
        "bundle",
        "directory with config.json and the root file system (default: where you are)",
    ),
    (("--config", "-f"), "FILE", "config", "read the configuration from this file instead of the bundle's config.json"),
    (("--console-socket",), "SOCKET", "console_socket", "AF_UNIX socket that is sent the terminal's descriptor"),
    (("--pid-file",), "FILE", "pid_file", "write the pid of the container's first process here"),
    (
        ("--pidfd-socket",),
        "SOCKET",
        "pidfd_socket",
        "AF_UNIX socket that is sent a pidfd of the container's first process",
    ),
    (("--no-pivot",), None, "no_pivot", "enter the root by moving the mount, for a root file system on a ramdisk"),
    (("--no-new-keyring",), None, "no_new_keyring", "keep the caller's session keyring"),
    (("--preserve-fds",), "N", "preserve_fds", "pass N descriptors beyond 0, 1 and 2 (and those of LISTEN_FDS)"),
    (("--trace",), "FILE", "trace", "write when each operation started and ended, as JSON lines"),
)
OPERANDS = (1, 1, "CONTAINER")
PATHS = ("config", "console_socket", "pid_file", "pidfd_socket", "trace")


def main(call: "Call") -> int:
    options = placed(call)
    from runtime.lifecycle.create import create

    create(call.root, call.operands[0], options, call.warn)
    return 0


def placed(call: "Call") -> "CreateOptions":
    """The options with absolute paths, ``bundle`` among them, and the settings that matter; the working directory
    becomes the bundle.

    Hooks start in the bundle then, as they do with runc.
    """
    options: Any = {"cgroup_manager": call.settings.get("cgroup_manager", "cgroupfs")}
    options |= {"rootless": call.settings.get("rootless", "auto"), "bundle": "", "interruptible": True} | call.options
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
    result: CreateOptions = options
    return result


def _clean(path: str) -> str:
    """Without ``.`` and doubled slashes; ``..`` stays, since only the kernel knows where it leads through a link."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)
