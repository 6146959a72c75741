"""Every property of the schema has a test that shows its effect in a real container."""

from __future__ import annotations

import re

import pytest

from tests import proofs


@pytest.fixture(scope="module")
def rows() -> list[proofs.Row]:
    return proofs.collect()


def test_every_property_has_a_proof(rows: list[proofs.Row]) -> None:
    """A property that no test marked `proves` names is not proven; its test is written with it."""
    assert proofs.unproven(rows) == []


def test_marks_name_properties(rows: list[proofs.Row]) -> None:
    """A mark's path is one of the schema's, so that a misspelt one does not count."""
    known = set(proofs.schema_paths())
    assert {(path, row["id"]) for row in rows for path in row["paths"] if path not in known} == set()


def test_an_unproven_property_is_found() -> None:
    """The comparison bites: without a test's row its property is missing, and a test without a container is no proof."""
    path = "/process/cwd"
    assert path in proofs.unproven([])
    row = {"id": "tests/x.py::test_y", "paths": [path], "container": True, "marks": [], "outcome": None, "reason": ""}
    assert path not in proofs.unproven([row])
    assert path in proofs.unproven([{**row, "container": False}])
    assert "/process" in proofs.sections(proofs.schema_paths())
    assert not any(re.search(r"/\*$", path) for path in proofs.schema_paths())
