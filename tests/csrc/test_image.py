"""The image (docs/image.md): what is in the file, what its build refuses, and what its processes are.

Images with other contents are made from copies of csrc/image, without the training unless a test is about it.
"""

import array
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from oci_spec.default import default
from tests.conftest import TREE

SECRET = "only-the-builder-knows"
STDLIB = sysconfig.get_path("stdlib")
# A process that runs the code of its first argument in the place of the command.
PROBE = """
def main() -> int:
    import time, _thread
    tell = lambda *words: posix.write(1, repr(words).encode() + b"\\n")
    exec(argv[1], {**globals(), "tell": tell, "time": time, "_thread": _thread})
    return 0
"""
ADDRESS = """
with open("/proc/self/maps") as file:
    stray = next(line for line in file if "[{}]" in line).partition("-")[0]
stray = (int(stray, 16) + 64).to_bytes(8, "little")
"""
OTHER_TRAINING = """
class Untrained(Exception):
    pass

def train(call, directory, program):
    from runtime import cli
    {}
"""


@pytest.fixture(scope="session")
def buildable(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The test is skipped where csrc/tools/image.py says why no image can be built."""
    command = [sys.executable, TREE / "csrc/tools/image.py", tmp_path_factory.mktemp("prepared")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no image can be built: {done.stderr.strip()}")


def test_the_image_is_not_lost(buildable: None, tree: Path):
    """Where an image can be built, build/ocirun is one."""
    if os.environ.get("IMAGE") == "no":
        pytest.skip("IMAGE=no was asked for")
    assert (
        "(image)"
        in subprocess.run([tree / "build/ocirun", "--version"], capture_output=True, text=True, check=True).stdout
    )


class Place:
    """A directory that looks like the tree to seed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "csrc").mkdir(parents=True)
        (directory / "build").mkdir()
        shutil.copytree(TREE / "csrc/image", directory / "csrc/image")
        (directory / "build/site").symlink_to(TREE / "build/site")

    def edit(self, file: str, old: str, new: str) -> "Place":
        path = self.directory / "csrc/image" / file
        text = path.read_text()
        assert text.count(old) == 1 or not old
        path.write_text(text.replace(old, new) if old else text + new)
        return self

    def dump(self, program: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run seed, which makes `output`."""
        words = [
            "output",
            "0",
            STDLIB,
            "/proc/self/cwd/csrc/image",
            "build/site",
            program,
            program and "build/training",
        ]
        seed = TREE / "build/image/seed"
        environment = {"PATH": os.environ["PATH"], **variables}
        return subprocess.run(
            [seed, *words], cwd=self.directory, env=environment, capture_output=True, text=True, check=False
        )

    @property
    def output(self) -> Path:
        return self.directory / "output"

    def content(self, program: str = "", **variables: str) -> bytes:
        done = self.dump(program, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        return self.output.read_bytes()


@pytest.fixture
def place(image: Path, tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


# What is in the file


def test_builds_are_reproducible(image: Path, tmp_path: Path):
    """Two images without training are equal to the byte, though built elsewhere, by another process, with other variables."""
    first = Place(tmp_path / "first").content()
    assert Place(tmp_path / "second, with another length").content(LANG="de_DE.UTF-8", HOME="/nowhere") == first


def test_training_changes_little(image: Path, tmp_path: Path, needs_root: None):
    """Two trained images have the same size, give or take a page, and differ in counters and caches: less than 3 % of the words."""
    files = [Place(tmp_path / name).content(str(TREE / "build/image/pause")) for name in ("first", "second")]
    assert abs(len(files[0]) - len(files[1])) <= 4 * 4096
    words = [array.array("Q", file[: min(map(len, files)) // 8 * 8]) for file in files]
    assert sum(left != right for left, right in zip(*words, strict=True)) < len(words[0]) * 3 / 100


def test_nothing_of_the_builder(image: Path, place: Place, needs_root: None):
    """No variable of the build and no path of the builder is in the file, as bytes or as the interpreter's wide strings."""
    home = "/home/of-the-builder"
    trained = place.content(str(TREE / "build/image/pause"), SECRET_OF_THE_BUILDER=SECRET, HOME=home, PWD=home)
    for file, words in ((trained, [SECRET, home, str(place.directory)]), (image.read_bytes(), [str(TREE)])):
        for word in (*words, "SECRET_OF", f"{TREE}/.venv"):
            for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
                assert word.encode(encoding) not in file, (word, encoding)


def test_file_names_do_not_say_where(place: Place):
    """Whatever a module's file or code is called, it begins with "ocirun:" or is the interpreter's own."""
    place.edit("contents.py", "", PROBE).content()
    code = """
codes = [value.__code__ for value in gc.get_objects() if type(value) is type(main)]
gc.unfreeze()
codes += [value.__code__ for value in gc.get_objects() if type(value) is type(main)]
names = {code.co_filename for code in codes} | {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
tell(*sorted(name for name in names if not name.startswith(("ocirun:", "<")) and name))
"""
    assert tell(place, code) == "()\n"


# What the build refuses


@pytest.mark.parametrize("mapping", ["stack", "vdso"])
def test_a_stray_pointer(place: Place, mapping: str):
    """A word that points to what the new process will not have fails the build, and no file is written."""
    done = place.edit("contents.py", "", ADDRESS.format(mapping)).dump()
    assert done.returncode == 1
    assert re.search(r"^a stray pointer at 0x[0-9a-f]+: 7f", done.stderr, re.MULTILINE)
    assert not place.output.exists()


@pytest.mark.parametrize(("offset", "status"), [(64, 1), (0, 0)])
def test_the_memory_of_brk(place: Place, offset: int, status: int):
    """A word within its pages is a pointer; the start of one may be the version of a dict."""
    done = place.edit("contents.py", "", ADDRESS.format("heap").replace("64", str(offset))).dump()
    assert (done.returncode, place.output.exists()) == (status, status == 0)
    assert bool(re.search(r"^a stray pointer at 0x[0-9a-f]+: [0-9a-f]+040$", done.stderr, re.MULTILINE)) == bool(status)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("cli.LONGEST = 1", "runtime.cli.LONGEST"),
        ("cli.CHOICES['rootless'] = 1", "runtime.cli.CHOICES"),
        ("cli.remembered = ['x']", "runtime.cli.remembered"),
    ],
)
def test_a_training_that_stays(place: Place, change: str, name: str):
    """A module of ours that remembers something of the training fails the build."""
    (place.directory / "csrc/image/training.py").write_text(OTHER_TRAINING.format(change))
    done = place.dump("program")
    assert done.returncode == 1
    assert f"the training stays in {name}\n" in done.stderr
    assert not place.output.exists()


