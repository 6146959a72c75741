"""The forms of --trace: JSON lines, Trace Events that Perfetto and chrome://tracing open, and a timeline as SVG. Cold.

Trace Events: the "Trace Event Format" of the Chromium project; complete events (ph "X"), times in microseconds.
"""

from errno import errorcode

from runtime.lifecycle.document import dumps
from runtime.plan import ops
from runtime.plan.explain import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Json
    from runtime.shim import Report

THREADS = {"host": 1, "container": 2}
ROW, TEXT, WIDTH, LEFT = 18, 12, 1000, 620  # of the timeline, in pixels
LABEL = 88  # characters
COLOURS = {"host": "#c77d20", "container": "#3b78b5", "failed": "#c0392b"}


def form(path: str, operations: "Sequence[ops.Operation]", reports: "Sequence[Report]") -> str:
    """The trace, in the form that the file's name asks for: .json, .svg, or else JSON lines."""
    if path.endswith(".json"):
        return events(operations, reports)
    if path.endswith(".svg"):
        return timeline(operations, reports)
    return lines(operations, reports)


def lines(operations: "Sequence[ops.Operation]", reports: "Sequence[Report]") -> str:
    """One line per operation: index, op, start_ns and end_ns (CLOCK_MONOTONIC), errno (0: done)."""
    return "".join(
        dumps(
            {"index": r.index, "op": name(operations[r.index]), "start_ns": r.start, "end_ns": r.end, "errno": r.error}
        )
        + "\n"
        for r in reports
    )


def name(operation: "ops.Operation") -> str:
    return ops.TABLE[operation[0]][0]


def side(operation: "ops.Operation") -> str:
    return "host" if operation[1] == ops.HOST else "container"


def events(operations: "Sequence[ops.Operation]", reports: "Sequence[Report]") -> str:
    """Trace Events: a process with two threads, one for each side."""
    found: list[Json] = [{"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "ocirun"}}]
    found += [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": {"name": who}}
        for who, number in THREADS.items()
    ]
    for report in reports:
        operation = operations[report.index]
        arguments: dict[str, Json] = {"index": report.index, "what": sentence(operation)}
        if operation[2]:
            arguments["pointer"] = operation[2]
        if report.error:
            arguments["errno"] = errorcode.get(report.error, report.error)
        found.append(
            {
                "name": name(operation),
                "cat": side(operation),
                "ph": "X",
                "ts": report.start / 1000,
                "dur": (report.end - report.start) / 1000,
                "pid": 1,
                "tid": THREADS[side(operation)],
                "args": arguments,
            }
        )
    return dumps({"traceEvents": found, "displayTimeUnit": "ms"}) + "\n"


def timeline(operations: "Sequence[ops.Operation]", reports: "Sequence[Report]") -> str:
    """A picture: a row for each operation, with its sentence, its bar and its time; the one that failed is red."""
    begin = min((report.start for report in reports), default=0)
    whole = max(max((report.end for report in reports), default=0) - begin, 1)
    height = ROW * (len(reports) + 2)
    size = f'width="{LEFT + WIDTH + 90}" height="{height}" font-family="sans-serif" font-size="{TEXT}"'
    sides = "the host's side", "init in the container"
    legend = ", ".join(
        f'<tspan fill="{COLOURS[who]}">{words}</tspan>' for who, words in zip(THREADS, sides, strict=True)
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="{ROW - 5}">{whole / 1e6:.2f} ms in all: {legend}</text>',
    ]
    for row, report in enumerate(reports, 1):
        operation = operations[report.index]
        colour = COLOURS["failed" if report.error else side(operation)]
        start, length = (report.start - begin) * WIDTH / whole, (report.end - report.start) * WIDTH / whole
        took = f"{(report.end - report.start) / 1e6:.3f} ms" + (
            f", {errorcode.get(report.error)}" if report.error else ""
        )
        text, top = sentence(operation), row * ROW
        label = text if len(text) <= LABEL else text[: LABEL - 1] + "…"
        full = _escaped(f"{report.index} {text}{f' [{operation[2]}]' if operation[2] else ''}: {took}")
        parts += [
            f"<g><title>{full}</title>",
            f'<text x="{LEFT - 8}" y="{top + ROW - 5}" text-anchor="end">{_escaped(label)}</text>',
            f'<rect x="{LEFT + start:.1f}" y="{top + 2}" width="{max(length, 1):.1f}" height="{ROW - 4}" fill="{colour}"/>',
            f'<text x="{LEFT + start + max(length, 1) + 4:.1f}" y="{top + ROW - 5}" fill="#555">{_escaped(took)}</text></g>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _escaped(text: str) -> str:
    """As the content of an XML element; what XML cannot have becomes a question mark."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
