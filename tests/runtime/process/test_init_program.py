"""The sealed program of init, and sharing it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.plan import ops
from runtime.plan.encode import encode
from runtime.process import init_program, spawn

CONTENT = init_program.content()
F_SEAL_EXEC = 0x20


@pytest.fixture
def program(tmp_path: Path) -> Iterator[int]:
    descriptor = init_program.sealed(CONTENT, str(tmp_path))
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def like() -> Iterator[int]:
    descriptor = spawn.plan_descriptor(b"plan")
    yield descriptor
    os.close(descriptor)


def place(descriptor: int) -> tuple[str, int]:
    return f"/proc/self/fd/{descriptor}", os.fstat(descriptor).st_ino


def test_sealed(program: int) -> None:
    """The whole program, which cannot be written, cut, extended or made non-executable (since Linux 6.3)."""
    assert os.pread(program, 1 << 20, 0) == CONTENT
    with pytest.raises(PermissionError):
        os.write(program, b"x")
    for size in (0, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(program, size)
    if fcntl.fcntl(program, fcntl.F_GET_SEALS) & F_SEAL_EXEC:
        with pytest.raises(PermissionError):
            os.fchmod(program, 0o600)


def test_shared(program: int, like: int) -> None:
    """Another descriptor of the same file, for reading only."""
    other = init_program.shared(CONTENT, place(program), like)
    assert os.fstat(other).st_ino == os.fstat(program).st_ino
    assert fcntl.fcntl(other, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert not os.get_inheritable(other)
    os.close(other)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", b"x" + CONTENT[1:], b""])
def test_another_build(program: int, like: int, content: bytes) -> None:
    """The program of another build is not shared."""
    assert init_program.shared(content, place(program), like) == -1


def test_false_places(program: int, like: int, tmp_path: Path) -> None:
    """Another inode, another file system, nothing at all."""
    path, inode = place(program)
    assert init_program.shared(CONTENT, (path, inode + 1), like) == -1
    file = tmp_path / "init"
    file.write_bytes(CONTENT)
    file.chmod(0o777)
    assert init_program.shared(CONTENT, (str(file), file.stat().st_ino), like) == -1
    assert init_program.shared(CONTENT, (str(tmp_path / "none"), 1), like) == -1


def test_program_that_is_held(program: int, like: int, tmp_path: Path) -> None:
    """A descriptor open for writing prevents execve (ETXTBSY): init is started from a copy of its own."""
    plan = encode([ops.created()])
    held = os.open(f"/proc/self/fd/{program}", os.O_RDWR)
    inodes = []
    for _ in range(2):
        pid, socket, inode = spawn.start(plan, str(tmp_path), shared=place(program))
        inodes.append((inode, os.stat(f"/proc/{pid}/exe").st_ino))
        os.close(socket)
        os.waitpid(pid, 0)
        if held >= 0:
            os.close(held)
            held = -1
    (own, first), (none, second) = inodes
    assert own == first != second
    assert (none, second) == (0, os.fstat(program).st_ino)
