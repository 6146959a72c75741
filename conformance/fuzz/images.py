#!/usr/bin/env python3
"""Fuzzes what unpacks layers: archives with changed, moved and repeated pieces, as root, in a directory beside a canary.

Every second archive is unpacked on top of a layer with links to the outside and in circles, devices and hard links.

Each must be refused by an OcirunError or be unpacked: no other exception, nothing outside changed, no descriptor left open, and
the tree can be removed. Where the archive is accepted, a second unpack must give the same files. What fails is kept in
build/fuzz/images/ and can be given as an argument.

    conformance/fuzz/images.py [--seconds N] [--count N] [--seed S] [FILE...]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from runtime.errors import OcirunError  # noqa: E402
from runtime.images.budget import Budget  # noqa: E402
from runtime.images.layers.below import Below  # noqa: E402
from runtime.images.layers.tree import LayerTree  # noqa: E402
from runtime.images.layouts.blobs import Blob, Content  # noqa: E402
from runtime.images.tar.reader import TarReader  # noqa: E402
from runtime.images.trees.owners import Rights  # noqa: E402
from runtime.images.trees.tree import remove_tree  # noqa: E402
from tests.integration.images import BLOCK, archive, compressed, digest, directory, entry, hardlink, symlink  # noqa: E402
from tests.security import hostile_images  # noqa: E402

PLACE = TREE / "build/fuzz/images"
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # thousands of directories: not on a disk
MOST = 1 << 24  # bytes of files in a case
SLOW = 20.0  # seconds
LARGE = 20_000  # bytes of an archive that is not taken: its size tests nothing that the others do not
WORDS = (
    b"d",
    b"f",
    b"l",
    b"..",
    b".",
    b"",
    b"/",
    b".wh.f",
    b".wh..wh..opq",
    b".wh.",
    b"a/b/c",
    b"n" * 255,
    b"\xff",
    b"\0",
)
NUMBERS = (0, 1, 511, 512, 513, 0o7777, 65535, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, -1)
FIELDS = {
    0: 100,
    100: 8,
    108: 8,
    116: 8,
    124: 12,
    136: 12,
    156: 1,
    157: 100,
    257: 8,
    329: 8,
    337: 8,
    345: 155,
    386: 24,
    482: 1,
    483: 12,
}


def seeds(outside: Path) -> list[bytes]:
    """Archives to start from: the hostile ones, and good ones."""
    tables = (
        hostile_images.LINKS,
        hostile_images.NAMES,
        hostile_images.FILES,
        hostile_images.BOMBS,
        hostile_images.DAMAGE,
    )
    made = [make(outside) for table in tables for make, _ in table.values()]
    made += [make(outside)[-1] for make, _ in hostile_images.STACKS.values()]
    good = archive(
        directory("d", mode=0o2755, uid=5),
        entry("d/f", b"data" * 300, mode=0o4755, pax=[(b"mtime", b"1.5"), (b"SCHILY.xattr.user.a", b"b")]),
        symlink("l", str(outside)),
        symlink("m", "d"),
        hardlink("h", "d/f"),
        entry("m/x", b"1"),
        entry("d/.wh.f"),
        entry("p", kind="6"),
    )
    applied = archive(
        hardlink("h", "d/f"),
        hardlink("i", "l/kept"),
        entry("l/x", b"1"),
        entry("a/b/c", b"1"),
        entry("m/.wh.f"),
        hardlink("j", "m/p"),
        entry("m/.wh..wh..opq"),
    )
    return [good] * 10 + [applied] * 10 + [each for each in made if len(each) < LARGE]


def lower(outside: Path) -> bytes:
    """The layer below."""
    return archive(
        directory("d", mode=0o2711, uid=3),
        entry("d/f", b"lower" * 100, mode=0o4755, uid=7, pax=[(b"SCHILY.xattr.user.a", b"b")]),
        hardlink("f", "d/f"),
        symlink("l", str(outside)),
        entry(f"{outside}/kept".lstrip("/"), b"inside"),
        symlink("m", "../../d"),
        symlink("a", "b"),
        symlink("b", "a"),
        symlink("n" * 100, "/nothing/there"),
        entry("d/p", kind="6"),
        entry("d/null", kind="3", major=1, minor=3),
    )


def mutated(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Some changes: blocks moved, repeated, left out, taken from others; fields and bytes of headers, with the right sum."""
    blocks = [data[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(data), BLOCK)]
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(blocks)) if blocks else 0
        kind = chance.randrange(7)
        if kind == 0 and blocks:
            blocks.insert(chance.randrange(len(blocks)), blocks[at])
        elif kind == 1 and len(blocks) > 1:
            del blocks[at]
        elif kind == 2:
            other = chance.choice(others)
            begin = chance.randrange(0, max(1, len(other)), BLOCK)
            count = chance.randint(1, 4)
            blocks[at:at] = [
                other[begin + BLOCK * each : begin + BLOCK * (each + 1)].ljust(BLOCK, b"\0") for each in range(count)
            ]
        elif blocks:
            blocks[at] = summed(changed(blocks[at], chance)) if kind < 6 else flipped(blocks[at], chance)
    whole = b"".join(blocks)
    return whole[: chance.randrange(len(whole) + 1)] if chance.random() < 0.05 else whole


