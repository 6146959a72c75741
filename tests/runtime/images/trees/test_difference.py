"""What `bundle diff` has in memory is limited."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.errors import OcirunError
from runtime.images.trees import difference
from runtime.images.trees.merged import Merged
from runtime.images.trees.tree import Tree


def changes(root: Path) -> list[tuple[bytes, ...]]:
    """The paths of all files of a tree, which has no layers below."""
    descriptor = os.open(root, os.O_RDONLY)
    own, layers = Tree(descriptor, lambda _: None), Merged([], [], "user")
    try:
        return [row.path for row in difference.Difference(own, layers, "user", whole=True).changes()]
    finally:
        own.close()
        os.close(descriptor)


def test_names_in_all_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count by the depth of each file: at the limit all are told, beyond it none."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    monkeypatch.setattr(difference, "_MAX_NAMES", 6)
    assert changes(tmp_path) == [(b"a",), (b"a", b"b"), (b"a", b"b", b"file")]
    (tmp_path / "other").touch()
    with pytest.raises(OcirunError, match="too many files in deep directories: more than 6 names"):
        changes(tmp_path)
