"""What every test may use: the tree, and the command that `make` built in it.

Fixtures of real containers are in tests/integration/conftest.py.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest

if "_hypothesis_pytestplugin" in sys.modules:  # not where `-p no:hypothesispytest` saves the time of loading it
    from hypothesis import HealthCheck, settings

    # The same examples in each run, so that a rare find does not fail an unrelated change, on a machine of any speed. To
    # explore: --hypothesis-profile=default.
    settings.register_profile(
        "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("repeatable")

TREE = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-imports",
        action="store_true",
        help="write tests/guards/imports anew instead of comparing with it",
    )
    parser.addoption(
        "--write-goldens",
        action="store_true",
        help="write tests/golden anew instead of comparing with it",
    )
    parser.addoption("--write-pages", action="store_true", help="write tests/guards/pages.toml anew, likewise")
    parser.addoption("--launcher", action="store_true", help="run the tests that start the command, with the launcher")
    parser.addoption(
        "--kubernetes", action="store_true", help="run tests/kubernetes, whose programs Go builds in some ten minutes"
    )
    parser.addoption("--share", metavar="I/N", default="1/1", help="run every Nth of the tests, from the Ith on")


LAUNCHER = TREE / "build/launcher/ocirun"
COMMAND_TESTS = [TREE / "tests" / name for name in ("integration", "security", "runtime")]
OTHERS = {"test_managers.py", "test_static.py"}  # behind a manager; about the image itself
COMMAND_FIXTURES = {"ocirun", "runtime", "runtime_program", "target"}


def starts_the_command(item: pytest.Item) -> bool:
    """Whether the test's result may depend on which command it is: not with a peer."""
    fixtures = {*getattr(item, "fixturenames", ())}
    parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
    peers = {"runc", "crun"}.intersection(one for one in parameters if isinstance(one, str))
    below = any(directory in item.path.parents for directory in COMMAND_TESTS)
    return below and bool(COMMAND_FIXTURES & fixtures) and not peers and item.path.name not in OTHERS


def deselect(config: pytest.Config, items: list[pytest.Item], kept: list[pytest.Item]) -> None:
    """Leave only the tests to keep."""
    if len(kept) < len(items):
        chosen = {*map(id, kept)}
        config.hook.pytest_deselected(items=[item for item in items if id(item) not in chosen])
        items[:] = kept


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The share of one machine among several, of the tests that the other options leave.

    Dealt out forwards, then backwards, since the second of two variants of a test is often the longer one.
    """
    if config.getoption("--launcher"):
        deselect(config, items, [item for item in items if starts_the_command(item)])
    number, shares = map(int, config.getoption("--share").split("/"))
    order = [*range(1, shares + 1), *range(shares, 0, -1)]
    deselect(config, items, [item for index, item in enumerate(items) if order[index % len(order)] == number])


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM, as `timeout` sends it, ends a run as Ctrl-C does: with the fixtures' teardown, which removes containers.

    So does SIGINT, also where a shell has started the run in the background and SIGINT was ignored.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--launcher"):
        os.environ["OCIRUN_RUNTIME"] = str(LAUNCHER)


@pytest.fixture(scope="session")
def tree() -> Path:
    """The root of the source tree."""
    return TREE


@pytest.fixture(scope="session")
def ocirun(tree: Path, request: pytest.FixtureRequest) -> Path:
    """build/ocirun, or with --launcher the launcher; `make test` builds both; without it the test fails."""
    path = LAUNCHER if request.config.getoption("--launcher") else tree / "build/ocirun"
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is not there: type make")
    return path


@pytest.fixture(scope="session")
def image(tree: Path) -> Path:
    """build/ocirun where it is an image; otherwise the test is skipped."""
    program = tree / "build/ocirun"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if "(image)" not in said:
        pytest.skip("build/ocirun is the launcher: no image could be built here")
    return program


@pytest.fixture
def needs_root() -> None:
    """For a test outside tests/integration that only root can run."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
