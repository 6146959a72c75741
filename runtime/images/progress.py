"""How far a long step has come: a bar on a terminal, which the next line takes the place of."""

import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL = 0.1  # seconds between two drawings
_BAR = 24  # columns of the bar, at most
_LEAST = 5  # columns below which there is no bar
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_KIBI = 1024
_CLEAR = "\r\x1b[K"


class Progress:
    """``draw`` writes to the terminal, None without one. ``tell`` takes a line for each step, for a log."""

    def __init__(self, draw: "Callable[[str], None] | None", tell: "Callable[[str], None]") -> None:
        self._draw = draw
        self._tell = tell
        self._name = ""
        self._size = self._done = 0
        self._begun = self._drawn = 0.0

    def begin(self, name: str, size: int = 0) -> None:
        """A new step. ``size``: the bytes that it will have; 0 if that is not known."""
        self._tell(f"{name}, {amount(size)}" if size else name)
        self._name, self._size, self._done = name, size, 0
        self._begun = time.monotonic()
        self._show(self._begun)

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        self._done += count
        if self._draw and self._name and (now := time.monotonic()) - self._drawn >= _INTERVAL:
            self._show(now)

    def end(self) -> None:
        """Nothing is to be seen any more."""
        if self._name and self._draw:
            self._draw(_CLEAR)
        self._name = ""

    def above(self, say: "Callable[[str], None]") -> "Callable[[str], None]":
        """``say``, whose line is to stand above the bar."""

        def said(text: str) -> None:
            if self._name and self._draw:
                self._draw(_CLEAR)
            say(text)
            if self._name:
                self._show(time.monotonic())

        return said

    def _show(self, now: float) -> None:
        if self._draw:
            self._drawn = now
            self._draw(_CLEAR + line(self._name, self._done, self._size, now - self._begun, columns()))


def line(name: str, done: int, size: int, seconds: float, width: int) -> str:
    """The state of a step, in fewer than ``width`` columns: its name, a bar, bytes, and bytes a second."""
    if not size:
        return name[: width - 1]
    done = min(done, size)
    figures = f"{amount(done)} of {amount(size)}"
    if seconds >= 1 and done:
        figures += f", {amount(int(done / seconds))}/s"
    room = min(_BAR, width - 1 - len(name) - len(figures) - len("  []  "))
    if room < _LEAST:
        return f"{name}  {figures}"[: width - 1]
    filled = room * done // size
    head = ">" if filled < room else ""
    bar = f"{'=' * filled}{head}".ljust(room)
    return f"{name}  [{bar}]  {figures}"


def amount(count: int) -> str:
    """Bytes as a reader wants them: "512 B", "1.4 MiB"."""
    if count < _KIBI:
        return f"{count} B"
    value = float(count)
    unit = 0
    while value >= _KIBI and unit < len(_UNITS) - 1:
        value /= _KIBI
        unit += 1
    return f"{value:.1f} {_UNITS[unit]}"


def columns() -> int:
    """The terminal's width; 80 if it does not say."""
    try:
        return posix.get_terminal_size(2).columns or 80
    except OSError:
        return 80
