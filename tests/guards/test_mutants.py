"""What `make mutate` leaves out: every operation of init and of its parent, and how it tells a death from a survival."""

from __future__ import annotations

import re

import pytest

from conformance.sweeps import mutate
from runtime.plan import ops
from tests.conftest import TREE

MUTANTS = mutate.mutants()


def row(outcome: str, **change: object) -> dict[str, object]:
    return {"id": "tests/x.py::test_y", "marks": [], "outcome": outcome, **change}


def test_every_operation_has_its_mutant() -> None:
    """Those that init does, by its own table, and those that the parent does; `created` is where the parent stops."""
    names = {name for name, _, _ in ops.TABLE}
    assert {mutant.operation for mutant in MUTANTS} == names - {"created"}
    done = set(re.findall(r"\] = op_(\w+),", (TREE / "csrc/dispatch.c").read_text()))
    assert {mutant.name for mutant in MUTANTS if not mutant.name.endswith(mutate.HOST)} == done


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place(mutant: mutate.Mutant) -> None:
    """The source is still as the change expects it, and what comes out is another program that is one."""
    before = (TREE / mutant.file).read_text()
    after = mutant.change(before)
    assert after != before
    if mutant.file.endswith(".py"):
        compile(after, mutant.file, "exec")
    else:
        assert after.count("op_left_out") == 2  # the stub, and its one place in the table
        assert f"op_{mutant.operation}," not in after


def test_verdicts() -> None:
    """A failure is a death, also where the run broke down; only passes are a survival."""
    assert mutate.verdict([row("passed"), row("failed")], "") == ("killed", "x.py::test_y")
    assert mutate.verdict([row("passed")], "") == ("survived", "1 tests pass")
    output = "tests/a.py::test_one PASSED [ 50%]\ntests/a.py::test_two "
    assert mutate.verdict([], output) == ("killed", "a.py::test_two (the run ended there)")


def test_a_change_that_does_not_fit_stops() -> None:
    """A source that was rewritten is an error, not a mutant that is the original."""
    with pytest.raises(SystemExit, match="not once"):
        mutate.stubbed("umask")("no table here")
