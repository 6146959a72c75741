"""``ocirun list``: the containers under --root."""

import posix

from runtime.cli import UsageError, shown, write
from runtime.errors import system_failure
from runtime.lifecycle.listing import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call
    from runtime.shapes import StateDocument

OPTIONS = (
    (("--format", "-f"), "FORMAT", "format", '"table" (default) or "json"'),
    (("--quiet", "-q"), None, "quiet", "print ids only"),
)
OPERANDS = (0, 0, "")
COLUMNS: "tuple[str, ...]" = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def main(call: "Call") -> int:
    form = call.options.get("format", "table")
    if form not in ("table", "json"):
        raise UsageError(f'--format "{form}": must be table or json')
    if call.settings.get("root"):
        try:
            posix.stat(call.root)  # without --root, a missing default directory is no error
        except OSError as error:
            raise system_failure(f"read {call.root}", error) from None
    if call.options.get("quiet"):
        from runtime.lifecycle.store import ids

        write(1, "".join(f"{id}\n" for id in ids(call.root)))
        return 0
    containers = listing(call.root, call.warn)
    if form == "table":
        write(1, _table(containers))
        return 0
    from runtime.lifecycle.document import dumps

    write(1, dumps(containers or None) + "\n")  # null for an empty list, as callers of runc expect
    return 0


def _table(containers: "list[StateDocument]") -> str:
    rows = [COLUMNS]
    for item in containers:
        cells = item["id"], item["pid"], item["status"], item["bundle"], item["created"], item["owner"]
        rows.append(tuple(shown(str(cell)) for cell in cells))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(line + "\n" for line in lines)
