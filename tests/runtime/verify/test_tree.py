"""Paths of a container from outside: no link and no ".." leads out of its root."""

import errno
import os
from pathlib import Path

import pytest

from runtime.verify.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A root whose links try to leave it, in a directory with a secret."""
    root = tmp_path / "root"
    (root / "etc/deep").mkdir(parents=True)
    (root / "etc/name").write_text("inside")
    (tmp_path / "name").write_text("secret")
    (root / "up").symlink_to("../../../name")
    (root / "absolute").symlink_to("/etc/name")
    (root / "outside").symlink_to(str(tmp_path / "name"))
    (root / "etc/deep/up").symlink_to("../../../../etc")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    result = Tree(os.getpid())
    result.root = str(root)
    return result


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/", "/"),
        ("", "/"),
        ("/..", "/"),
        ("/etc/../../../etc/name", "/etc/name"),
        ("/absolute", "/etc/name"),
        ("/etc/deep/up/name", "/etc/name"),
        ("etc//./deep/", "/etc/deep"),
    ],
)
def test_paths_stay_inside(tree: Tree, path: str, resolved: str):
    """Links and dots count from the root, as in the container."""
    assert tree.resolve(path) == resolved


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/up", errno.ENOENT),
        ("/outside", errno.ENOENT),
        ("/loop", errno.ELOOP),
        ("/dangling", errno.ENOENT),
        ("/etc/name/x", errno.ENOTDIR),
    ],
)
def test_paths_that_lead_nowhere(tree: Tree, path: str, number: int):
    """The error is the kernel's, and no descriptor is left."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=os.strerror(number)):
        tree.open(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_itself(tree: Tree):
    """Its target as it is written, and it is not followed where it is not asked for."""
    assert tree.link("/loop") == "loop"
    with tree.open("/up", follow=False) as node:
        assert node.path == "/up"
    with tree.open("/etc") as node:
        assert sorted(node.names()) == ["deep", "name"]
