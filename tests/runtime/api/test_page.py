"""docs/api.md and contrib/examples: what is shown there runs as it stands there, and has the right types."""

import inspect
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ocirun
import pytest
from ocirun import Container, Process, aio
from ocirun import images as ocirun_images
from ocirun.aio import images as aio_images

from tests.conftest import TREE
from tests.integration import images, snapshot
from tests.integration.bundle import default_config
from tests.runtime.api.place import on_real_containers

PAGE = (TREE / "docs/api.md").read_text()
RECIPES = [block.partition("\n```\n")[0] + "\n" for block in PAGE.split("\n```python\n")[1:]]
EXAMPLES = sorted((TREE / "contrib/examples").glob("*.py"))

# What each prints, in the order of the page.
PRINTED = [
    ["it says line 1", "it says line 3", "it ended with 0"],
    ["['apple', 'pear'] 0"],
    [
        "0 ['1000', '/bin', 'value', 'from outside', '']",
        "ls ended with 1",
        "sleep 60: did not end within 0.2 seconds",
    ],
    ["got hello", "the shell ended with 0"],
    ["'limit': 20", "67108864 True"],
    ["memory ran out: True statistics: True"],
    ["error /process/cwd", "refused:", "'/process/cwd'"],
    ["ended with 7"],
    ["paused", "'differs': 0", "1.3.0"],
    ["'0 ended with 137'", "'9 ended with 137'"],
    ["['/made']", "sha256:"],
]


@pytest.fixture
def workplace(directory: Path, tmp_path: Path) -> Iterator[Path]:
    """A directory with a bundle, as the page has it, in which nothing may be left."""
    token = f"page{secrets.token_hex(4)}"
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/config.json").write_text(json.dumps(default_config()))
    tmp_path.joinpath("token").write_text(token)
    os.symlink(directory / "rootfs", tmp_path / "bundle/rootfs")
    images.layout(tmp_path / "image", images.tree_archive(directory / "rootfs"), config={"Cmd": ["sh"]})
    before = snapshot.take(token, tmp_path / "state")
    yield tmp_path
    assert ocirun.list_containers(tmp_path / "state") == []
    shutil.rmtree(tmp_path / "state", ignore_errors=True)
    left = snapshot.leftovers(before, token, tmp_path / "state")
    assert not left, f"left behind: {left}"


def output(workplace: Path, code: str, *arguments: str, ids: str) -> str:
    """What the program prints. Its ids become ours: other tests may run on this machine."""
    token = (workplace / "token").read_text()
    for quote in ('"', "'"):
        code = code.replace(f"{quote}{ids}", f"{quote}{token}")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": f"{TREE}:{TREE / 'runtime/import'}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_there_are_eleven_recipes() -> None:
    """For each of them the tests know what it prints."""
    assert len(RECIPES) == len(PRINTED) == 11


@on_real_containers
@pytest.mark.parametrize("number", range(11))
def test_a_recipe(workplace: Path, number: int) -> None:
    """It runs, prints what it should, and leaves nothing."""
    printed = output(workplace, RECIPES[number], ids="demo")
    assert [words for words in PRINTED[number] if words not in printed] == [], printed


@on_real_containers
def test_the_example_of_one(workplace: Path) -> None:
    """Limits, output, events, exec, update, and what it wrote."""
    printed = output(workplace, (TREE / "contrib/examples/one.py").read_text(), "image:latest", ids="example")
    for words in (
        "output: step 1",
        "event: stats",
        "output: left by exec",
        "limit: 10",
        "status: 0",
        "wrote: ['/note', '/steps']",
    ):
        assert words in printed


@on_real_containers
def test_the_example_of_fifty(workplace: Path) -> None:
    """Fifty at once."""
    printed = output(workplace, (TREE / "contrib/examples/fifty.py").read_text(), "image:latest", ids="example")
    assert "50 containers in" in printed
    assert "each: (3, 'started', 'went on')" in printed


def test_the_types(tmp_path: Path) -> None:
    """mypy --strict has nothing to say of the recipes and of the examples, with the package as a caller has it."""
    (tmp_path / "site").mkdir()
    for name, place in (("oci_spec", "oci_spec"), ("runtime", "runtime"), ("ocirun", "runtime/import/ocirun")):
        (tmp_path / "site" / name).symlink_to(TREE / place)
    for number, code in enumerate(RECIPES):
        (tmp_path / f"recipe{number}.py").write_text(code)
    for path in EXAMPLES:
        (tmp_path / f"example_{path.name}").write_text(path.read_text())
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", *sorted(tmp_path.glob("*.py"))],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def public(*kinds: type) -> set[str]:
    return {name for kind in kinds for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


def test_the_page_names_every_call() -> None:
    """docs/api.md has each public name."""
    names = public(Container, Process) | set(ocirun.__all__) | set(aio.__all__) | set(aio_images.__all__)
    assert {name for name in names if name not in PAGE} == set()


def test_both_kinds_do_the_same() -> None:
    """What a container or a program can do, it can with asyncio too."""
    assert public(Container) - public(aio.AsyncContainer) == {"poll", "pidfd", "status"}
    assert public(Process) - public(aio.AsyncProcess) == {"poll", "pidfd"}
    assert set(ocirun_images.__all__) == set(aio_images.__all__)
