"""Nodes of Kubernetes and of Swarm, with the runtime under test: `make kubernetes`. Without --kubernetes nothing here is collected."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "conformance/kubernetes"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.getoption("--kubernetes") else collection_path.suffix == ".py" or None


@pytest.fixture(scope="session")
def programs() -> Path:
    """The directory of what Go builds, which takes some ten minutes once."""
    import built
    import daemons
    import node

    missing = node.missing(*daemons.missing())
    if missing:
        pytest.fail(f"a node needs {', '.join(missing)}: make deps-kubernetes")
    return built.programs("containerd", "cri-tools", "kubernetes", "programs")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that a pod's mapped users can pass through."""
    directory = tmp_path_factory.mktemp("nodes")
    for one in (directory, *list(directory.parents)[:2]):
        one.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def node(programs: Path, ocirun: Path, workplace: Path, request: pytest.FixtureRequest) -> Iterator[object]:
    """A node whose only runtime is the one under test (OCIRUN_RUNTIME: a peer); nothing of it stays. OCIRUN_CRI=crio: with CRI-O."""
    import node
    from daemons import cri_node

    name = request.module.__name__.rpartition(".")[2]
    peer = os.environ.get("OCIRUN_RUNTIME")
    runtimes = {os.path.basename(peer): shutil.which(peer) or peer} if peer else {"ocirun": str(ocirun)}
    with node.running(cri_node(workplace / name, programs, runtimes)) as one:
        yield one
