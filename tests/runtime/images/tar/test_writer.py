"""Tar archives that are written: read back by the standard library, by our own reader, and by tar(1)."""

import io
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.images.tar.writer import KINDS, Member, TarWriter

TYPES = {"file": "0", "link": "1", "symlink": "2", "char": "3", "block": "4", "directory": "5", "fifo": "6"}


def archive(*members, data=b""):
    out = io.BytesIO()
    writer = TarWriter(out.write)
    for member in members:
        member.size = len(data) if member.kind == "file" else 0
        writer.member(member)
        if member.size:
            writer.data(data)
            writer.pad(len(data))
    writer.finish()
    return out.getvalue()


def member(kind="file", name=b"name", **more):
    made = Member(kind, name, 0o4755, 1, 2, 3 * 10**9)
    for key, value in more.items():
        setattr(made, key, value)
    return made


def read(data):
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        return [(each, tar.extractfile(each).read() if each.isreg() else b"") for each in tar]


component = st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"/", b"x").replace(b"\0", b"y"))
paths = st.lists(component.filter(lambda name: name not in (b".", b"..")), min_size=1, max_size=4).map(b"/".join)


@given(
    paths,
    paths,
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 0xFFFFFFFE),
    st.integers(-(10**19), 10**20),
    st.binary(max_size=600),
    st.dictionaries(st.sampled_from(["user.a", "security.capability"]), st.binary(max_size=9)),
)
@example(b"a" * 100, b"b" * 100, "file", 0o7777777, 0, b"x" * 512, {})
@example(b"d/" + b"a" * 100, b"b" * 101, "symlink", 0o10000000, 1, b"", {"user.a": b"\n\0"})
@example(b"d" * 155 + b"/" + b"a" * 99, b"b", "directory", 0, 0, b"", {})
def test_what_is_written_is_read(name, link, kind, number, mtime, data, xattrs):
    """Any name, owner, time, size and attribute comes back, in a whole number of blocks."""
    made = member(kind, name, uid=number, gid=number, mtime=mtime, xattrs=xattrs, device=(7, 8))
    made.link = link if kind in ("link", "symlink") else b""
    whole = archive(made, data=data)
    assert len(whole) % 512 == 0
    ((found, content),) = read(whole)
    assert found.name.encode("utf-8", "surrogateescape") == name
    assert found.linkname.encode("utf-8", "surrogateescape") == made.link
    assert (found.type.decode(), found.mode, found.uid, found.gid) == (TYPES[kind], 0o4755, number, number)
    assert abs(found.mtime - mtime / 10**9) <= max(1e-9, abs(mtime) / 10**9 * 1e-15)
    assert (found.devmajor, found.devminor) == (7, 8)
    assert content == (data if kind == "file" else b"")
    kept = {key: value for key, value in found.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    assert kept.keys() == {f"SCHILY.xattr.{key}" for key in xattrs}


def test_small_headers_have_no_records():
    """What fits into ustar is written as ustar: two blocks at the end, and one for the header."""
    assert len(archive(member())) == 512 * 3
    assert len(archive(member(mtime=3 * 10**9 + 1))) == 512 * 5


def test_equal_members_give_equal_bytes():
    """Nothing of the machine or the moment is in an archive, and the order of attributes does not matter."""
    one = archive(member(xattrs={"user.a": b"1", "user.b": b"2"}))
    assert archive(member(xattrs={"user.b": b"2", "user.a": b"1"})) == one


@pytest.mark.parametrize("length", [1, 89, 90, 91, 985, 986, 987, 988, 9984, 9985, 9986])
def test_a_record_counts_itself(length):
    """The length at the start of a PAX record has its own digits in it, also where they become one more."""
    ((found, _),) = read(archive(member(name=b"\xc3\xa4" + b"n" * length)))
    assert len(found.name.encode()) == length + 2


def test_tar_reads_it(tmp_path):
    """GNU tar unpacks it without a word: files, links, and the time to the nanosecond."""
    if not shutil.which("tar"):
        pytest.skip("tar is not installed")
    first = member(name=b"a/" + b"long" * 60, mtime=10**9 + 7)
    link = member("link", b"a/linked", link=first.name)
    (tmp_path / "x.tar").write_bytes(archive(member("directory", b"a"), first, link, data=b"hello"))
    done = subprocess.run(
        ["tar", "-xf", "x.tar"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a/linked").read_bytes() == b"hello"
    assert (tmp_path / "a/linked").stat().st_mtime_ns == 10**9 + 7
