"""The charts of the pages, as SVG: bars and lines on an opaque ground, with a second set of colours for dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, BAR, GAP = 860, 120, 70, 11, 12
FONT = "font-family='system-ui, sans-serif'"
# The attributes of each element are for light pages; a rule of the style takes precedence over them.
STYLE = (
    "<style>@media (prefers-color-scheme: dark) { .ground { fill: #0d1117 } .ink { fill: #e6edf3 }"
    " .rule { stroke: #30363d } .tick { stroke: #0d1117 } .mark { stroke: #e6edf3 } }</style>"
)


@dataclass
class Bar:
    parts: Sequence[tuple[str, float]]
    """(colour, value), one after another; one part makes a plain bar."""
    label: str
    """What is written at its end."""
    title: str
    """What a reader sees who points at it."""
    tick: float | None = None
    """A value to mark within the bar."""
    mark: float | None = None
    """A value to mark across the bar, which may lie beyond it."""


def text(x: float, y: float, words: str, size: int, anchor: str = "start", weight: str = "400") -> str:
    return (
        f"<text class='ink' x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' font-weight='{weight}' fill='#24292f'"
        f" text-anchor='{anchor}'>{escape(words)}</text>"
    )


def rule(x1: float, y1: float, x2: float, y2: float, kind: str = "rule") -> str:
    colour, width = {"rule": ("#d8dee4", 1.0), "tick": ("#ffffff", 1.5), "mark": ("#24292f", 2.0)}[kind]
    return (
        f"<line class='{kind}' x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
        f" stroke='{colour}' stroke-width='{width}'/>"
    )


def steps(most: float) -> list[float]:
    """Round values from 0 to at most `most`, no more than eleven."""
    sizes = [base * 10.0**power for power in range(-3, 7) for base in (1, 2, 5)]
    size = next(size for size in sizes if most / size <= 10)
    return [size * number for number in range(int(most / size) + 1)]


def legend(y: float, colours: Mapping[str, str]) -> list[str]:
    """Names with a square of their colour, to the left of the right edge."""
    widths = {name: 32 + 8 * len(name) for name in colours}
    x = WIDTH - 16 - sum(widths.values())
    found = []
    for name, colour in colours.items():
        found.append(f"<rect x='{x}' y='{y - 10:.1f}' width='12' height='12' rx='2' fill='{colour}'/>")
        found.append(text(x + 17, y, name, 12))
        x += widths[name]
    return found


def bar(y: float, one: Bar, scale: float) -> Iterator[str]:
    x = float(LEFT)
    for colour, value in one.parts:
        yield (
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(0.0, value) * scale:.1f}' height='{BAR - 1}' rx='1'"
            f" fill='{colour}'><title>{escape(one.title)}</title></rect>"
        )
        x += max(0.0, value) * scale
    if one.tick is not None:
        yield rule(LEFT + one.tick * scale, y, LEFT + one.tick * scale, y + BAR - 1, "tick")
    if one.mark is not None:
        yield rule(LEFT + one.mark * scale, y - 3, LEFT + one.mark * scale, y + BAR + 2, "mark")
        x = max(x, LEFT + one.mark * scale)
    yield text(x + 4, y + BAR - 2, one.label, 10)


def bars(y: float, title: str, groups: Sequence[tuple[str, Sequence[Bar]]], unit: str) -> tuple[list[str], float]:
    """A panel of horizontal bars, a group a label, and the y below it. unit: what the axis counts."""
    every = [one for _, group in groups for one in group]
    most = max(max(sum(value for _, value in one.parts), one.mark or 0) for one in every)
    scale = (WIDTH - LEFT - RIGHT) / (most or 1)
    body = [text(16, y, title, 14, weight="600")]
    y += 14
    top, drawn = y, []
    for label, group in groups:
        drawn.append(text(LEFT - 8, y + BAR * len(group) / 2 + 4, label, 12, anchor="end"))
        for one in group:
            drawn.extend(bar(y, one, scale))
            y += BAR
        y += GAP
    bottom = y - GAP + 4
    for value in steps(most):
        x = LEFT + value * scale
        body.append(rule(x, top - 4, x, bottom))
        body.append(text(x, bottom + 13, f"{value:g}", 10, anchor="middle"))
    body.append(text(WIDTH - 16, bottom + 27, unit, 11, anchor="end"))
    return [*body, *drawn], bottom + 60


Line = tuple[str, Sequence[tuple[float, float]]]
"""Its colour, and its points."""


def lines(y: float, title: str, drawn: Sequence[Line], units: tuple[str, str]) -> tuple[list[str], float]:
    """A panel of lines from (0, 0) on, and the y below it. units: what the axes count, x and y."""
    height = 240
    most_x = max(x for _, points in drawn for x, _ in points) or 1
    most_y = max(value for _, points in drawn for _, value in points) or 1
    across, up = (WIDTH - LEFT - RIGHT) / most_x, height / most_y
    body = [text(16, y, title, 14, weight="600")]
    top, bottom = y + 28, y + 28 + height
    for value in steps(most_y):
        level = bottom - value * up
        body.append(rule(LEFT, level, WIDTH - RIGHT, level))
        body.append(text(LEFT - 8, level + 4, f"{value:g}", 10, anchor="end"))
    for value in steps(most_x):
        body.append(rule(LEFT + value * across, bottom, LEFT + value * across, bottom + 4))
        body.append(text(LEFT + value * across, bottom + 16, f"{value:g}", 10, anchor="middle"))
    body.append(text(LEFT - 8, top - 2, units[1], 11, anchor="end"))
    body.append(text(WIDTH - 16, bottom + 31, units[0], 11, anchor="end"))
    for colour, points in drawn:
        path = " ".join(f"{LEFT + x * across:.1f},{bottom - value * up:.1f}" for x, value in points)
        body.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.5'/>")
    return body, bottom + 64


def document(height: float, label: str, body: Sequence[str]) -> str:
    size = f"width='{WIDTH}' height='{height:.0f}' viewBox='0 0 {WIDTH} {height:.0f}'"
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img' aria-label='{escape(label)}'>",
            STYLE,
            f"<rect class='ground' width='{WIDTH}' height='{height:.0f}' fill='#ffffff'/>",
            *body,
            "</svg>",
            "",
        ]
    )
