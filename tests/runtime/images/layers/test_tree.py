"""What a layer may take of memory and time, on real directories: counted, not measured with a clock."""

import io
import os
import resource
import struct
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from runtime.errors import OcirunError
from runtime.images import budget
from runtime.images.errors import BadImage
from runtime.images.layers.below import Below
from runtime.images.layers.tree import LayerTree
from runtime.images.layouts.blobs import decompressed
from runtime.images.layouts.sources import open_source
from runtime.images.tar.reader import TarReader
from runtime.images.trees import attributes, lookup
from runtime.images.trees.merged import Found, Merged
from runtime.images.trees.owners import Rights
from tests.integration.images import archive, directory, entry, hardlink, symlink

DEEP = "d/" * 100


class Stream(io.BytesIO):
    """Bytes as a TarReader reads them."""

    def exactly(self, count: int) -> bytes:
        data = self.read(count)
        assert len(data) == count
        return data

    def block(self) -> bytes:
        return self.read(512)

    def skip(self, count: int) -> None:
        self.seek(count, 1)


@contextmanager
def opened(*paths: Path) -> Iterator[list[int]]:
    found = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in paths]
    try:
        yield found
    finally:
        for descriptor in found:
            os.close(descriptor)


def unpack(root: Path, *entries: bytes, most: int | None = None) -> tuple[LayerTree, list[str]]:
    """Unpack a layer into a new directory; the warnings."""
    root.mkdir()
    warnings: list[str] = []
    with opened(root) as (descriptor,):
        made = LayerTree(descriptor, Rights("user", True, warnings.append), budget.Budget(descriptor, most))
        made.unpack(TarReader(Stream(archive(*entries))))
    return made, warnings


def test_directories_without_an_entry_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a file of 4 KiB, and its path is kept: one entry may make two thousand of them."""
    deep = entry("x", pax=[(b"path", f"{DEEP}x".encode())])
    with pytest.raises(BadImage, match=r"bytes that are allowed \(--max-size\)"):
        unpack(tmp_path / "size", deep, most=99 * budget.DIRECTORY)
    made, _ = unpack(tmp_path / "room", deep, most=100 * budget.DIRECTORY)
    assert max(made.tree.implied, key=len) == DEEP[:-1].encode()
    monkeypatch.setattr(budget, "MAX_ENTRIES", 100)
    with pytest.raises(BadImage, match="more files than 100"):
        unpack(tmp_path / "entries", deep)
    monkeypatch.undo()
    monkeypatch.setattr(budget, "MAX_NAMES", 5000)
    with pytest.raises(BadImage, match="have more than 5000 bytes"):
        unpack(tmp_path / "names", deep)


def test_removed_directories_have_counted(tmp_path: Path) -> None:
    """What a later entry replaces is not given back."""
    again = [entry("x", pax=[(b"path", f"{DEEP}x".encode())]), entry("d"), directory("d")]
    with pytest.raises(BadImage, match=r"bytes that are allowed \(--max-size\)"):
        unpack(tmp_path / "layer", *again, *again, most=198 * budget.DIRECTORY)


def test_pending_hard_links_keep_names_alone(tmp_path: Path) -> None:
    """Their attributes, a megabyte each, are not needed again."""
    big = [(b"SCHILY.xattr.user.%d" % each, b"v" * 60_000) for each in range(16)]
    links = [hardlink(f"h{number}", "last", pax=big) for number in range(20)]
    whole = archive(*links, entry("last"))
    (tmp_path / "layer").mkdir()
    with opened(tmp_path / "layer") as (descriptor,):
        made = LayerTree(descriptor, Rights("user", True, print), budget.Budget(descriptor, None))
        reader = TarReader(Stream(whole))
        tracemalloc.start()
        made.unpack(reader)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "layer/last").stat().st_nlink == 21
    assert peak < 8 << 20


def test_pending_hard_links_and_directories_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names are kept until the end of the layer."""
    monkeypatch.setattr(budget, "MAX_NAMES", 100)
    for number, make in enumerate((lambda n: hardlink(n, "last"), directory)):
        with pytest.raises(BadImage, match="have more than 100 bytes"):
            unpack(tmp_path / f"{number}", *(make(f"name{each}") for each in range(50)), entry("last"))


