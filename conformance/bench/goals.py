"""What the medians should be beside the peers', and whether they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

PEERS = ("crun", "runc")
CONFIGS = ("podman", "spec")
Limits = tuple[float, float]

# command -> config -> at most this many times the median of crun, of runc
GOALS: dict[str, dict[str, Limits]] = {
    "state": {"podman": (0.65, 0.45), "spec": (0.65, 0.45)},
    "start": {"podman": (0.65, 0.45), "spec": (0.65, 0.45)},
    "kill": {"podman": (0.65, 0.45), "spec": (0.65, 0.45)},
    "delete": {"podman": (0.75, 0.55), "spec": (0.75, 0.55)},
    "create": {"podman": (0.30, 0.22), "spec": (0.85, 0.40)},
    "exec": {"podman": (0.45, 0.17), "spec": (1.0, 0.28)},
    "run": {"podman": (0.35, 0.25), "spec": (0.7, 0.35)},
    "cycle": {"podman": (0.42, 0.30), "spec": (0.65, 0.45)},
}
GOALS |= {
    f"{command} {kind}": GOALS[command] for kind in ("alone", "in a row") for command in ("create", "exec", "run")
}
INTERFACE_GOAL = 0.35
"""The cycle in one process, relative to crun's by command line."""
FLOOR = "python3 -I -S -c pass"

LookUp = Callable[[str, str, str], dict[str, Any] | None]
"""(config, command, runtime) -> row of bench.json"""


HEAD = ["", "/ crun at most", "measured", "met", "/ runc at most", "measured", "met"]


def rows(look_up: LookUp) -> Iterator[list[str]]:
    """A row a command and config, as HEAD says. The last is no goal: it is what an idle interpreter costs here."""
    for command, by_config in GOALS.items():
        for config, limits in by_config.items():
            own = look_up(config, command, "ocirun")
            cells = [f"`{command}` on {config}"]
            for peer, limit in zip(PEERS, limits, strict=True):
                cells += judged(own, look_up(config, command, peer), limit)
            if any(cells[1:]):
                yield cells
    own, other = look_up("podman", "cycle", "ocirun API"), look_up("podman", "cycle", "crun")
    if own and other:
        yield ["Python API cycle on podman", *judged(own, other, INTERFACE_GOAL), "", "", ""]
    floor = look_up("floor", FLOOR, "python")
    if floor:
        yield [
            f"for information: `{FLOOR}`, ms",
            "",
            f"{floor['median_ms']:.1f} ({floor['min_ms']:.1f})",
            "",
            "",
            "",
            "",
        ]


def judged(own: dict[str, Any] | None, other: dict[str, Any] | None, limit: float) -> list[str]:
    """The limit, the ratio of the medians, whether it is met; empty where one was not measured."""
    if not own or not other:
        return ["", "", ""]
    ratio = own["median_ms"] / other["median_ms"]
    return [f"{limit:.2f}", f"{ratio:.2f}", "yes" if ratio <= limit else "no"]
