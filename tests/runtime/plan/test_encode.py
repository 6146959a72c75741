"""runtime.plan.encode and ops against the headers of csrc: both sides of the wire agree."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.lifecycle import start
from runtime.plan import encode, ops
from runtime.process import handshake, last_word
from runtime.shim import ffi, lib
from tests.runtime.plan import configs, machines

HEADER = "".join((Path(__file__).parents[3] / "csrc" / name).read_text() for name in ("operations.h", "plan.h"))
QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=10)
NUMBER = st.integers(-(2**63), 2**64 - 1)


def enum(name):
    """The names of an enum of the wire, in order."""
    body = re.search(rf"enum {name} \{{(.*?)\}}", re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL), re.DOTALL)
    return re.findall(r"\b([A-Z]\w+)(?: = \d+)?,?", body[1])


def define(name):
    return int(re.search(rf"^#define {name} (\w+)", HEADER, re.MULTILINE)[1], 0)


def sent(value):
    """A string argument as init reads it: bytes, with the strings of a list back to back; None for absent or empty."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if value is None or isinstance(value, bytes):
        return value
    return "\0".join(value).encode("utf-8", "surrogateescape") if value else None


def on_the_wire(operation):
    code, side, _, numbers, strings = operation
    return code, side, None, tuple(n % 2**64 for n in numbers), tuple(sent(value) for value in strings)


def test_the_codes_are_the_headers():
    """Each operation has the same name and number in Python and in C."""
    assert [f"OP_{name.upper()}" for name, _, _ in ops.TABLE] == enum("plan_code")[:-1]
    for code, (name, _, _) in enumerate(ops.TABLE):
        assert getattr(ops, f"OP_{name.upper()}") == code
    assert len(ops.TABLE) == lib.OP_COUNT


def test_an_operation_fits_a_record():
    """No operation names more numbers or strings than a record holds."""
    for name, numbers, strings in ops.TABLE:
        assert len(numbers) <= define("PLAN_NUMBERS"), name
        assert len(strings) <= define("PLAN_STRINGS"), name


def test_every_operation_has_its_function():
    """A constructor makes as many arguments as the table names."""
    for name, numbers, strings in ops.TABLE:
        function = getattr(ops, name)
        code = function.__code__
        operation = function(
            *[[] if key in ("args", "env", "groups", "options") else 1 for key in code.co_varnames[: code.co_argcount]]
        )
        assert operation[0] == getattr(ops, f"OP_{name.upper()}")
        assert (len(operation[3]), len(operation[4])) == (len(numbers), len(strings)), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PLAN_MAGIC", encode.MAGIC),
        ("PLAN_VERSION", encode.VERSION),
        ("PLAN_TRACE", encode.TRACE),
        ("PLAN_MAX_SIZE", encode.MAX_SIZE),
        ("PLAN_NUMBERS", len(encode.NO_NUMBERS)),
        *(
            (name, getattr(ops, name))
            for name in vars(ops)
            if name.startswith(("MOUNT_", "BIND_", "SYMLINK_", "HOOK_", "PIVOT_"))
        ),
        ("WORD_ERROR", last_word.ERROR),
    ],
)
def test_constants(name, value):
    """Numbers that both sides use are the header's."""
    assert value == define(name)


def test_sides_reports_and_replies():
    """Enums that Python writes as numbers match the header."""
    assert [ops.HOST, ops.CONTAINER] == [lib.SIDE_HOST, lib.SIDE_CONTAINER]
    reports = [f"REPORT_{name}" for name in ("REACHED", "FAILED", "FORKED", "CONSOLE", "TRACE")]
    assert [getattr(handshake, name.removeprefix("REPORT_")) for name in reports] == [
        getattr(lib, name) for name in reports
    ]
    assert (start.REPORT_FAILED, start.REPORT_WARNING) == (lib.REPORT_FAILED, lib.REPORT_WARNING)
    assert start.REPORT_WORD == handshake.WORD == lib.REPORT_WORD
    replies = [getattr(lib, f"REPLY_{name}") for name in ("CONTINUE", "TREE", "STATE")]
    assert replies == [handshake.CONTINUE, handshake.TREE, handshake.STATE]


