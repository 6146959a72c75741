"""Cached seccomp programs outlive an upgrade: what compiles them has a version in the cache's key, raised when it changes."""

import hashlib
import re

import pytest

from runtime import seccomp
from tests.guards.sources import TREE, python_files

KEPT = TREE / "tests" / "guards" / "seccomp-version.txt"
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def digest() -> str:
    """Of the code that makes a program, without comments and layout."""
    whole = hashlib.sha256()
    for name in ("runtime/seccomp.py", *sorted(name for name in python_files("runtime/plan") if "/seccomp" in name)):
        lines = [line.strip() for line in (TREE / name).read_text().splitlines()]
        whole.update("\n".join(line for line in lines if line and not line.startswith("#")).encode())
    whole.update(" ".join(COMMENT.sub("", (TREE / "csrc/seccomp.c").read_text()).split()).encode())
    return whole.hexdigest()


def test_a_change_of_the_compilation_raises_the_version(request: pytest.FixtureRequest) -> None:
    """An ocirun that compiles a profile otherwise does not take the program that an older one has left in the cache."""
    now = f"{seccomp.VERSION} {digest()}\n"
    if request.config.getoption("--write-goldens"):
        KEPT.write_text(now)
    assert KEPT.read_text() == now, (
        "raise VERSION in runtime/seccomp.py if a profile may now give another program, or another entry of the cache; then"
        ' make test ARGS="tests/guards/test_seccomp_version.py --write-goldens"'
    )