def changed(block: bytes, chance: random.Random) -> bytes:
    """A header with another value in a field."""
    at = chance.choice(list(FIELDS))
    width = FIELDS[at]
    if at == 156:
        value = chance.choice(b"01234567xgLKSVA\0").to_bytes(1, "big")
    elif width in (8, 12) and at != 257:
        number = chance.choice(NUMBERS)
        value = (
            (number & ((1 << 8 * width) - 1) | 1 << 8 * width - 1).to_bytes(width, "big")
            if chance.random() < 0.5
            else b"%o" % abs(number)
        )
    else:
        value = b"/".join(chance.choice(WORDS) for _ in range(chance.randint(1, 4)))
    return block[:at] + value[:width].ljust(width, b"\0") + block[at + width :]


def flipped(block: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(BLOCK)
    return block[:at] + bytes([block[at] ^ 1 << chance.randrange(8)]) + block[at + 1 :]


def summed(block: bytes) -> bytes:
    return block[:148] + b"%06o\0 " % sum(block[:148] + b" " * 8 + block[156:]) + block[156:]


class Arena:
    """A directory for the layers, beside a canary that no archive may change."""

    def __init__(self, place: Path) -> None:
        self.outside = place / "outside"
        self.outside.mkdir()
        (self.outside / "kept").write_text("kept")
        self.above = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        (place / "lower").mkdir()
        self.lower = os.open(place / "lower", os.O_RDONLY | os.O_DIRECTORY)
        self.fill(self.lower, lower(self.outside), None)
        self.before = self.canary()
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.accepted = 0

    def canary(self) -> list[Any]:
        found: list[Any] = [sorted(os.listdir(self.above))]
        for path in (self.outside, self.outside / "kept"):
            status = os.lstat(path)
            found.append(
                (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, status.st_size, os.listxattr(path))
            )
        return [*found, *files(self.lower)]

    def judge(self, data: bytes) -> str:
        """What is wrong with what becomes of the archive; "" if nothing is."""
        begun = time.monotonic()
        try:
            first = self.unpack(data)
            again = self.unpack(data) if first is not None else None
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if first != again:
            return "the second time it is another tree"
        self.accepted += first is not None
        if self.canary() != self.before:
            return "something outside has changed"
        if len(os.listdir("/proc/self/fd")) != self.descriptors:
            return "descriptors stay open"
        return "slow" if time.monotonic() - begun > SLOW else ""

    def unpack(self, data: bytes) -> list[Any] | None:
        """The files that it becomes; None if it is refused."""
        os.mkdir("layer", dir_fd=self.above)
        root = os.open("layer", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.above)
        below = Below(lambda: [os.dup(self.lower)], "trusted", Budget(root, MOST))
        try:
            self.fill(root, data, below if len(data) // BLOCK % 2 else None)
            return list(files(root))
        except OcirunError:
            return None
        finally:
            below.close()
            os.close(root)
            remove_tree(self.above, "layer")

    @staticmethod
    def fill(root: int, data: bytes, below: Below | None) -> None:
        """Unpack one layer. Raises OcirunError."""
        held = os.memfd_create("blob")
        try:
            blob = compressed(data, "gzip") if len(data) % 3 == 0 else data
            os.write(held, blob)
            limits = Budget(root, MOST)
            content = Content(Blob(held, 0, len(blob), digest(blob), "blob"), digest(data), limits)
            LayerTree(root, Rights("trusted", False, lambda _: None), limits, below).unpack(TarReader(content))
            content.finish()
        finally:
            os.close(held)


def files(root: int) -> Iterator[Any]:
    for path, directories, names, descriptor in os.fwalk(b".", dir_fd=root):
        directories.sort()
        for name in sorted([*names, *directories]):
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            yield path, name, status.st_mode, status.st_uid, status.st_gid, status.st_rdev, status.st_nlink


def fuzz(seconds: float, count: int, seed: int) -> tuple[int, int, list[tuple[str, bytes]]]:
    """How many archives were tried and accepted, and what failed."""
    chance = random.Random(seed)
    found: list[tuple[str, bytes]] = []
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        arena = Arena(Path(place))
        pool = seeds(arena.outside)
        end = time.monotonic() + seconds
        tried = 0
        while tried < count and time.monotonic() < end and len(found) < 10:
            data = mutated(chance.choice(pool), pool, chance)
            tried += 1
            wrong = arena.judge(data)
            if wrong:
                found.append((wrong, data))
            elif chance.random() < 0.02 and len(data) < LARGE:
                pool.append(data)
        os.close(arena.above)
        os.close(arena.lower)
        return tried, arena.accepted, found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--count", type=int, default=1 << 40)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    if options.files:
        with tempfile.TemporaryDirectory(dir=MEMORY) as place:
            arena = Arena(Path(place))
            wrong = {str(file): arena.judge(file.read_bytes()) for file in options.files}
        print(wrong)
        return any(wrong.values())
    tried, accepted, found = fuzz(options.seconds, options.count, options.seed)
    print(f"seed {options.seed}: {tried} archives, {accepted} accepted, {len(found)} failures")
    PLACE.mkdir(parents=True, exist_ok=True)
    for number, (wrong_words, data) in enumerate(found):
        file = PLACE / f"{options.seed}-{number}.tar"
        file.write_bytes(data)
        print(f"{file}: {wrong_words}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
