"""``ocirun doctor``: what this host can do for containers, what is missing, and how to get it. Changes nothing. Cold."""

import posix

from runtime.cli import UsageError, shown, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = ((("--format",), "FORMAT", "format", '"text" (default) or "json"'),)
OPERANDS = (0, 0, "")

COLUMNS = 100  # where the output is no terminal


def main(call: "Call") -> int:
    form = call.options.get("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f'--format "{form}": must be text or json')
    from runtime.commands.help import libseccomp
    from runtime.doctor import report

    found = report.groups(libseccomp())
    if form == "json":
        from json import dumps

        write(1, dumps(report.document(found), indent=2) + "\n")
    else:
        terminal = posix.isatty(1)
        colour = terminal and not posix.environ.get(b"NO_COLOR") and posix.environ.get(b"TERM") != b"dumb"
        for rows in found.values():
            for row in rows:
                row.subject, row.found = shown(row.subject), shown(row.found)
        write(1, report.text(found, colour, width() if terminal else COLUMNS))
    return 0 if report.usable(found) else 1


def width() -> int:
    try:
        return max(60, posix.get_terminal_size(1).columns)
    except OSError:
        return COLUMNS
