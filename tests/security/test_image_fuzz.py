"""Some thousand archives of `conformance/fuzz/images.py`, the same in each run."""

from __future__ import annotations

from conformance.fuzz.images import fuzz

COUNT = 3000
PATIENCE = 60.0


def test_changed_archives_are_refused_or_contained() -> None:
    """No exception but ocirun's own, nothing outside is changed, and what is accepted is the same tree each time."""
    tried, accepted, found = fuzz(PATIENCE, COUNT, seed=1)
    assert [wrong for wrong, _ in found] == []
    assert tried == COUNT
    assert accepted > 30
