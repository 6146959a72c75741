"""CVE-2021-30465 and CVE-2024-45310: somebody swaps directories for symlinks while targets are made and mounted on."""

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.plan import ops
from tests.csrc.init_runner import run

pytestmark = pytest.mark.usefixtures("needs_root")

RENAME_EXCHANGE = 2
ROUNDS = 60


def swap_for_ever(one: Path, other: Path) -> None:
    """In a child: exchanges two names until it is killed. One system call each: no pause in which neither is there."""
    libc = ctypes.CDLL(None)
    first, second = os.fsencode(one), os.fsencode(other)
    while True:
        libc.renameat2(-100, first, -100, second, RENAME_EXCHANGE)


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Path]:
    """A root in which /volume/target is a directory and a symlink to the host in turn."""
    (tmp_path / "outside").mkdir()
    volume = tmp_path / "rootfs/volume"
    (volume / "target").mkdir(parents=True)
    (volume / "other").symlink_to(tmp_path / "outside")
    pid = os.fork()
    if pid == 0:
        try:
            swap_for_ever(volume / "target", volume / "other")
        finally:
            os._exit(1)
    yield tmp_path
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def plan(round: int, source: Path) -> "list[ops.Operation]":
    below = f"/volume/target/made-{round}"
    return [
        ops.bind(f"{below}/a/b", str(source)),
        ops.mount(f"{below}/tmpfs", "tmpfs", "tmpfs"),
        ops.mount(f"{below}/silent", "ramfs", "ramfs", flags=2, superblock=1 << 15),
        ops.device(f"{below}/node", 0o20000, 1, 3, 0o666, 7, 7),
        ops.symlink("x", f"{below}/link"),
        ops.mask("/volume/target"),
    ]


def test_nothing_is_made_or_mounted_outside(attacked: Path) -> None:
    """Whatever the swaps hit, an operation succeeds in the root or fails: the host's directory stays as it was."""
    source = attacked / "source"
    source.touch()
    for round in range(ROUNDS):
        started = run(attacked / "rootfs", plan(round, source))
        try:
            inside = f"{attacked}/rootfs"
            table = Path(f"/proc/{started.pid}/mountinfo").read_text() if started.failure is None else ""
            ours = [line.split()[4] for line in table.splitlines() if str(attacked) in line.split()[4]]
            assert all(path.startswith(inside) for path in ours)
        finally:
            started.stop()
        assert list((attacked / "outside").iterdir()) == []
