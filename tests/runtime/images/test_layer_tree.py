"""What a layer may take of memory and time, on real directories: counted, not measured with a clock."""

import io
import os
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.images import attributes, budget, lookup
from runtime.images.errors import BadImage
from runtime.images.layer_tree import LayerTree
from runtime.images.merged import Found, Merged
from runtime.images.owners import Rights
from runtime.images.tar_reader import TarReader
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