def test_steps_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One short name may lead through thousands of directories: of one path so many at most, and of all."""
    round_about = [directory("d"), symlink("a", b"x", pax=[(b"linkpath", b"d/../" * 700)])]
    with pytest.raises(BadImage, match="more than 4096 directories"):
        unpack(tmp_path / "one", *round_about, entry("a/a/a/x"))
    unpack(tmp_path / "two", *round_about, entry("a/a/x"))
    monkeypatch.setattr(budget, "MAX_STEPS", 3000)
    with pytest.raises(BadImage, match="lead through too many directories"):
        unpack(tmp_path / "all", *round_about, *(entry(f"a/x{each}") for each in range(4)))
    with pytest.raises(BadImage, match="lead through too many directories"):
        unpack(tmp_path / "none", *round_about, *(hardlink(f"h{each}", "a/nothing/x") for each in range(4)))
    with opened(tmp_path / "two") as roots:
        merged = Merged(roots, [frozenset()], "user")
        assert lookup.real(merged, b"a/a/x")[0] == (b"x",)
        with pytest.raises(BadImage, match="too many symbolic links or directories"):
            lookup.real(merged, b"a/a/a/x")
        merged.close()


class Counted(Merged):
    """``found``: the look-ups."""

    found = 0

    def find(self, above: Sequence[int], path: tuple[bytes, ...], name: bytes) -> Found | None:
        self.found += 1
        return super().find(tuple(above), path, name)


def test_implied_directories_are_looked_up_once(tmp_path: Path) -> None:
    """Not once for each of the directories below them; and few are open at a time."""
    layers = [tmp_path / "top", tmp_path / "low"]
    implied = frozenset(unpack(layers[0], entry("x", pax=[(b"path", f"{DEEP}x".encode())]))[0].tree.implied)
    unpack(layers[1], entry("x", pax=[(b"path", f"{DEEP}x".encode())]))
    os.chmod(tmp_path / "low/d/d", 0o700)
    (tmp_path / "upper").mkdir()
    with opened(*layers, tmp_path / "upper") as (*roots, upper):
        merged = Counted(roots, [implied, frozenset({b"", b"d"})], "user")
        attributes.complete(merged, [implied, frozenset({b"", b"d"})], upper)
        merged.close()
    assert merged.found == 100
    assert (tmp_path / "upper/d/d").stat().st_mode & 0o777 == 0o700


def acl(*rows: tuple[int, int, int]) -> bytes:
    """Tag, permissions and id of each entry (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)


NOBODY = 0xFFFFFFFF
DEFAULT = acl((1, 7, NOBODY), (2, 7, 1234), (4, 5, NOBODY), (0x10, 7, NOBODY), (0x20, 5, NOBODY))


def test_a_default_acl_is_of_the_directory_alone(tmp_path: Path) -> None:
    """What its layer has in it, and what is copied into it, has the ACLs that the layer says."""
    given = directory("d", pax=[(b"SCHILY.xattr.system.posix_acl_default", DEFAULT)])
    unpack(tmp_path / "layer", given, entry("d/f"), directory("d/sub"), entry("d/sub/g"))
    assert os.listxattr(tmp_path / "layer/d") == ["system.posix_acl_default"]
    assert {str(path): os.listxattr(path) for path in (tmp_path / "layer/d").rglob("*") if os.listxattr(path)} == {}
    os.setxattr(tmp_path, "system.posix_acl_default", DEFAULT)
    (tmp_path / "made").mkdir()
    with opened(tmp_path / "layer/d/sub", tmp_path / "made") as (source, target):
        attributes.copy(source, target)
    assert os.listxattr(tmp_path / "made") == []


def test_an_attribute_without_room(tmp_path: Path) -> None:
    """The layer would be in the store without it, and stay so when there is room again."""
    with suppress(OSError):
        os.setxattr(tmp_path, "user.a", b"v" * 60_000)
        pytest.skip("the file system has room for any attribute")
    with pytest.raises(OcirunError, match="unpack f: no space left on device"):
        unpack(tmp_path / "layer", entry("f", pax=[(b"SCHILY.xattr.user.a", b"v" * 60_000)]))


