"""Init's decoder and the walk over each operation's arguments under sanitizers: the corpus, and libFuzzer for ten seconds.

conformance/fuzz has the target; `make fuzz` runs it for an hour.
"""

import os
import re
import shutil
import subprocess

import pytest

from conformance.fuzz import seeds
from runtime.plan import ops
from runtime.plan.encode import encode
from tests.conftest import TREE

FUZZ = TREE / "conformance" / "fuzz"
LEAST = 95  # per cent of the decoder's lines
SECONDS = 10


def build(kind, output, sources=TREE / "csrc"):
    command = [FUZZ / "build.sh", kind, output]
    done = subprocess.run(
        command, env={**os.environ, "SOURCES": str(sources)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The plans of all configs, and those that were kept because they reach what the others do not."""
    return [*seeds.write(tmp_path_factory.mktemp("seeds")), *(FUZZ / "corpus").iterdir()]


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    return build("replay", tmp_path_factory.mktemp("replay") / "replay")


def run(program, plans):
    return subprocess.run([program, *plans], capture_output=True, text=True, timeout=120, check=False)


def test_the_corpus(replay, corpus):
    """Every plan of it is walked without a complaint of the sanitizers, and together they reach the whole decoder."""
    done = run(replay, corpus)
    assert (done.returncode, done.stderr) == (0, "")
    counts = ["gcov", "-n", replay.with_name("replay.objects") / "wire.gcda"]
    told = subprocess.run(counts, cwd=replay.parent, capture_output=True, text=True, check=True).stdout
    covered = re.search(r"File '[^']*wire\.c'\nLines executed:([\d.]+)%", told)
    assert covered, told
    assert float(covered[1]) >= LEAST


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("wire.c", "end < size && data[end] == '\\0'", "end < size"),
        ("wire.c", "plan->count * sizeof(struct plan_op) > size", "plan->count > size"),
        ("namespaces.c", "ctx->cgroups == MAX_CGROUPS", "ctx->cgroups == 2 * MAX_CGROUPS"),
    ],
    ids=["a string without its end", "records past the end", "too many cgroups"],
)
def test_a_mistake_is_found(tmp_path, file, right, wrong):
    """The target bites: with a check taken out of init, a plan that the check is for ends in a sanitizer's report."""
    shutil.copytree(TREE / "csrc", tmp_path / "csrc")
    source = tmp_path / "csrc" / file
    assert source.read_text().count(right) == 1
    source.write_text(source.read_text().replace(right, wrong))
    good = encode([ops.hostname("name")] + [ops.open_cgroup("/a", False, None)] * 40, seeds.ANSWERS)
    unended = good[:-1] + b"x"
    uncounted = bytearray(encode([ops.umask(0, None)] * 40))
    uncounted[8:12] = (41).to_bytes(4, "little")
    plans = []
    for name, data in (("good", good), ("unended", unended), ("uncounted", uncounted)):
        plans.append(tmp_path / name)
        plans[-1].write_bytes(data)
    done = run(build("replay", tmp_path / "replay", tmp_path / "csrc"), plans)
    assert done.returncode != 0
    assert re.search("AddressSanitizer|runtime error", done.stderr)


def test_search_for_the_longest_name(replay, tmp_path):
    """args[0] as long as a path may be, or longer, is looked for in the working directory without a step past the end."""
    plans = []
    for length in range(4090, 4100):
        operation = ops.program(["n" * length], [], ":/bin:", 0, False)
        plans.append(tmp_path / str(length))
        plans[-1].write_bytes(encode([operation], seeds.ANSWERS))
    done = run(replay, plans)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_ten_seconds(tmp_path, corpus):
    """libFuzzer finds nothing, beginning with the corpus."""
    if (
        not shutil.which("clang")
        or subprocess.run(
            ["clang", "-fsanitize=fuzzer", "-x", "c", "-", "-o", tmp_path / "probe"],
            input=b"int LLVMFuzzerTestOneInput(void) { return 0; }",
            capture_output=True,
            check=False,
        ).returncode
    ):
        pytest.skip("clang with libFuzzer is not installed (make deps-managers has it)")
    program = build("fuzz", tmp_path / "fuzz")
    (tmp_path / "found").mkdir()
    limits = [f"-max_total_time={SECONDS}", "-max_len=32768", "-timeout=10", "-detect_leaks=0"]
    directories = [tmp_path / "found", corpus[0].parent, FUZZ / "corpus"]
    command = ["nice", "-n", "19", program, *limits, *directories]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert re.search(r"^Done \d{4,} runs", done.stderr, re.MULTILINE), done.stderr[-1000:]
