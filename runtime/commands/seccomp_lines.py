"""The lines of `run --seccomp-explain`, on standard error. Cold."""

import posix

from runtime.cli import shown, write


def write_line(text: str) -> None:
    """Write one line. The terminal may be raw: then nobody but us turns its end into what the terminal needs."""
    write(2, shown(text) + ("\r\n" if posix.isatty(2) else "\n"))
