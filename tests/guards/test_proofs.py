"""Every property of the schema has a test that shows its effect in a real container, and every operation of a plan one."""

from __future__ import annotations

import re

import pytest

from runtime.plan import ops
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


def test_every_operation_has_a_proof(rows: list[proofs.Row]) -> None:
    """`make mutate` needs a test to run where it leaves an operation out; only `created` is in every one."""
    proved = proofs.operation_proofs(rows)
    assert [name for name, found in proved.items() if not found] == ["created"]


def test_marks_name_operations(rows: list[proofs.Row]) -> None:
    """A misspelt mark of an operation would not count."""
    known = {name for name, _, _ in ops.TABLE}
    assert {(name, row["id"]) for row in rows for name in row["operations"] if name not in known} == set()


def test_an_operation_is_proved_by_its_properties_and_below(rows: list[proofs.Row]) -> None:
    """`/process/rlimits/*/soft` proves what `/process/rlimits` is for; a path that merely begins alike does not."""
    row = {**rows[0], "paths": ["/linux/maskedPaths"], "operations": [], "container": True}
    proved = proofs.operation_proofs([row])
    assert {name for name, found in proved.items() if found} == {"mask"}
    row["paths"] = ["/hooks/createContainer/*/path"]
    assert {name for name, found in proofs.operation_proofs([row]).items() if found} == {"run_hook"}


def test_an_unproven_property_is_found() -> None:
    """The comparison bites: without a test's row its property is missing, and a test without a container is no proof."""
    path = "/process/cwd"
    assert path in proofs.unproven([])
    row = {"id": "tests/x.py::test_y", "paths": [path], "container": True, "marks": [], "outcome": None, "reason": ""}
    assert path not in proofs.unproven([row])
    assert path in proofs.unproven([{**row, "container": False}])
    assert "/process" in proofs.sections(proofs.schema_paths())
    assert not any(re.search(r"/\*$", path) for path in proofs.schema_paths())
