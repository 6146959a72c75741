"""The bar of a long step: what it shows, that it never wraps, and that other lines stand above it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.images.progress import Progress, amount, line

MEBI = 1 << 20


@pytest.mark.parametrize(
    ("done", "size", "seconds", "width", "expected"),
    [
        (0, 4 * MEBI, 0.0, 80, "layer  [>                       ]  0 B of 4.0 MiB"),
        (MEBI, 4 * MEBI, 2.0, 80, "layer  [======>                 ]  1.0 MiB of 4.0 MiB, 512.0 KiB/s"),
        (4 * MEBI, 4 * MEBI, 4.0, 80, "layer  [========================]  4.0 MiB of 4.0 MiB, 1.0 MiB/s"),
        (5 * MEBI, 4 * MEBI, 0.5, 80, "layer  [========================]  4.0 MiB of 4.0 MiB"),
        (MEBI, 4 * MEBI, 0.5, 40, "layer  [==>       ]  1.0 MiB of 4.0 MiB"),
        (MEBI, 4 * MEBI, 0.5, 30, "layer  1.0 MiB of 4.0 MiB"),
        (7, 0, 9.0, 80, "layer"),
        (7, 0, 9.0, 4, "lay"),
    ],
)
def test_line(done: int, size: int, seconds: float, width: int, expected: str) -> None:
    assert line("layer", done, size, seconds, width) == expected


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 62), st.floats(0, 1e6), st.integers(1, 300))
def test_line_does_not_wrap(done: int, size: int, seconds: float, width: int) -> None:
    assert len(line("layer 12 of 13", done, size, seconds, width)) < width


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 39, "1.5 TiB"), (1 << 60, "1048576.0 TiB")],
)
def test_amount(count: int, text: str) -> None:
    assert amount(count) == text


def test_steps() -> None:
    """A step is drawn when it begins, is told once, makes room for a warning, and leaves nothing."""
    shown: list[str] = []
    told: list[str] = []
    progress = Progress(shown.append, told.append)
    say = progress.above(shown.append)
    say("before")
    progress.begin("layer 1 of 2", 2 * MEBI)
    say("warning")
    progress.add(MEBI)  # within a tenth of a second
    progress.end()
    progress.end()
    say("after")
    drawn = [text.replace("\r\x1b[K", "<") for text in shown]
    assert [text[:8] for text in drawn] == ["before", "<layer 1", "<", "warning", "<layer 1", "<", "after"]
    assert told == ["layer 1 of 2, 2.0 MiB"]


def test_without_a_terminal() -> None:
    told: list[str] = []
    progress = Progress(None, told.append)
    progress.begin("copying the files")
    progress.add(1)
    progress.above(told.append)("warning")
    progress.end()
    assert told == ["copying the files", "warning"]
