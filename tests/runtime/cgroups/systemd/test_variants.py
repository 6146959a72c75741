"""GVariant text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney.low_level import Endianness, parse_signature

from runtime.cgroups.systemd import annotations
from runtime.cgroups.systemd.variants import parse
from runtime.errors import InvalidConfig


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", ("i", 5)),
        (" -5 ", ("i", -5)),
        ("uint64 18446744073709551615", ("t", 18446744073709551615)),
        ("byte 0x10", ("y", 16)),
        ("010", ("i", 8)),
        ("1.5", ("d", 1.5)),
        ("double 2", ("d", 2.0)),
        ("true", ("b", True)),
        ("'a\\'b\\n\\u00e9'", ("s", "a'b\né")),
        ('"x"', ("s", "x")),
        ("objectpath '/a_1/b'", ("o", "/a_1/b")),
        ("objectpath '/'", ("o", "/")),
        ("signature 'sa(st)'", ("g", "sa(st)")),
        ("signature ''", ("g", "")),
        ("['a', 'b']", ("as", ["a", "b"])),
        ("@as []", ("as", [])),
        ("@at [1, 2]", ("at", [1, 2])),
        ("[1, uint32 2]", ("au", [1, 2])),
        ("[1, 2.5]", ("ad", [1.0, 2.5])),
        ("[('/dev/null', 'rw')]", ("a(ss)", [("/dev/null", "rw")])),
        ("('a', true, uint64 1)", ("(sbt)", ("a", True, 1))),
        ("(1,)", ("(i)", (1,))),
        ("<uint16 7>", ("v", ("q", 7))),
        ("{'a': <1>}", ("a{sv}", {"a": ("i", 1)})),
        ("b'ab'", ("ay", b"ab\0")),
        ("[byte 1, 2]", ("ay", b"\x01\x02")),
        ("@a(st) []", ("a(st)", [])),
        ("@a{sv} {}", ("a{sv}", {})),
    ],
)
def test_values(text: str, expected: tuple[str, Any]) -> None:
    """Type and value, which D-Bus's wire format takes."""
    signature, value = parse(text)
    assert (signature, value) == expected
    assert parse_signature(list(signature)).serialise(value, 0, Endianness.little)


WRONG = [
    "",
    "text",
    "'open",
    "[1",
    "[1 2]",
    "[]",
    "()",
    "[1, 'a']",
    "5 6",
    "byte 256",
    "uint64 -1",
    "int32 2147483648",
    "uint32 'a'",
    "@x",
    "@a",
    "@() 1",
    "@(s 1",
    "@a{vs} {}",
    "@ms nothing",
    "@s 5",
    "<>",
    "<1, 2>",
    "{1}",
    "@(si) ('a',)",
    "@(s) ('a', 1)",
    "'\\u00'",
    "'\0'",
    "1e",
    "--5",
    "[" * 100 + "]" * 100,
    "handle 3",
    "'\\ud800'",
    "objectpath 'a'",
    "objectpath '/a/'",
    "objectpath '/a b'",
    "signature 'a'",
    "signature '(s'",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_value(text: str) -> None:
    """ValueError with words."""
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


@given(st.text("'\"[](){}<>@,:. \\-+abistuvxyn0159xU\n", max_size=24))
def test_anything_is_a_value_or_an_error(text: str) -> None:
    """No text makes another exception, and each value is one that the wire format takes."""
    try:
        signature, value = parse(text)
    except ValueError:
        return
    parse_signature(list(signature)).serialise(value, 0, Endianness.little)


@given(
    st.recursive(
        st.booleans() | st.integers(-5, 5) | st.text(max_size=5), lambda inner: st.lists(inner, min_size=1, max_size=1)
    )
)
def test_values_come_back(value: Any) -> None:
    """What is written as GVariant text has the same value when it is read."""

    def text(one: Any) -> str:
        if isinstance(one, bool):
            return str(one).lower()
        if isinstance(one, list):
            return f"[{text(one[0])}]"
        if isinstance(one, str):
            return "'" + "".join(f"\\U{ord(letter):08x}" for letter in one) + "'"
        return str(one)

    def with_nul(one: Any) -> bool:
        return with_nul(one[0]) if isinstance(one, list) else isinstance(one, str) and "\0" in one

    if not with_nul(value):
        assert parse(text(value))[1] == value


P = "org.systemd.property."


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("TimeoutStopSec", "5", ("TimeoutStopUSec", ("t", 5_000_000))),
        ("TimeoutStopSec", "0.5", ("TimeoutStopUSec", ("t", 500_000))),
        ("TimeoutStopSec", "uint64 5", ("TimeoutStopUSec", ("t", 5_000_000))),
        ("TimeoutStopUSec", "uint64 5", ("TimeoutStopUSec", ("t", 5))),
        ("CollectMode", "'inactive'", ("CollectMode", ("s", "inactive"))),
    ],
)
def test_annotations(name: str, text: str, expected: Any) -> None:
    """Each is a property; seconds become microseconds. Others are not looked at."""
    assert annotations.properties({"other": "x", P + name: text}) == [expected]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "1"),
        ("a/b", "1"),
        ("Ä", "1"),
        ("PIDs", "[uint32 1]"),
        ("Slice", "'x.slice'"),
        ("Delegate", "yes"),
        ("TimeoutStopSec", "'5'"),
        ("TimeoutStopSec", "true"),
        ("TimeoutStopSec", "-1"),
        ("TimeoutStopSec", "1e300"),
        ("TimeoutStopSec", "inf"),
    ],
)
def test_wrong_annotations(name: str, text: str) -> None:
    """An error with the annotation's place."""
    with pytest.raises(InvalidConfig) as caught:
        annotations.properties({P + name: text})
    assert caught.value.pointer == f"/annotations/{P}{name.replace('/', '~1')}"


def test_a_cgroup_in_the_unit() -> None:
    """crun would make one unless the annotation is empty, which CRI-O sends; a name is refused."""
    assert annotations.properties({"run.oci.systemd.subgroup": ""}) == []
    with pytest.raises(InvalidConfig, match="no further cgroup is made in the unit's") as caught:
        annotations.properties({"run.oci.systemd.subgroup": "container"})
    assert caught.value.pointer == "/annotations/run.oci.systemd.subgroup"
