"""--seccomp-explain of run and exec: its lines, on standard error. Cold."""

import posix

from runtime.cli import UsageError, shown, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import CreateOptions, ExecOptions


def explain(options: "CreateOptions | ExecOptions") -> None:
    """Complete the options for --seccomp-explain. UsageError with --detach."""
    if options.get("detach"):
        raise UsageError("--seccomp-explain tells while it waits: it cannot be given with --detach")
    options["explain"] = write_line


def write_line(text: str) -> None:
    """Write one line. The terminal may be raw: then nobody but us turns its end into what the terminal needs."""
    write(2, shown(text) + ("\r\n" if posix.isatty(2) else "\n"))