def test_small_members_are_gathered() -> None:
    """A blob may have a million members of gzip, of a byte each: they are not passed on one by one, nor copied for each."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    member = pack.compress(b"x") + pack.flush()
    pieces = list(decompressed(iter([member * 4000]), "it"))
    assert pieces == [b"x" * 4000]


def test_a_compressed_archive_without_room(tmp_path: Path) -> None:
    """The place is told, and what the system said."""
    (tmp_path / "i.tar.gz").write_bytes(zlib.compress(archive(entry("a", os.urandom(100_000))), 1, 31))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as (scratch,):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            with pytest.raises(OcirunError, match=r"decompress .*i.tar.gz into /the/store: file too large"):
                open_source(str(tmp_path / "i.tar.gz"), scratch, "/the/store", budget.Budget(scratch, None))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)


SPARSE = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"%d" % (1 << 20))]


def test_a_long_sparse_map(tmp_path: Path) -> None:
    """Of many blocks; its count is in the first one."""
    count = 500
    text = b"%d\n" % count + b"".join(b"%d\n1\n" % (number * 1000) for number in range(count))
    padded = text + bytes(-len(text) % 512)
    unpack(tmp_path / "layer", entry("s", padded + b"x" * count, pax=SPARSE))
    found = (tmp_path / "layer/s").read_bytes()
    assert len(found) == 1 << 20
    assert [at for at in range(0, len(found), 1000) if found[at] == ord("x")] == list(range(0, count * 1000, 1000))
    with pytest.raises(BadImage, match="its sparse map is damaged"):
        unpack(tmp_path / "zeros", entry("s", b"0" * 600 + padded, pax=SPARSE))


def on_top(root: Path, lower: Path, *entries: bytes, most: int | None = None) -> LayerTree:
    """Unpack a layer on top of another."""
    root.mkdir()
    with opened(root, lower) as (descriptor, under):
        limits = budget.Budget(descriptor, most)
        below = Below(lambda: [os.dup(under)], "user", limits)
        try:
            made = LayerTree(descriptor, Rights("user", True, print), limits, below)
            made.unpack(TarReader(Stream(archive(*entries))))
        finally:
            below.close()
    return made


def test_what_is_copied_up_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file of its size, once for all names of it; and what a caller has not allowed has a limit of its own."""
    unpack(tmp_path / "lower", entry("f", b"x" * 5000), hardlink("g", "f"), entry("d/e", b"x" * 5000))
    links = [hardlink("a", "f"), hardlink("b", "g"), hardlink("c", "f")]
    made = on_top(tmp_path / "once", tmp_path / "lower", *links, most=5000)
    assert (made.files, made.size) == (4, 5000)
    assert (tmp_path / "once/a").stat().st_nlink == 5
    with pytest.raises(BadImage, match=r"bytes that are allowed \(--max-size\)"):
        on_top(tmp_path / "few", tmp_path / "lower", *links, most=4999)
    with pytest.raises(BadImage, match=r"bytes that are allowed \(--max-size\)"):
        on_top(tmp_path / "two", tmp_path / "lower", *links, hardlink("h", "d/e"), most=10_000 + budget.DIRECTORY - 1)
    monkeypatch.setattr(budget, "MAX_COPIED", 4999)
    with pytest.raises(BadImage, match="copy more than 4999 bytes"):
        on_top(tmp_path / "copied", tmp_path / "lower", *links)
    on_top(tmp_path / "allowed", tmp_path / "lower", *links, most=5000)
    monkeypatch.undo()
    monkeypatch.setattr(budget, "MAX_ENTRIES", 4)
    with pytest.raises(BadImage, match="more files than 4"):
        on_top(tmp_path / "entries", tmp_path / "lower", *links)


