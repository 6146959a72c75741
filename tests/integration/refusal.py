"""A caller under a filter of its own, by which the kernel refuses a system call."""

from __future__ import annotations

import ctypes
import errno
import struct

ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_*
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # of classic BPF


def refuse(number: int, argument: tuple[int, int] | None = None, error: int = errno.EPERM) -> None:
    """For the child: the system call fails with ``error``, or only where the argument (its index) has the value."""
    tests = [(LOAD, 0, 0, 0), (EQUAL, 0, 3 if argument else 1, number)]
    if argument:
        tests += [(LOAD, 0, 0, 16 + 8 * argument[0]), (EQUAL, 0, 1, argument[1])]
    program = [*tests, (RETURN, 0, 0, ERRNO | error), (RETURN, 0, 0, ALLOW)]
    text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    header = struct.pack("@HxxxxxxQ", len(program), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, header) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def refuse_keyctl() -> None:
    """As a container engine's filter does."""
    refuse(250)  # of x86-64
