"""Stray pointers in a dump: words that point to what the process that made it had, and the new one will not have.

That process looks for them in the file, when it has written it: its stack, its mappings and its vDSO are where they were. Not
in the image.
"""

import posix
from _thread import get_ident

Row = tuple[int, int, bool]
PAGE = 4096  # also the step in which Python 3.12 and later count dict versions


def mappings(end: int) -> "list[Row]":
    """This process's mappings from ``end`` on, where the image's own memory ends: start, end, and whether it is brk(2)'s."""
    found = []
    with open("/proc/self/maps") as file:
        for line in file:
            start, stop = (int(number, 16) for number in line.split()[0].split("-"))
            if start >= end:
                found.append((start, stop, "[heap]" in line))
    return found


def last_segment(file: memoryview) -> "tuple[int, memoryview]":
    """The address and the words of the last segment of an ELF file that is loaded, which ends the file."""
    headers, count = file[32:40].cast("Q")[0], file[56:58].cast("H")[0]
    rows = [file[headers + 56 * i : headers + 56 * (i + 1)].cast("Q") for i in range(count)]
    offset, address = max((row[1], row[2]) for row in rows if row[0] & 0xFFFFFFFF == 1)  # PT_LOAD
    return address, file[offset : offset + (len(file) - offset) // 8 * 8].cast("Q")


def _hits(word: int, mapping: Row) -> bool:
    start, stop, is_heap = mapping
    return start <= word < stop and not (is_heap and word % PAGE == 0)


def check(path: str, end: int) -> int:
    """Report each stray pointer in the dump, and remove it if there is one. Returns their number.

    The thread's own address is none: Python calls a thread by it, in its thread state and in locks that were held. It
    compares these, and PyOS_AfterFork_Child replaces those that count. Nor is the start of a page of brk(2)'s memory, where only
    libc's thread block is: the versions of dicts are such numbers, and some are as high.
    """
    foreign = mappings(end)
    lowest, own = min(foreign)[0], get_ident()
    with open(path, "rb") as dump:
        address, words = last_segment(memoryview(dump.read()))
    found = [(i, word) for i, word in enumerate(words) if word >= lowest and word != own]
    found = [(i, word) for i, word in found if any(_hits(word, row) for row in foreign)]
    for i, word in found:
        posix.write(2, f"a stray pointer at {address + 8 * i:#x}: {word:x}\n".encode())
    if found:
        posix.unlink(path)
    return len(found)
