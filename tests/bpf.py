"""A classic-BPF interpreter for seccomp filters, and reading the filters of a live process.

Only the instructions that seccomp(2) accepts (seccomp_check_filter in the kernel's kernel/seccomp.c); any other raises.
"""

import ctypes
import os
import struct
from collections.abc import Callable, Sequence

INSTRUCTION = struct.Struct("=HBBI")
DATA = struct.Struct("=iIQ6Q")

Instruction = tuple[int, int, int, int]

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, PTRACE_SECCOMP_GET_FILTER = 0x4206, 0x4207, 17, 0x420C
WALL = 0x40000000

MASK = 0xFFFFFFFF

ALU: dict[int, Callable[[int, int], int]] = {
    0x00: lambda a, b: a + b,
    0x10: lambda a, b: a - b,
    0x20: lambda a, b: a * b,
    0x30: lambda a, b: a // b,
    0x40: lambda a, b: a | b,
    0x50: lambda a, b: a & b,
    0x60: lambda a, b: a << b,
    0x70: lambda a, b: a >> b,
    0x80: lambda a, b: -a,
    0xA0: lambda a, b: a ^ b,
}
JUMP: dict[int, Callable[[int, int], int]] = {
    0x10: lambda a, b: a == b,
    0x20: lambda a, b: a > b,
    0x30: lambda a, b: a >= b,
    0x40: lambda a, b: a & b,
}


def decode(program: bytes) -> list[Instruction]:
    """The ``(code, jt, jf, k)`` of a struct sock_filter array."""
    return list(INSTRUCTION.iter_unpack(program))


def data(arch: int, number: int, args: Sequence[int] = ()) -> list[int]:
    """A struct seccomp_data as its 32-bit words. `number` may be given as it appears in the register, unsigned."""
    signed = number - (1 << 32) if number >= 1 << 31 else number
    padded = [*args, *[0] * (6 - len(args))]
    return list(struct.unpack("=16I", DATA.pack(signed, arch, 0, *padded)))


def run(program: list[Instruction], words: list[int]) -> tuple[int, int]:
    """Runs a filter over `data`: the action that it returns, and the number of instructions that it took."""
    accumulator = index = steps = at = 0
    memory = [0] * 16
    while True:
        code, jt, jf, k = program[at]
        at += 1
        steps += 1
        kind = code & 7
        if code == 0x20:  # ld [k]
            accumulator = words[k // 4]
        elif code in (0x00, 0x01):  # ld #k, ldx #k
            accumulator, index = (k, index) if code == 0 else (accumulator, k)
        elif code in (0x60, 0x61):  # ld M[k], ldx M[k]
            accumulator, index = (memory[k], index) if code == 0x60 else (accumulator, memory[k])
        elif kind in (2, 3):  # st, stx
            memory[k] = accumulator if kind == 2 else index
        elif code == 0x05:  # ja
            at += k
        elif kind == 5:
            at += jt if JUMP[code & 0xF0](accumulator, index if code & 8 else k) else jf
        elif kind == 4:
            accumulator = ALU[code & 0xF0](accumulator, index if code & 8 else k) & MASK
        elif kind == 6:
            return (accumulator if code & 0x18 == 0x10 else k), steps
        elif kind == 7:  # tax, txa
            accumulator, index = (accumulator, accumulator) if code == 0x07 else (index, index)
        else:
            raise ValueError(f"instruction {at - 1}: code {code:#x}")


def decide(program: list[Instruction], arch: int, number: int, args: Sequence[int] = ()) -> int:
    """The action of one system call."""
    return run(program, data(arch, number, args))[0]


def live_filters(pid: int) -> list[bytes]:
    """The programs of a process, the newest first. Needs CAP_SYS_ADMIN; OSError without CONFIG_CHECKPOINT_RESTORE."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long

    def ptrace(request: int, address: int | None, buffer: object = None) -> int:
        result = int(libc.ptrace(request, pid, address, buffer))
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result

    ptrace(PTRACE_SEIZE, None)
    try:
        ptrace(PTRACE_INTERRUPT, None)
        os.waitpid(pid, WALL)
        programs: list[bytes] = []
        while True:
            try:
                count = ptrace(PTRACE_SECCOMP_GET_FILTER, len(programs))
            except FileNotFoundError:
                return programs
            buffer = ctypes.create_string_buffer(count * INSTRUCTION.size)
            ptrace(PTRACE_SECCOMP_GET_FILTER, len(programs), buffer)
            programs.append(buffer.raw)
    finally:
        ptrace(PTRACE_DETACH, None)