def test_a_module_with_a_seed_of_its_own(place: Place):
    """A module that seeds itself once and again after a fork, such as random, cannot be in an image."""
    seeded = "import os\n\ndef seed():\n    pass\n\nos.register_at_fork(after_in_child=seed)\n"
    (place.directory / "csrc/image/seeded.py").write_text(seeded)  # random itself needs what 3.12's library leaves out
    done = place.edit("contents.py", "LATE = (", 'LATE = ("seeded", ').dump()
    assert done.returncode == 1
    assert "a new process has to call a function of seeded" in done.stderr


def test_a_module_that_cannot_be_imported(place: Place):
    """A module that an image lacks fails the build, not a process."""
    done = place.edit("contents.py", "LATE = (", 'LATE = ("_ctypes", ').dump()
    assert done.returncode == 1
    assert "No module named '_ctypes'" in done.stderr


# What a process is


@pytest.fixture(scope="module")
def probe(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An image whose processes run the code that they are given."""
    made = Place(tmp_path_factory.mktemp("probe") / "place").edit("contents.py", "", PROBE)
    made.content()
    return made


def tell(place: Place, code: str, *arguments: str | bytes, **variables: str) -> str:
    done = subprocess.run(
        [place.output, code, *arguments], capture_output=True, text=True, env=variables, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_nothing_random_is_in_it(probe: Place):
    """The hash seed is the image's; what is random is asked of the kernel, and no module that seeds itself is there."""
    code = "tell(hash('a'), {'random', 'tempfile', 'secrets'} & {*sys.modules}); tell(posix.urandom(16))"
    first, second = (tell(probe, code).splitlines() for _ in range(2))
    assert first[0] == second[0]
    assert first[0].endswith("set())")
    assert first[1] != second[1]


def test_arguments_and_variables(probe: Place):
    """The interpreter's arguments and variables are those of the process, bytes that are not UTF-8 included."""
    code = "tell(argv[2:], sorted(posix.environ.items()), sys.path, posix.getpid() == _thread.get_native_id())"
    told = tell(probe, code, b"\xff", "ä", "", A="1", B="\udcff=")
    assert told == repr((["\udcff", "ä", ""], [(b"A", b"1"), (b"B", b"\xff=")], [], True)) + "\n"


def test_the_time_zone(probe: Place):
    """Local time is that of TZ."""
    assert tell(probe, "tell(time.localtime(0).tm_hour)", TZ="XYZ-14") == "(14,)\n"


def test_more_memory_than_the_segment(probe: Place):
    """Blocks come from the kernel when the segment is full; a process that returns them does not grow for ever."""
    code = """
def round():
    blocks = [bytes([n]) * (1 << 20) for n in range(200)]
    assert all(block.count(n) == 1 << 20 for n, block in enumerate(blocks))
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) >> 8
round(); first = round()
tell([round() for _ in range(5)][-1] - first < 8, first > 200)
"""
    assert tell(probe, code) == "(True, True)\n"


def test_threads_and_forks(probe: Place):
    """Threads that take and return blocks do each other no harm, nor to the children of a fork among them."""
    code = """
def work(n):
    while running:
        assert {str(n * i): [i] * (i % 50) for i in range(200)}[str(n * 9)] == [9] * 9
    ended.append(n)
running, ended = True, []
for n in range(1, 4):
    _thread.start_new_thread(work, (n,))
statuses = set()
for _ in range(100):
    child = posix.fork()
    if not child:
        {n: str(n) for n in range(1000)}
        posix._exit(0)
    statuses.add(posix.waitpid(child, 0)[1])
running = False
while len(ended) < 3:
    time.sleep(0.01)
tell(statuses)
"""
    assert tell(probe, code) == "({0},)\n"


@pytest.mark.parametrize(
    "annotations",
    [
        {"com.example.long": "x" * (15 << 20)},
        {f"com.example.{number:0200}": "value" for number in range(60_000)},
    ],
    ids=["one string", "many keys"],
)
def test_a_large_config(image: Path, tmp_path: Path, annotations: dict[str, str]):
    """A config close to the limit of 16 MiB is read and found good."""
    (tmp_path / "config.json").write_text(json.dumps({**default(), "annotations": annotations}))
    command = [image, "validate", "--no-host", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
