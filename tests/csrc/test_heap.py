"""The image's heap, csrc/image/heap.c, by itself: a random walk with a shadow of every block, in one thread and in several."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import TREE

HERE = Path(__file__).parent
NAMES = "malloc calloc realloc free".split()
FLAGS = "-g -O1 -std=gnu11 -Wall -Wextra -Werror -pthread -fno-builtin-malloc".split()
STEPS = 60_000


def build(directory: Path, source: str, *more: str) -> Path:
    """heap_walk with this text of heap.c."""
    (directory / "heap.c").write_text(source)
    renamed = [f"-D{name}=heap_{name}" for name in NAMES]
    include = f"-I{TREE}/csrc/image"
    flags = [*FLAGS, *more]
    subprocess.run(["gcc", *flags, *renamed, include, "-c", "heap.c", "-o", "heap.o"], cwd=directory, check=True)
    command = ["gcc", *flags, include, "-no-pie", HERE / "heap_walk.c", "heap.o", "-o", "walk"]
    subprocess.run(command, cwd=directory, check=True)
    return directory / "walk"


def walk(program: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def source() -> str:
    return (TREE / "csrc/image/heap.c").read_text()


@pytest.fixture(scope="module")
def program(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    return build(tmp_path_factory.mktemp("heap"), source, *sanitizers)


@pytest.mark.parametrize("words", [(1, STEPS, 1), (2, STEPS, 1), (3, STEPS, 1, "sealed")])
def test_a_walk(program: Path, words: tuple[object, ...]):
    """Blocks are aligned, large enough, apart from each other, and keep their content; what cannot be had is refused."""
    done = walk(program, *words)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_walk_with_a_zone(program: Path):
    """The same where every third block is made in the zone of the hot ones, which a record of the same walk says."""
    done = walk(program, 5, STEPS, "hot")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_walk_of_several_threads(program: Path):
    """The same in four threads at once."""
    done = walk(program, 4, STEPS // 4, 4, "sealed")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fork_with_a_second_thread(program: Path):
    """A child of a process with two threads can take a block, wherever the other thread was."""
    done = walk(program, "fork", 500)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("round_up(size + HEADER, ALIGNMENT)", "round_up(size, ALIGNMENT)", (1, STEPS, 1)),
        ("memset(block, 0, bytes)", "block", (1, STEPS, 1)),
        ("old < size ? old : size", "old < size ? old / 2 : size", (1, STEPS, 1)),
        ("top = chunk + ALIGNMENT", "top = chunk + HEADER", (1, STEPS, 1)),
        ("atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)", "0", (4, STEPS, 4)),
        ("hot += size", "hot += HEADER", (5, STEPS, "hot")),
        ("pthread_atfork(lock, unlock, unlock);", "", ("fork", 2000)),
    ],
    ids=["room for the header", "zeroes", "copy", "alignment", "lock", "zone", "fork"],
)
def test_a_mistake_is_found(source: str, tmp_path: Path, right: str, wrong: str, words: tuple[object, ...]):
    """The walk bites: each of these mistakes in heap.c ends it."""
    assert source.count(right) == 1
    assert walk(build(tmp_path, source.replace(right, wrong), "-O2", "-Wno-error"), *words).returncode != 0
