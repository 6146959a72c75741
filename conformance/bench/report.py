"""The bench's result as JSON, as a page with tables, and as a chart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

Result = dict[str, Any]

COMMANDS = ("create", "start", "state", "exec", "kill", "delete", "run", "cycle")
COLOURS = {"ocirun": "#1f6feb", "crun": "#8c959f", "runc": "#c69026", "ocirun API": "#79b8ff"}
TITLES = {"spec": "the bundle of `ocirun spec`", "podman": "Podman's config, with its seccomp profile"}
FLOOR = "python3 -I -S -c pass"

# (config, command, peer, at most this many times the peer's median)
GOALS = (
    ("podman", "run", "runc", 0.5),
    ("podman", "run", "crun", 0.8),
    ("podman", "exec", "runc", 0.4),
    ("podman", "cycle", "runc", 0.75),
    ("podman", "cycle", "crun", 1.0),
    ("podman", "start", "runc", 1.5),
    ("podman", "state", "runc", 1.8),
    ("podman", "kill", "runc", 1.8),
    ("spec", "run", "runc", 0.5),
    ("spec", "run", "crun", 1.4),
)
INTRODUCTION = """\
Made by `make bench`. Milliseconds of wall time, medians with the minimum in brackets; the runtimes are called in
turn, in one run, on the same bundle. `cycle` is create + start + kill + delete. Validation is always on.
"""
OVER_FLOOR_MS = 2.5
"""`start`, `state` and `kill` may take so much longer than an interpreter that does nothing."""
INTERFACE_GOAL = 0.35
"""The cycle in one process, in times of crun's by command line."""


def write(result: Result, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    (directory / "bench.md").write_text(markdown(result))
    (directory / "bench.svg").write_text(chart(result))


def look_up(result: Result, config: str, command: str, runtime: str) -> dict[str, Any] | None:
    for row in result["rows"]:
        if (row["config"], row["command"], row["runtime"]) == (config, command, runtime):
            found: dict[str, Any] = row
            return found
    return None


def runtimes(result: Result) -> list[str]:
    present = {row["runtime"] for row in result["rows"]}
    return [name for name in COLOURS if name in present]


def configs(result: Result) -> list[str]:
    present = {row["config"] for row in result["rows"]}
    return [name for name in TITLES if name in present]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows]) + "\n"


def times(result: Result, config: str) -> str:
    """Median (minimum) of each command and runtime, and ocirun's ratio to each peer."""
    names = runtimes(result)
    peers = [name for name in names if not name.startswith("ocirun")]
    rows = []
    for command in COMMANDS:
        cells = [f"`{command}`"]
        for name in names:
            row = look_up(result, config, command, name)
            cells.append(f"{row['median_ms']:.1f} ({row['min_ms']:.1f})" if row else "")
        own = look_up(result, config, command, "ocirun")
        for peer in peers:
            row = look_up(result, config, command, peer)
            cells.append(f"{own['median_ms'] / row['median_ms']:.2f}" if own and row else "")
        rows.append(cells)
    return table(["", *names, *(f"ocirun / {peer}" for peer in peers)], rows)


def goals(result: Result) -> Iterator[list[str]]:
    """A row a goal: what, the limit, the figure, whether it is met."""
    for config, command, peer, limit in GOALS:
        own, other = (look_up(result, config, command, name) for name in ("ocirun", peer))
        if own and other:
            ratio = own["median_ms"] / other["median_ms"]
            yield goal_row(f"`{command}` on {config}, times {peer}", f"{limit:.2f}", f"{ratio:.2f}", ratio <= limit)
    floor = look_up(result, "floor", FLOOR, "python")
    for command in ("start", "state", "kill"):
        own = look_up(result, "podman", command, "ocirun")
        if own and floor:
            over = own["median_ms"] - floor["median_ms"]
            yield goal_row(f"`{command}`, ms over `{FLOOR}`", f"{OVER_FLOOR_MS}", f"{over:.1f}", over <= OVER_FLOOR_MS)
    own, other = look_up(result, "podman", "cycle", "ocirun API"), look_up(result, "podman", "cycle", "crun")
    if own and other:
        ratio = own["median_ms"] / other["median_ms"]
        yield goal_row("Python API cycle, times crun", f"{INTERFACE_GOAL}", f"{ratio:.2f}", ratio <= INTERFACE_GOAL)


def goal_row(what: str, limit: str, figure: str, met: bool) -> list[str]:
    return [what, limit, figure, "yes" if met else "no"]


def markdown(result: Result) -> str:
    floor = look_up(result, "floor", FLOOR, "python")
    parts = [
        "# Bench\n",
        INTRODUCTION,
        f"{result['date']}; " + ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + "\n",
        "![medians](bench.svg)\n",
    ]
    for config in configs(result):
        row = look_up(result, config, "run", "ocirun")
        parts.append(f"## {config}: {TITLES[config]}" + (f", n = {row['n']}" if row else "") + "\n")
        parts.append(times(result, config))
    if floor:
        parts.append(f"`{FLOOR}` in the same run: {floor['median_ms']:.1f} ({floor['min_ms']:.1f}).\n")
    parts.append("## Goals\n")
    parts.append(table(["", "at most", "measured", "met"], list(goals(result))))
    parts.extend(extras(result))
    return "\n".join(parts)


