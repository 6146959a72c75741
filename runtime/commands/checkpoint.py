"""``ocirun checkpoint ID``: save a running container to disk, by CRIU."""

from runtime.cli import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call
    from runtime.commands import Option
    from runtime.shapes import CheckpointOptions, CriuOptions

DEFAULT = "checkpoint"  # of --image-path, as with runc

# Those of both verbs.
SHARED: "tuple[Option, ...]" = (
    (("--image-path",), "DIR", "image_path", "directory of the images (default: ./checkpoint)"),
    (("--work-path",), "DIR", "work_path", "directory of CRIU's log and work files (default: that of the images)"),
    (("--tcp-established",), None, "tcp_established", "allow established TCP connections"),
    (("--ext-unix-sk",), None, "ext_unix_sk", "allow unix sockets whose other end is outside of the container"),
    (
        ("--shell-job",),
        None,
        "shell_job",
        "allow a session leader or a terminal outside of the container of the container",
    ),
    (("--file-locks",), None, "file_locks", "allow file locks"),
    (("--auto-dedup",), None, "auto_dedup", "keep each memory page only once in a chain of images"),
    (
        ("--lazy-pages",),
        None,
        "lazy_pages",
        "leave the memory to be fetched later, when the restored container uses it",
    ),
    (
        ("--manage-cgroups-mode",),
        "MODE",
        "manage_cgroups_mode",
        "what CRIU does about cgroups: soft (default), full, strict or ignore",
    ),
    (
        ("--network-lock",),
        "METHOD",
        "network_lock",
        "how CRIU holds packets back: iptables (default), nftables or skip",
    ),
    (("--empty-ns",), "TYPE...", "empty_ns", '"network", whose content CRIU never saves: accepted for compatibility'),
    (("--criu",), "PROGRAM", "criu", "CRIU's program (default: criu in PATH)"),
)
OPTIONS: "tuple[Option, ...]" = (
    *SHARED,
    (("--parent-path",), "DIR", "parent_path", "images of an earlier --pre-dump, relative to --image-path"),
    (("--leave-running",), None, "leave_running", "let the container go on, and keep it"),
    (("--pre-dump",), None, "pre_dump", "save only the memory, and let the container go on"),
    (("--tcp-skip-in-flight",), None, "tcp_skip_in_flight", "leave out TCP connections that are not accepted yet"),
    (("--link-remap",), None, "link_remap", "allow open files without a name, by linking them for a time"),
    (("--status-fd",), "N", "status_fd", "write a NUL byte to descriptor N once --lazy-pages can be served"),
    (("--page-server",), "ADDRESS:PORT", "page_server", "send the memory to a page server, or serve lazy pages there"),
)
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    from runtime.lifecycle.checkpoint import checkpoint

    options: CheckpointOptions = {"interruptible": True, **call.options}  # type: ignore[typeddict-item]
    settle(call, options)
    checkpoint(call.root, call.operands[0], options, call.warn)
    return 0


def settle(call: "Call", options: "CriuOptions") -> None:
    """Make the paths absolute: they are from the working directory. Take over the global options."""
    options["image_path"] = absolute(options.get("image_path") or DEFAULT)
    if options.get("work_path"):
        options["work_path"] = absolute(options["work_path"])
    if call.settings.get("criu"):
        options.setdefault("criu", call.settings["criu"])
    if call.settings.get("debug"):
        options["debug"] = call.debug
    if call.settings.get("root"):
        call.settings["root"] = absolute(call.settings["root"])
