"""Fixtures of the integration tests: a runtime with its own state root, and a check that nothing is left.

OCIRUN_RUNTIME picks the runtime under test; build/ocirun is the default. runc and crun are there to show
that a test asks for what every runtime does.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration import snapshot
from tests.integration.bundle import BUSYBOX, build_busybox_rootfs, debian_rootfs
from tests.integration.caller import DEFAULT_RUNTIME, Caller
from tests.integration.prepared import parents, prepare

__all__ = ["parents", "prepare"]  # fixtures

HERE = Path(__file__).parent


def chosen_runtime() -> str:
    name = os.environ.get("OCIRUN_RUNTIME") or str(DEFAULT_RUNTIME)
    return shutil.which(name) or name


DRIVERS = ("cgroupfs", "systemd")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of the list of docs/cgroups.md runs with each driver."""
    if metafunc.definition.get_closest_marker("cgroups"):
        metafunc.parametrize("driver", DRIVERS, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    runtime = chosen_runtime()
    reason = None
    if os.geteuid() != 0:
        reason = "needs root"
    elif not os.access(runtime, os.X_OK):
        reason = f"{runtime} is not built"
    elif not BUSYBOX.exists():
        reason = f"{BUSYBOX} is not installed"
    name = os.path.basename(runtime)
    for item in ours:
        if reason and "no_runtime" not in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))
        for mark in item.iter_markers("not_on"):
            if name in mark.args:
                item.add_marker(pytest.mark.skip(reason=f"{name}: {mark.kwargs['reason']}"))


@pytest.fixture(scope="session")
def runtime_program() -> str:
    return chosen_runtime()


@pytest.fixture(scope="session")
def workplace() -> Iterator[Path]:
    """A directory that a container's mapped users can pass through; pytest's own are closed to them."""
    directory = Path(tempfile.mkdtemp(prefix="ocirun-tests-"))
    directory.chmod(0o755)
    snapshot.become_subreaper()
    if os.path.basename(chosen_runtime()) == "crun":
        snapshot.hide_hybrid_controllers()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def busybox(workplace: Path) -> Path:
    """The busybox root file system that the bundles copy."""
    directory = workplace / "busybox"
    directory.mkdir()
    build_busybox_rootfs(directory)
    return directory


@pytest.fixture(scope="session")
def debian() -> Path:
    try:
        return debian_rootfs()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no Debian root file system: {error}")


@pytest.fixture
def token() -> str:
    """A word that is in the name of everything the test makes."""
    return f"t{secrets.token_hex(4)}"


def cgroup_version() -> str:
    """ "v1", "hybrid" or "v2": what this machine has."""
    kinds = {kind for _, kind in snapshot.cgroup_hierarchies()}
    return "hybrid" if len(kinds) == 2 else {"cgroup": "v1", "cgroup2": "v2"}.get("".join(kinds), "none")


@pytest.fixture
def driver(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> str:
    """Who makes the cgroups. It and the cgroups' version stand in the test's report, for docs/cgroups.md."""
    chosen = str(getattr(request, "param", DRIVERS[0]))
    record_property("driver", chosen)
    record_property("cgroups", cgroup_version())
    if chosen == "systemd" and not os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd does not run here")
    return chosen


@pytest.fixture
def runtime(runtime_program: str, workplace: Path, busybox: Path, token: str, driver: str) -> Iterator[Caller]:
    """The runtime under test. At the end its containers are deleted by force, and nothing may be left."""
    directory = workplace / token
    directory.mkdir()
    caller = Caller(runtime_program, directory, token, busybox, driver)
    caller.root.mkdir()
    before = snapshot.take(token, caller.root)
    yield caller
    caller.remove_all()
    left = snapshot.leftovers(before, token, caller.root)
    caller.discard()
    assert not left, f"left behind: {left}"


@pytest.fixture
def netns(token: str) -> Iterator[Callable[[], str]]:
    """Makes named network namespaces; they go at the end."""
    if not shutil.which("ip"):
        pytest.skip("ip (iproute2) is not installed")
    made: list[str] = []

    def make() -> str:
        name = f"{token}-{len(made)}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        made.append(name)
        return f"/run/netns/{name}"

    yield make
    for name in made:
        subprocess.run(["ip", "netns", "delete", name], check=True)
