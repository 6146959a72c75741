"""The table of operations is the one source of them: what is made from it is as it stands, and C names every argument."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.plan import ops
from tests.guards.sources import TREE, c_files

MADE = ("csrc/operations.h", "csrc/arguments.h", "csrc/dispatch.c", "runtime/plan/ops.py")
# An index of arguments.h may stand here only: a number's, a string's.
NUMBER = re.compile(r"\b(?:op->number|n)\[(\w+)\]")
STRING = re.compile(
    r"\bop->string\[(\w+)\]|\b(?:text|next_text|text_array|array_size|fill_array)\(ctx, op, (\w+)[,)]|\bhas_text\(op, (\w+)\)"
    r"|\b(?:read_bits|load_filter)\(ctx, op, (\w+),|\bconfigure\(ctx, op, fs, (\w+),"
)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def enums() -> dict[str, str]:
    """The names of arguments.h, each with its kind."""
    text = (TREE / "csrc/arguments.h").read_text()
    found = re.findall(r"enum \w+_(number|string) \{(.*?)\}", text, re.DOTALL)
    return {name: kind for kind, names in found for name in re.findall(r"\w+", names)}


def sources() -> list[Path]:
    return [path for path in c_files() if path.suffix == ".c" or path.name == "scheduling.h"]


def places(text: str, pattern: re.Pattern[str]) -> list[str]:
    return [next(filter(None, found.groups())) for found in pattern.finditer(COMMENT.sub("", text))]


def test_what_is_made_is_up_to_date(tmp_path: Path) -> None:
    """`make generate` changes nothing."""
    subprocess.run([sys.executable, str(TREE / "csrc/tools/operations.py"), str(tmp_path)], check=True)
    stale = [name for name in MADE if (tmp_path / name).read_text() != (TREE / name).read_text()]
    assert stale == [], "run make generate"


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_an_argument_has_a_name(path: Path) -> None:
    """No number or string of an operation is taken by a bare index."""
    text = path.read_text()
    bare = [index for index in places(text, NUMBER) + places(text, STRING) if index.isdigit()]
    assert bare == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_a_name_is_an_index(path: Path) -> None:
    """Not a flag, and not an index of the other kind: BIND_RECURSIVE is where the flag BIND_REC stands."""
    kinds, text = enums(), path.read_text()
    taken = {"number": places(text, NUMBER), "string": places(text, STRING)}
    for name, kind in kinds.items():
        used = len(re.findall(rf"\b{name}\b", COMMENT.sub("", text)))
        assert used == taken[kind].count(name), name


def test_every_argument_is_used() -> None:
    """Init looks at each number and string that it is sent, but for those that are the parent's to read."""
    text = "".join(path.read_text() for path in sources())
    unused = {name for name in enums() if not re.search(rf"\b{name}\b", text)}
    assert unused == {"EXEC_NAME", "SECCOMP_NOTIFY_LISTENER_PATH", "SECCOMP_NOTIFY_LISTENER_METADATA"}


def test_a_function_looks_at_its_own_arguments() -> None:
    """A function of an operation takes no argument of another one."""
    names = sorted((name for name, _, _ in ops.TABLE), key=len, reverse=True)
    kinds = enums()
    owner = {index: next(name for name in names if index.startswith(f"{name.upper()}_")) for index in kinds}
    for path in sources():
        for function, body in re.findall(
            r"^int op_(\w+)\([^)]*\)\n\{(.*?)^\}", path.read_text(), re.DOTALL | re.MULTILINE
        ):
            foreign = {
                index for index in re.findall(r"\b[A-Z][A-Z_]+\b", body) if owner.get(index, function) != function
            }
            assert foreign == set(), function
