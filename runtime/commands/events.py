"""The command line of ``ocirun events ID``: statistics and out-of-memory events, one JSON document per line."""

from runtime.cli import UsageError, write
from runtime.lifecycle import events
from runtime.lifecycle.document import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    (("--stats",), None, "stats", "print the statistics once"),
    (("--interval",), "DURATION", "interval", "time between statistics, such as 500ms, 5s or 1m (default 5s)"),
)
OPERANDS = (1, 1, "CONTAINER")
DEFAULT = "5s"
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def main(call: "Call") -> int:
    interval = duration(call.options.get("interval", DEFAULT))
    id = call.operands[0]
    if call.options.get("stats"):
        write(1, dumps({"type": "stats", "id": id, "data": events.statistics(call.root, id)}) + "\n")
        return 0
    for event in events.stream(call.root, id, interval):
        write(1, dumps(event) + "\n")
    return 0


def duration(text: str) -> float:
    """A duration such as 1m30s or 500ms in seconds; a bare number is seconds. UsageError unless above 0."""
    total, rest = 0.0, text if not text.isdigit() else text + "s"
    while rest:
        length = next((at for at, letter in enumerate(rest) if letter not in "0123456789."), 0)
        unit = next((name for name in UNITS if rest[length:].startswith(name)), "")
        try:
            total += float(rest[:length]) * UNITS[unit]
        except (ValueError, KeyError):
            total = 0.0
            break
        rest = rest[length + len(unit) :]
    if total <= 0:
        raise UsageError(f'--interval "{text}": must be a duration above 0, such as 500ms, 5s or 1m')
    return total