def test_struct_sizes():
    """The formats that Python packs are as long as C's structs, and their fields lie where C's do."""
    assert encode.HEADER.size == ffi.sizeof("struct plan_header")
    assert encode.RECORD.size == ffi.sizeof("struct plan_op")
    assert start.REPORT.size == ffi.sizeof("struct report")
    record = ffi.new("struct plan_op *")
    ffi.memmove(record, encode.RECORD.pack(1, 2, 3, *range(4, 10), *range(10, 18)), encode.RECORD.size)
    assert (record.code, record.side, record.reserved) == (1, 2, 3)
    assert list(record.number) == list(range(4, 10))
    assert [(part.offset, part.length) for part in record.string] == [(10, 11), (12, 13), (14, 15), (16, 17)]
    header = ffi.new("struct plan_header *")
    ffi.memmove(header, encode.HEADER.pack(1, 2, 3, 4, 5), encode.HEADER.size)
    assert (header.magic, header.version, header.flags, header.count, header.size) == (1, 2, 3, 4, 5)
    report = ffi.new("struct report *")
    ffi.memmove(report, start.REPORT.pack(1, 2, -3, 4, -5, 6), start.REPORT.size)
    assert (report.kind, report.index, report.error, report.step) == (1, 2, -3, 4)
    assert (report.start, report.end) == (-5, 6)


@st.composite
def any_operation(draw):
    code = draw(st.integers(0, len(ops.TABLE) - 1))
    _, numbers, strings = ops.TABLE[code]
    value = st.none() | TEXT | st.binary(max_size=10) | st.lists(TEXT, max_size=3)
    drawn_numbers = tuple(draw(NUMBER) for _ in numbers)
    return code, draw(st.integers(0, 1)), None, drawn_numbers, tuple(draw(value) for _ in strings)


@QUICK
@given(st.lists(any_operation(), max_size=6), st.integers(0, 1))
def test_any_operations_come_back(operations, flags):
    """decode is the inverse of encode, except for what the wire does not distinguish."""
    data = encode.encode(operations, flags)
    assert encode.decode(data) == [on_the_wire(operation) for operation in operations]
    assert encode.HEADER.unpack_from(data)[2:] == (flags, len(operations), len(data))


@QUICK
@given(configs.CONFIGS, configs.FACTS, st.sampled_from(sorted(machines.HOSTS)))
def test_any_config_comes_back(spec, facts, host):
    """config → plan → bytes → plan: every config that passes has a plan, and init reads what was planned."""
    operations = machines.planned(spec, host, **facts)
    assert encode.decode(encode.encode(operations)) == [on_the_wire(operation) for operation in operations]
    names = machines.names(operations)
    assert names[-1] == "exec"
    assert names.count("created") == names.count("pivot") == names.count("program") == 1
    for name in ("fork", "pivot", "seccomp", "user", "capabilities", "setsid"):
        assert names.count(name) <= 1


def test_names_that_are_no_text_survive():
    """A name that is not UTF-8 reaches init as its original bytes."""
    (operation,) = encode.decode(encode.encode([ops.hostname(b"\xff\xfe".decode("utf-8", "surrogateescape"))]))
    assert operation[4] == (b"\xff\xfe",)


def test_an_empty_string_is_not_an_absent_one():
    """An absent string and an empty list take nothing in the string area; an empty string takes its NUL."""
    present, absent = encode.decode(encode.encode([ops.bind("/a", ""), ops.bind("/a", None)]))
    assert (present[4][1], absent[4][1]) == (b"", None)


def test_a_plan_that_is_too_large():
    """A plan larger than init maps is refused before init is started."""
    with pytest.raises(ValueError, match="16777216 at most"):
        encode.encode([ops.hostname("x" * encode.MAX_SIZE)])


@pytest.mark.parametrize("offset", [0, 4, 12])
def test_decode_refuses_what_encode_does_not_write(offset):
    """decode refuses a wrong magic, version or size."""
    data = bytearray(encode.encode([ops.created()]))
    data[offset] ^= 1
    with pytest.raises(ValueError, match="not a plan"):
        encode.decode(bytes(data))
