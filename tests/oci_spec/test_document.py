"""Loading: what is accepted, what is refused, and that every position is right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oci_spec
from oci_spec.document import DEPTH_LIMIT, SIZE_LIMIT, STRINGS_LIMIT
from oci_spec.positions import Broken, explain, read
from tests.oci_spec.reference import CONFIGS

TREE = Path(__file__).parents[2]
BROKEN = [
    (b"", 1, 1),
    (b"{]", 1, 2),
    (b'{"a": 1,\n}', 1, 8),
    (b'{"a": NaN}', 1, 7),
    (b'{"a": -Infinity}', 1, 7),
    (b'\xef\xbb\xbf{"a": 1}', 1, 1),
    (b'{"a": "\xff"}', 1, 8),
    ('{"ä": "'.encode() + b"\xff", 1, 8),
    (b'{"a": 1} x', 1, 10),
    (b'{"a": "\\ud800"}', 1, 7),
    (b'{"a": "x\ty"}', 1, 9),
    (b'{"a": 01}', 1, 7),
    (b'{"a": tru}', 1, 7),
    (b'{"a"\n: "b', 2, 3),
    (b'{"a": ' + b"1" * 5000 + b"}", 1, 7),
    (b"[" * (DEPTH_LIMIT + 1) + b"]" * (DEPTH_LIMIT + 1), 1, DEPTH_LIMIT + 1),
    (b"[" * 100_000, 1, DEPTH_LIMIT + 1),
    (b" " * (SIZE_LIMIT + 1), 1, 1),
    (b"{%s}" % b",".join(b'"%d": {"\\"a": "b: c"}' % n for n in range(STRINGS_LIMIT - 1)), 1, 1),
]


@pytest.mark.parametrize(("data", "line", "column"), BROKEN, ids=range(len(BROKEN)))
def test_broken_text_is_one_error(data, line, column):
    """Bytes that are not JSON give one error of the rule json, where reading stopped."""
    with pytest.raises(oci_spec.BadDocument):
        oci_spec.load(data)
    (problem,) = oci_spec.check(data)
    assert (problem.rule, problem.severity, problem.pointer) == ("json", "error", "")
    assert (problem.line, problem.column) == (line, column)
    assert oci_spec.load_checked(data) == ({}, [problem])


@pytest.mark.parametrize("data", [b'{"a" 2}', b'{"a": 1,}', b'{"a": "b', b"[1 2]", b'{"a": 01}'])
def test_broken_text_is_refused_without_the_json_package(data):
    """Bad JSON is refused even if json.decoder, which defines the scanner's exception, is not imported."""
    code = "import sys; sys.path.append('.'); from oci_spec import load_checked; "
    code += f"print(load_checked({data!r})[1][0].rule)"
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=TREE, capture_output=True, check=False)
    assert (result.stdout, result.stderr) == (b"json\n", b"")


def test_deepest_nesting_is_read():
    """A document of exactly the allowed depth is read, even with many more brackets."""
    data = b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT
    assert oci_spec.load(data) == json.loads(data)
    read(data)
    wide = b"[" + b",".join([b"[]"] * 1000) + b"]"
    assert oci_spec.load(wide) == json.loads(wide)


def test_as_many_strings_as_are_allowed():
    """So many different strings are read, however often each occurs, and a quote in one begins none."""
    members = b",".join(b'"%d": "\\": \\\\"' % n for n in range(STRINGS_LIMIT - 1))
    data = b"[%s]" % b",".join([b"{%s}" % members] * 2)
    assert oci_spec.load(data) == json.loads(data)


def test_repeated_key_is_a_warning_at_the_second_key():
    """A repeated key is reported where it is repeated, and its last value counts."""
    data = b'{"ociVersion": "1.0.0",\n "ociVersion": "1.2.0", "root": {"path": "rootfs"}}'
    (problem,) = [one for one in oci_spec.check(data) if one.rule == "json"]
    assert (problem.rule, problem.severity, problem.pointer) == ("json", "warning", "/ociVersion")
    assert (problem.line, problem.column) == (2, 2)
    assert oci_spec.load(data)["ociVersion"] == "1.2.0"


def test_places_of_the_last_of_repeated_keys():
    """Pointers lead into the last of two equal keys."""
    _, positions = read(b'{"a": {"x": 1},\n "a": {}}')
    assert positions.find("/a/x") == (2, 7)


def test_columns_count_characters():
    """Columns are characters from 1, not bytes; pointers may be escaped."""
    _, positions = read('{"ä/~": "€", "b": [1, {"c": 2}]}'.encode())
    assert positions.find("/ä~1~0") == (1, 9)
    assert positions.find("/b") == (1, 19)
    assert positions.find("/b", key=True) == (1, 14)
    assert positions.find("/b/1/c") == (1, 29)
    assert positions.find("/b/1/missing/deeper") == (1, 23)
    assert positions.find("") == (1, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def pointers(value, pointer=""):
    yield pointer, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        step = str(name).replace("~", "~0").replace("/", "~1")
        yield from pointers(item, f"{pointer}/{step}")


@given(json_values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_place_of_every_value(value, indent, ascii_only):
    """The position of each value is where its text begins."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return
    if "\\ud" in text and any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(value, ensure_ascii=False)):
        return
    assert oci_spec.load(data) == value
    lines = text.split("\n")
    _, positions = read(data)
    for pointer, item in pointers(value):
        line, column = positions.find(pointer)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert rest.startswith(json.dumps(item, indent=indent, ensure_ascii=ascii_only)[:1])


@given(st.text(st.sampled_from('{}[]",:0123456789.eE+-truefalsn\\ud8 \n\x00ä')) | st.text())
def test_both_scanners_accept_the_same(text):
    """The scanner with positions refuses exactly what the fast one refuses, and never fails otherwise."""
    data = text.encode(errors="surrogatepass")
    try:
        oci_spec.load(data)
        good = True
    except oci_spec.BadDocument:
        good = False
    try:
        read(data)
        assert good
    except Broken:
        assert not good
        message, _, line, column = explain(data)
        assert message
        assert line >= 1
        assert column >= 1


@given(st.binary())
def test_any_bytes_are_reported_on(data):
    """check returns for any bytes."""
    for problem in oci_spec.check(data):
        assert problem.line >= 1


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_real_configs_are_good(path):
    """The configs that managers write have no error, and load_checked finds nothing at all."""
    kind = "process" if "exec" in path.stem else "config"
    data = path.read_bytes()
    assert oci_spec.load_checked(data, kind) == (json.loads(data), [])
    assert [problem for problem in oci_spec.check(data, kind) if problem.severity == "error"] == []
