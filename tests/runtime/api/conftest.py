"""A place for containers, in which nothing may be left."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ocirun import Container, list_containers

from tests.integration import snapshot
from tests.integration.bundle import build_busybox_rootfs
from tests.runtime.api.place import Place


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ocirun-api-"))
    path.chmod(0o755)
    build_busybox_rootfs(path / "rootfs")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def place(directory: Path) -> Iterator[Place]:
    """At the end nothing may be left of what was made in it."""
    one = Place(directory)
    one.configure({})
    before = snapshot.take(one.token, one.root)
    yield one
    for document in list_containers(one.root):
        container = Container.load(document["id"], one.root)
        container.delete(force=True)
        if container.pid:
            container.wait()
    shutil.rmtree(one.root, ignore_errors=True)
    left = snapshot.leftovers(before, one.token, one.root)
    assert not left, f"left behind: {left}"