def extras(result: Result) -> Iterator[str]:
    """Memory, instructions and imports, as far as they were measured."""
    if "memory" in result:
        yield "## Memory\n"
        yield table(
            ["", "created container, Pss (KiB)", "least limit in which /bin/true runs 20 of 20 times (KiB)"],
            [
                [name, str(row["created_pss_kib"]), str(row["least_limit_kib"] or "none tried")]
                for name, row in result["memory"].items()
            ],
        )
    counted = {row["command"]: row["instructions"] for row in result["rows"] if row["instructions"]}
    if counted:
        yield "## Instructions of the interpreter\n"
        yield (
            "Counted by callgrind on the spec bundle. It cannot start a program from a memfd: create, exec and run are\n"
            "counted up to the start of init.\n"
        )
        yield table(["", "millions"], [[f"`{name}`", f"{count / 1e6:.1f}"] for name, count in counted.items()])
    if "imports" in result:
        yield "## Modules that each command loads\n"
        rows = [[f"`{name}`", str(len(modules)), " ".join(modules)] for name, modules in result["imports"].items()]
        yield table(["", "number", "modules beyond the bare interpreter's"], rows).replace("---: |\n", "--- |\n", 1)


# The chart

WIDTH, LEFT, BAR, GAP, TOP = 860, 110, 11, 12, 64
FONT = "font-family='system-ui, sans-serif'"


def chart(result: Result) -> str:
    """Horizontal bars of the medians, a group a command, a panel a config; a line marks each minimum."""
    names = runtimes(result)
    panels = configs(result)
    top_value = max(row["median_ms"] for row in result["rows"] if row["config"] in panels)
    scale = (WIDTH - LEFT - 70) / top_value
    body: list[str] = []
    y = TOP
    for config in panels:
        body.append(text(16, y, f"{config}: {TITLES[config]}".replace("`", ""), 14, weight="600"))
        y += 14
        start = y
        groups: list[str] = []
        for command in COMMANDS:
            rows = [(name, look_up(result, config, command, name)) for name in names]
            present = [(name, row) for name, row in rows if row]
            height = BAR * len(present)
            groups.append(text(LEFT - 8, y + height / 2 + 4, command, 12, anchor="end"))
            for name, row in present:
                groups.append(bar(y, row, scale, name))
                y += BAR
            y += GAP
        body.extend(grid(start - 4, y - GAP + 4, top_value, scale))
        body.extend(groups)
        y += 34
    return document(y - 10, names, body)


def document(height: float, names: list[str], body: list[str]) -> str:
    legend = []
    x = WIDTH - 16 - 96 * len(names)
    for name in names:
        legend.append(f"<rect x='{x}' y='16' width='12' height='12' rx='2' fill='{COLOURS[name]}'/>")
        legend.append(text(x + 17, 26, name, 12))
        x += 96
    size = f"width='{WIDTH}' height='{height:.0f}' viewBox='0 0 {WIDTH} {height:.0f}'"
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img' aria-label='medians of each command'>",
            f"<rect width='{WIDTH}' height='{height:.0f}' fill='#ffffff'/>",
            text(16, 27, "Median wall time (ms); a tick marks the minimum", 15, weight="600"),
            *legend,
            *body,
            "</svg>",
            "",
        ]
    )


def text(x: float, y: float, words: str, size: int, anchor: str = "start", weight: str = "400") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' font-weight='{weight}' fill='#24292f'"
        f" text-anchor='{anchor}'>{escape(words)}</text>"
    )


def bar(y: float, row: dict[str, Any], scale: float, name: str) -> str:
    end = LEFT + row["median_ms"] * scale
    least = LEFT + row["min_ms"] * scale
    return (
        f"<rect x='{LEFT}' y='{y:.1f}' width='{end - LEFT:.1f}' height='{BAR - 1}' rx='1' fill='{COLOURS[name]}'>"
        f"<title>{escape(name)} {escape(row['command'])}: {row['median_ms']} ms</title></rect>"
        f"<line x1='{least:.1f}' x2='{least:.1f}' y1='{y:.1f}' y2='{y + BAR - 1:.1f}' stroke='#ffffff' stroke-width='1.5'/>"
        + text(end + 4, y + BAR - 2, f"{row['median_ms']:.1f}", 10)
    )


def grid(top: float, bottom: float, most: float, scale: float) -> list[str]:
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if most / size <= 10)
    lines = []
    value = 0
    while value <= most:
        x = LEFT + value * scale
        lines.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{top:.1f}' y2='{bottom:.1f}' stroke='#d8dee4'/>")
        lines.append(text(x, bottom + 13, str(value), 10, anchor="middle"))
        value += step
    return lines
