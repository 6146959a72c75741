"""No property of a config is silently ignored, in any situation (docs/left-out.md)."""

from __future__ import annotations

import pytest

from tests.runtime.plan import left_out, left_out_samples, properties_page
from tests.runtime.plan.left_out import SILENT, SITUATIONS, Situation

Rows = dict[str, dict[str, tuple[str, str]]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return left_out.everything()


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.name)
def test_nothing_is_left_out_in_silence(rows: Rows, situation: Situation) -> None:
    """A property that is given changes what is done, or an error or a warning names it."""
    silent = {path for path, row in rows.items() if row[situation.name][0] == SILENT}
    assert silent - set(left_out_samples.ELSEWHERE) == set()


def test_every_property_is_tried(rows: Rows) -> None:
    """Those of the schema, each with a part of a config that has it, and each exception is one."""
    assert list(rows) == properties_page.of_linux()
    for path in left_out_samples.ELSEWHERE:
        assert any(word == SILENT for word, _ in rows[path].values()), path


def test_the_comparison_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silently ignored property is detected."""
    monkeypatch.setattr(left_out.disabled, "warnings", lambda _: [])
    situation = next(one for one in SITUATIONS if one.manager == "disabled")
    assert left_out.verdict("/linux/cgroupsPath", situation) == (SILENT, "")


def test_the_page_is_made_of_this(rows: Rows) -> None:
    """docs/left-out.md: python -m tests.runtime.plan.left_out."""
    assert left_out.PAGE.read_text() == left_out.page(rows)
