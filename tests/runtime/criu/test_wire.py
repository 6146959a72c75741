"""runtime.criu.wire: the encoding of protocol buffers, against its own documentation and against itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.criu import wire

GOLDEN = [
    ([(1, 150)], "089601"),  # the encoding guide's own examples
    ([(2, "testing")], "120774657374696e67"),
    ([(3, [(1, 150)])], "1a03089601"),
    ([(2, -2)], "10feffffffffffffffff01"),
    ([(16, True), (17, False)], "800101880100"),
    ([(2, "/t\udcff")], "12032f74ff"),
    ([(5, b"")], "2a00"),
]


@pytest.mark.parametrize(("fields", "data"), GOLDEN)
def test_encode(fields, data):
    """Numbers, text and messages become the bytes that the encoding guide gives."""
    assert wire.encode(fields).hex() == data


NUMBERS = st.integers(1, 1 << 20)
VALUES = st.one_of(st.integers(0, (1 << 64) - 1), st.binary(max_size=300))


@given(st.lists(st.tuples(NUMBERS, VALUES), max_size=20))
def test_what_is_encoded_is_decoded(fields):
    """decode gives each field's values back, in their order."""
    expected = {}
    for number, value in fields:
        expected.setdefault(number, []).append(value)
    assert wire.decode(wire.encode(fields)) == expected


@given(st.binary(max_size=60))
def test_any_bytes(data):
    """Bytes that are no message are a ValueError, whatever they are."""
    try:
        wire.decode(data)
    except ValueError:
        pass


@pytest.mark.parametrize("data", ["08", "0a05ab", "0b", "0d0102", "08ffffffffffffffffffffff01"])
def test_bytes_that_are_cut_off(data):
    """A message that ends too early, or has a type that proto2 lacks, is refused."""
    with pytest.raises(ValueError, match=r"field|number"):
        wire.decode(bytes.fromhex(data))


@pytest.mark.parametrize("number", [0, 1, -1, -(1 << 63), (1 << 63) - 1])
def test_signed(number):
    """A negative number comes back from its 64 bits."""
    assert wire.signed(wire.decode(wire.encode([(1, number)]))[1][0]) == number
