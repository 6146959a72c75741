"""``ocirun restore ID``: make a container again from the images of a checkpoint and its bundle."""

from runtime.commands.checkpoint import SHARED, settle
from runtime.commands.create import enter_bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call
    from runtime.commands import Option
    from runtime.shapes import RestoreOptions

OPTIONS: "tuple[Option, ...]" = (
    (
        ("--bundle", "-b"),
        "DIR",
        "bundle",
        "directory with config.json and the root file system (default: the current directory)",
    ),
    *SHARED,
    (("--detach", "-d"), None, "detach", "return once the program runs; the container must be deleted by hand"),
    (("--pid-file",), "FILE", "pid_file", "write the pid of the container's first process to FILE"),
    (("--console-socket",), "SOCKET", "console_socket", "AF_UNIX socket that receives the terminal's master end"),
    (("--tcp-close",), None, "tcp_close", "restore established TCP connections as closed ones"),
    (("--lsm-profile",), "TYPE:NAME", "lsm_profile", "another profile (apparmor:NAME) or label (selinux:LABEL)"),
    (("--lsm-mount-context",), "LABEL", "lsm_mount_context", "another SELinux context for the mounts that have one"),
    (("--no-pivot",), None, "no_pivot", "refused: CRIU always uses pivot_root(2)"),
    (("--no-subreaper",), None, "no_subreaper", "ignored: ocirun never becomes a subreaper"),
)
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    from runtime.lifecycle.restore import restore

    settle(call, call.options)  # type: ignore[arg-type]  # the keys of OPTIONS
    options: RestoreOptions = enter_bundle(call)  # type: ignore[assignment]
    return restore(call.root, call.operands[0], options, call.warn)
