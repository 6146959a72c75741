"""System calls as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from runtime.plan.call_text import LONGEST, SIGNATURES, call_text

MEMORY = {
    0x1000: b"/etc/passwd\0more",
    0x2000: b'a"b\\\x1b\xff\0',
    0x3000: b"x" * 300,
    0x4000: (0x10000200).to_bytes(8, "little"),
}


def read(address: int, length: int) -> bytes:
    return MEMORY.get(address, b"")[:length]


CALLS: list[tuple[str, Sequence[int], str]] = [
    ("openat", [0xFFFFFF9C, 0x1000, 0x80000, 0], 'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC, 0)'),
    (
        "openat",
        [(1 << 64) - 100, 0x1000, 0x241, 0o644],
        'openat(AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT|O_TRUNC, 0644)',
    ),
    ("mkdir", [0, 0o777], "mkdir(NULL, 0777)"),
    ("rmdir", [0x99], "rmdir(0x99)"),
    ("rmdir", [0x2000], 'rmdir("a\\"b\\\\\x1b\\\\xff")'),
    ("rmdir", [0x3000], f'rmdir("{"x" * LONGEST}"…)'),
    ("socket", [16, 0x80003, 15], "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, 15)"),
    ("socket", [99, 77, 0], "socket(99, 13|0x40, 0)"),
    ("clone", [0x10000011, 0, 0, 0, 0], "clone(CLONE_NEWUSER|SIGCHLD, NULL, NULL, NULL, NULL)"),
    ("clone3", [0x4000, 88], "clone3({flags=CLONE_NEWUSER|CLONE_FS, …}, 88)"),
    ("clone3", [0x5000, 88], "clone3(0x5000, 88)"),
    ("unshare", [0x80], "unshare(CLONE_NEWTIME)"),
    ("setns", [3, 0], "setns(3, 0)"),
    ("mount", [0x1000, 0, 0, 0x1002, 0], 'mount("/etc/passwd", NULL, NULL, MS_NOSUID|MS_BIND, NULL)'),
    ("kill", [(1 << 64) - 1, 9], "kill(-1, SIGKILL)"),
    ("kill", [1, 64], "kill(1, 64)"),
    ("prctl", [38, 1, 0, 0, 0], "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)"),
    ("prctl", [999, 1, 0, 0, 0], "prctl(999, 1, 0, 0, 0)"),
    ("rt_sigaction", [17, 0x10, 0, 8], "rt_sigaction(SIGCHLD, 0x10, NULL)"),
    ("getpid", [5, 5], "getpid()"),
    ("no_such_call", [1, 0, 0xABC, 0, 0, 0], "no_such_call(1, 0, 0xabc)"),
    ("no_such_call", [0] * 6, "no_such_call()"),
]


@pytest.mark.parametrize(("name", "args", "text"), CALLS, ids=[f"{i} {call[0]}" for i, call in enumerate(CALLS)])
def test_text_of_a_call(name: str, args: Sequence[int], text: str) -> None:
    """Paths are texts, flags are names, numbers have the sign that the call gives them."""
    padded = [*args, *[0] * (6 - len(args))]
    assert call_text(name, padded, read) == text


def test_every_signature_can_be_told() -> None:
    """No call that has a signature fails, whatever its arguments are."""
    nothing: Callable[[int, int], bytes] = lambda *_: b""  # noqa: E731
    for name in SIGNATURES:
        for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 64) - 1):
            assert call_text(name, [value] * 6, nothing).startswith(f"{name}(")
