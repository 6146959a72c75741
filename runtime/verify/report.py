"""The output of `ocirun verify`: a table for people, or a JSON document. Pure."""

from oci_spec.positions import read as read_positions

from .check import DIFFERS, GONE, OK, UNKNOWN, VERDICTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import JsonObject
    from runtime.shapes import VerifyTitle

    from .check import Check


COLOURS = {DIFFERS: "31", GONE: "31", UNKNOWN: "33", OK: "32"}  # red, yellow, green
HEADINGS = ("VERDICT", "LINE", "POINTER", "WHAT", "EXPECTED", "ACTUAL")
LONGEST = 60  # characters of a cell


class Report:
    """``title``: the container and its config. ``notes``: what else a reader should know. ``data``: the text of the config."""

    def __init__(self, title: "VerifyTitle", notes: "Sequence[str]", data: bytes, checks: "Sequence[Check]") -> None:
        self.title = title
        self.notes = notes
        self.positions = read_positions(data)[1]
        self.checks = checks
        self.counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict in VERDICTS}

    @property
    def differs(self) -> bool:
        """Whether the container is not as its config says. What cannot be told does not count."""
        return bool(self.counts[DIFFERS] or self.counts[GONE])

    def line(self, check: "Check") -> int:
        """The line of the check's pointer, or of the nearest parent that the config has."""
        return self.positions.find(check.pointer)[0]

    def document(self) -> "JsonObject":
        """version, the title's members, notes, counts, checks."""
        rows = [check.as_dict(self.line(check)) for check in self.checks]
        return {"version": 1, **self.title, "notes": list(self.notes), "counts": self.counts, "checks": rows}

    def text(self, all: bool, colour: bool) -> str:
        """The table of what is not ok, or of ``all``, and the counts."""
        order = {verdict: index for index, verdict in enumerate(VERDICTS)}
        shown = sorted(
            (check for check in self.checks if all or check.verdict != OK), key=lambda check: order[check.verdict]
        )
        title = self.title
        name = f"container {title['id']}, process {title['pid']}" if title["id"] else f"process {title['pid']}"
        lines = [f"{name}, against {title['config']}", *(f"note: {_cut(note, 4 * LONGEST)}" for note in self.notes)]
        if shown:
            lines += ["", *self._table(shown, colour)]
        summary = ", ".join(f"{count} {verdict}" for verdict, count in reversed(self.counts.items()) if count)
        return "\n".join([*lines, "", summary or "nothing to compare"]) + "\n"

    def _table(self, checks: "Sequence[Check]", colour: bool) -> "list[str]":
        """A row each; a note has a line of its own below."""
        rows = [HEADINGS] + [
            (check.verdict, str(self.line(check)), check.pointer or "/", check.what, check.expected, check.actual)
            for check in checks
        ]
        cells = [[_cut(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = []
        for row, check in zip(cells, (None, *checks), strict=True):
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            if colour and check:
                text = f"\x1b[{COLOURS[check.verdict]}m{text[: widths[0]]}\x1b[0m{text[widths[0] :]}"
            lines.append(text)
            if check and check.note:
                lines.append(f"{'':{widths[0]}}  {_cut(check.note, 4 * LONGEST)}")
        return lines


def _cut(text: str, longest: int = LONGEST) -> str:
    """Printable, and not too long for a table: names of mounts may be anybody's."""
    shown = "".join(character if character.isprintable() else "�" for character in text)
    half = longest // 2
    return shown if len(shown) <= longest else f"{shown[: half - 1]}…{shown[-half:]}"
