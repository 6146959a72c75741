"""The reader of tar archives, against what the standard library writes."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.images.errors import BadImage
from runtime.images.tar import pax
from runtime.images.tar.header import number
from runtime.images.tar.reader import Entry, TarReader
from tests.integration import images


class Whole:
    """Bytes as the reader's stream."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def exactly(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) < count:
            raise BadImage("truncated")
        return data

    def block(self) -> bytes:
        data = self.file.read(512)
        return data + self.exactly(512 - len(data)) if data else b""

    def skip(self, count: int) -> None:
        self.exactly(count)


def entries(data: bytes) -> list[tuple[Entry, bytes]]:
    reader = TarReader(Whole(data))
    found = []
    for entry in reader:
        content = b""
        while piece := reader.data(700):
            content += piece
        found.append((entry, content))
    return found


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=60)
FILES = st.lists(
    st.tuples(
        st.lists(NAMES, min_size=1, max_size=5).map("/".join),
        st.binary(max_size=1500),
        st.integers(0, 0o7777),
        st.integers(0, 0xFFFFFFFE),
        st.integers(-(1 << 33), 1 << 34),
    ),
    max_size=4,
)


@given(FILES, st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_what_tarfile_writes_is_read(files: list[tuple[str, bytes, int, int, int]], format: int) -> None:
    """Names of any length, owners of 32 bits, times before 1970: each entry and its data."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=format, encoding="utf-8") as archive:
        for name, data, mode, uid, mtime in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid, info.gid, info.mtime = len(data), mode, uid, uid, mtime
            archive.addfile(info, io.BytesIO(data))
    found = [(each.name.decode(), data, each.mode, each.uid, each.mtime) for each, data in entries(made.getvalue())]
    assert found == [(name, data, mode, uid, mtime * 10**9) for name, data, mode, uid, mtime in files]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"\0" * 8, 0),
        (b"\x80" + bytes(6) + b"\x05", 5),
        (b"\x80" + (1 << 40).to_bytes(7, "big"), 1 << 40),
        (b"\xff" * 8, -1),
    ],
)
def test_numbers(field: bytes, value: int) -> None:
    """Octal, and binary as GNU tar has it."""
    assert number(field, "number", signed=True) == value


@pytest.mark.parametrize("field", [b"0000698\0", b"-000644\0", b"0x00644\0", b"64 4   \0"])
def test_what_is_no_number(field: bytes) -> None:
    """A digit that is not octal, a sign, a space within."""
    with pytest.raises(BadImage, match="not a number"):
        number(field, "mode")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"0", 0),
        (b"1.5", 1_500_000_000),
        (b"1.000000001", 1_000_000_001),
        (b"1.0000000019", 1_000_000_001),
        (b"-1.5", -1_500_000_000),
        (b"9" * 19, (1 << 62) * 10**9),
    ],
)
def test_times(text: bytes, nanoseconds: int) -> None:
    """PAX has a decimal fraction of any length; what no kernel takes is the nearest that it does."""
    assert pax.time(text) == nanoseconds


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=30).filter(lambda key: not set(key) & set(b"=\0")), st.binary(max_size=200)
        )
    )
)
def test_records(pairs: list[tuple[bytes, bytes]]) -> None:
    """Any key and value comes back, in order; a NUL in a name does not."""
    names = (b"path", b"linkpath", b"GNU.sparse.name")
    if any(b"\0" in value and key in names for key, value in pairs):
        return
    assert pax.parse(images.records(pairs)) == pairs


@given(st.binary(max_size=64))
def test_any_bytes_end(data: bytes) -> None:
    """Bytes that are no records are an error, in finite time."""
    try:
        pax.parse(data)
    except BadImage:
        pass


def test_hints_of_the_header() -> None:
    """A version-7 directory by its slash, a prefix, star's, an empty PAX value that changes nothing, a global header."""
    rows = images.archive(
        images.entry("old/", magic=bytes(8)),
        images.entry("g", images.records([(b"path", b"wrong")]), "g"),
        images.entry("x", pax=[(b"path", b""), (b"uid", b"")], uid=7),
    )
    assert [(each.name, each.kind, each.uid) for each, _ in entries(rows)] == [
        (b"old/", "directory", 0),
        (b"x", "file", 7),
    ]
