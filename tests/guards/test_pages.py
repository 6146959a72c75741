"""The pages that each hot verb touches, within a tenth: they are most of the time that a process of the image takes.

tests/guards/pages.toml has the smallest number of minor page faults (ru_minflt) of some runs, with the release of Python
that it names; another may touch fewer. What changed on purpose is
written by `make test ARGS="tests/guards/test_pages.py --write-pages"` and shows in the diff.
"""

import os
import select
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.bundle import BUSYBOX, Bundle, build_busybox_rootfs, default_config, merge

FIGURES = Path(__file__).parent / "pages.toml"
ROUNDS = 10
TOLERANCE = 0.1
RELEASE = "{}.{}".format(*sys.version_info)
CONTAINER = f"pages-{os.getpid()}"
LIFE = {
    "create": ["--bundle", "bundle", "--pid-file", "pid", CONTAINER],
    "state": [CONTAINER],
    "start": [CONTAINER],
    "exec": [CONTAINER, "/bin/true"],
    "kill": [CONTAINER, "KILL"],
    "delete": [CONTAINER],
}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ocirun-pages-"))
    (directory / "bundle/rootfs").mkdir(parents=True)
    build_busybox_rootfs(directory / "bundle/rootfs")
    Bundle(directory / "bundle", merge(default_config(), {"process": {"args": ["sleep", "60"]}})).save()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def faults(program: Path, place: Path, *words: str) -> int:
    """Minor page faults of one call."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)]
    command = [str(program), "--root", str(place / "state"), *words]
    pid = os.posix_spawn(program, command, {"PATH": os.environ["PATH"]}, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    os.close(null)
    assert status == 0, words
    return usage.ru_minflt


def measured(program: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The smallest number of each verb."""
    monkeypatch.chdir(place)
    found = dict.fromkeys(LIFE, 1 << 30)
    try:
        for _ in range(ROUNDS):
            for verb, words in LIFE.items():
                if verb == "delete":
                    wait_for_the_end(place)
                found[verb] = min(found[verb], faults(program, place, verb, *words))
    finally:
        faults(program, place, "delete", "--force", CONTAINER)
    return found


def wait_for_the_end(place: Path) -> None:
    """Of the container's process, which is not our child."""
    try:
        process = os.pidfd_open(int((place / "pid").read_text()))
    except ProcessLookupError:
        return
    select.select([process], [], [], 10)
    os.close(process)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox-static is not installed")
def test_pages_of_the_hot_verbs(
    image: Path, place: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    """No hot verb of the image touches a tenth more pages than the file says; a tenth less must be written down too."""
    found = measured(image, place, monkeypatch)
    if request.config.getoption("--write-pages"):
        lines = "".join(f"{verb} = {number}\n" for verb, number in found.items())
        FIGURES.write_text(f'python = "{RELEASE}"\n{lines}')
    figures = tomllib.loads(FIGURES.read_text())
    if figures.pop("python") != RELEASE:
        found = {verb: max(number, figures[verb]) for verb, number in found.items()}
    assert found == {verb: pytest.approx(number, rel=TOLERANCE) for verb, number in figures.items()}
