"""JSON without json: the same values as the library's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.lifecycle.document import dumps, indented, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_dumps_is_json(value: Any) -> None:
    """What we write, the library reads as the same value."""
    assert json.loads(dumps(value)) == value


@given(VALUES)
def test_loads_reads_what_we_wrote(value: Any) -> None:
    """There and back, in both forms."""
    assert loads(dumps(value).encode()) == value
    assert loads(indented(value).encode()) == value


@given(VALUES)
def test_indented_is_the_librarys_form(value: Any) -> None:
    """Two spaces a level, as json.dumps has it."""
    assert indented(value) == json.dumps(value, indent=2)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "{} x", "NaN", "[Infinity]", '{"a" 1}', '"\n"', "tru", "\ufeff{}"])
def test_loads_refuses(text: str) -> None:
    """Whatever is not JSON is a ValueError, with or without the library loaded."""
    with pytest.raises(ValueError, match=r".*"):
        loads(text.encode())


def test_dumps_refuses() -> None:
    """A value that JSON has no word for is a mistake of ours."""
    for value in ({1, 2}, b"x", float("nan")):
        with pytest.raises((TypeError, ValueError)):
            dumps(value)
