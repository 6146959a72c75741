"""Small files: read whole, in part or not at all, and written with one call."""

import errno
import os
from pathlib import Path

import pytest

from runtime import files


def test_read(tmp_path: Path) -> None:
    """The whole content, also of a file that is longer than one read; an absent file is an error."""
    content = bytes(range(256)) * 1024
    (tmp_path / "long").write_bytes(content)
    assert files.read(f"{tmp_path}/long") == files.read_or_empty(f"{tmp_path}/long") == content
    with pytest.raises(FileNotFoundError):
        files.read(f"{tmp_path}/absent")


def test_read_or_empty(tmp_path: Path) -> None:
    """b"" for a file that is absent, and for one that opens but cannot be read."""
    assert files.read_or_empty(f"{tmp_path}/absent") == b""
    assert files.read_or_empty(str(tmp_path)) == files.read_page(str(tmp_path)) == b""


def test_read_page(tmp_path: Path) -> None:
    """The first page, and no more."""
    (tmp_path / "long").write_bytes(b"a" * 5000)
    assert files.read_page(f"{tmp_path}/long") == b"a" * 4096
    assert files.read_page(f"{tmp_path}/absent") == b""


def test_write(tmp_path: Path) -> None:
    """Into a file that exists, also below a directory's descriptor; none is made."""
    (tmp_path / "value").write_bytes(b"before")
    files.write(f"{tmp_path}/value", b"after!")
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert files.read("value", directory) == b"after!"
        files.write("value", b"again!", directory)
    finally:
        os.close(directory)
    assert (tmp_path / "value").read_bytes() == b"again!"
    with pytest.raises(OSError, match="No such file") as caught:
        files.write(f"{tmp_path}/absent", b"")
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("path", "parts"), [("/a//./b/", ["a", "b"]), ("", []), ("/", []), (".", []), ("a/../b", ["a", "..", "b"])]
)
def test_components(path: str, parts: list[str]) -> None:
    """Without what names nothing; ".." is for the caller to judge."""
    assert files.components(path) == parts