def test_a_copy_that_is_replaced_is_no_source(tmp_path: Path) -> None:
    """Late links take the places of copies, and of directories with copies in them: others of the file are its content still."""
    unpack(tmp_path / "lower", entry("d/f", b"1"), hardlink("d/g", "d/f"), hardlink("h", "d/f"), entry("x", b"2"))
    on_top(tmp_path / "file", tmp_path / "lower", hardlink("a", "d/f"), hardlink("d/f", "x"), hardlink("b", "d/g"))
    assert [(tmp_path / "file" / name).read_text() for name in ("a", "d/f", "b", "d/g")] == ["1", "2", "1", "1"]
    on_top(tmp_path / "directory", tmp_path / "lower", hardlink("a", "d/f"), hardlink("d", "x"), hardlink("b", "h"))
    assert [(tmp_path / "directory" / name).read_text() for name in ("a", "d", "b")] == ["1", "2", "1"]


def test_waiting_links_keep_real_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short name may lead to a long path, which is kept with it."""
    deep = [directory("x", pax=[(b"path", DEEP.encode())]), symlink("l", b"x", pax=[(b"linkpath", DEEP.encode())])]
    links = [hardlink(f"l/{number}", "later") for number in range(9)]
    most = sum(len("d/" * depth) - 1 for depth in range(1, 101)) + 9 * (len(f"{DEEP}0") + len("l/0") + len("later"))
    monkeypatch.setattr(budget, "MAX_NAMES", most)
    unpack(tmp_path / "room", *deep, *links, entry("later"))
    monkeypatch.setattr(budget, "MAX_NAMES", most - 1)
    with pytest.raises(BadImage, match=f"more than {most - 1} bytes"):
        unpack(tmp_path / "few", *deep, *links, entry("later"))


def test_look_ups_below_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each layer that is asked; nothing is opened where a layer has entries for its directories."""
    unpack(tmp_path / "lower", entry("d/f"))
    (tmp_path / "none").mkdir()
    with opened(tmp_path / "none") as (root,):
        below = Below(lambda: pytest.fail("the layers below are opened"), "user", budget.Budget(root, None))
        made = LayerTree(root, Rights("user", True, print), budget.Budget(root, None), below)
        made.unpack(TarReader(Stream(archive(directory("d"), entry("d/x"), hardlink("y", "d/x")))))
    monkeypatch.setattr(budget, "MAX_STEPS", 0)
    monkeypatch.setattr(budget, "STEPS", 3)
    on_top(tmp_path / "room", tmp_path / "lower", directory("a"), directory("b"), entry("d/x"))
    monkeypatch.setattr(budget, "STEPS", 0)
    with pytest.raises(BadImage, match="lead through too many directories"):
        on_top(tmp_path / "few", tmp_path / "lower", entry("d/x"))


class Recorder(budget.Budget):
    """``counted``: the steps."""

    counted = 0

    def steps(self, count: int) -> None:
        self.counted += count


def test_depth_counts_below(tmp_path: Path) -> None:
    """A path that is looked up below may have to be opened again from the root."""
    deep = ("d",) * 9
    unpack(tmp_path / "lower", entry("/".join((*deep, "f"))))
    with opened(tmp_path / "lower") as (root,):
        limits = Recorder(root, None)
        below = Below(lambda: [os.dup(root)], "user", limits)
        for depth, steps in ((0, 1), (3, 1), (4, 2), (9, 3)):
            limits.counted = 0
            assert below.find((b"d",) * depth, b"f" if depth == len(deep) else b"d")
            assert limits.counted == steps
        below.close()


def test_few_directories_below_are_open(tmp_path: Path) -> None:
    """However many layers have them."""
    for number in range(40):
        unpack(tmp_path / f"{number}", *(entry(f"d{each}/e/x") for each in range(9)))
    (tmp_path / "top").mkdir()
    with opened(*(tmp_path / f"{number}" for number in range(40)), tmp_path / "top") as (*lower, root):
        limits = budget.Budget(root, None)
        below = Below(lambda: [os.dup(each) for each in lower], "user", limits)
        before = len(os.listdir("/proc/self/fd"))
        for each in range(9):
            assert below.find((b"d%d" % each, b"e"), b"x")
            assert len(os.listdir("/proc/self/fd")) - before < 40 + 36
        below.close()
        assert len(os.listdir("/proc/self/fd")) == before
