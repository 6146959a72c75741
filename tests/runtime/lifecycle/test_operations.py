"""The table of the host's side: each operation that init leaves to its parent has a row, and each row a function."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from conformance.sweeps import mutate
from runtime.errors import OcirunError
from runtime.lifecycle.operations import TABLE, performer
from runtime.plan import ops
from runtime.process.handshake import Handshake

CONTEXT = {"record": {}, "status": "created", "handle": -1, "hooks": {}}


def test_every_operation_has_a_side() -> None:
    """What init's own table does not have, the parent's has; `created` is the end of the handshake."""
    own = {mutant.operation for mutant in mutate.mutants() if not mutant.name.endswith(mutate.HOST)}
    left = {code for code, (name, _, _) in enumerate(ops.TABLE) if name not in own}
    assert left - set(TABLE) == {ops.OP_CREATED}


@pytest.mark.parametrize("row", TABLE.values(), ids=".".join)
def test_a_row_names_a_function(row: tuple[str, str]) -> None:
    """It takes what `performer` hands to functions of its room."""
    module, name = row
    parameters = list(inspect.signature(getattr(import_module(module), name)).parameters)
    expected = 2 if module.startswith("runtime.process.") else 3
    assert len(parameters) == expected
    assert parameters[-2] == "handshake"
    assert (parameters[0] == "context") == (expected == 3)


def test_an_operation_of_inits() -> None:
    """It is refused at its place, and nothing is done."""
    foreign = (ops.OP_MOUNT, ops.HOST, "/mounts/0", (), ())
    with pytest.raises(OcirunError, match="operation mount cannot be done on the host's side") as caught:
        performer(CONTEXT)(Handshake(0, -1, []), foreign)  # type: ignore[arg-type]
    assert caught.value.pointer == "/mounts/0"
