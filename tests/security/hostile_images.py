"""Archives that try to get out of their directory, to lie, or to take all there is: name → layers, and what is said to them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.integration.images import BLOCK, END, archive, directory, entry, hardlink, records, symlink

# What makes the layer of a path outside; "": it is unpacked, and stays inside.
Hostile = tuple[Callable[[Path], bytes], str]

# As above, with the layers below it, the lowest first.
Stacked = tuple[Callable[[Path], list[bytes]], str]
NOT_THERE = "which neither its layer nor one below it has"


def _inside(outside: Path) -> str:
    """The path as one that stays in the layer."""
    return str(outside).lstrip("/")


def _deep(outside: Path) -> bytes:
    """A directory 8,000 levels deep, by links that each go on where the last path ended."""
    entries, here = [], "r"
    for number in range(10):
        entries.append(directory(b"x", pax=[(b"path", f"{here}/{'d/' * 800}".encode())]))
        entries.append(symlink(f"l{number}", b"y", pax=[(b"linkpath", f"{here}/{'d/' * 800}".encode())]))
        here = f"l{number}"
    return archive(*entries)


def _loop(outside: Path) -> bytes:
    return archive(symlink("a", "b"), symlink("b", "a"), entry("a/x"))


def _swapped(outside: Path) -> bytes:
    """A directory that was opened, replaced by a link to the outside, and written to again."""
    return archive(directory("d"), entry("d/one"), symlink("d", outside.as_posix()), entry("d/two"))


LINKS: dict[str, Hostile] = {
    "a file through an absolute link": (
        lambda out: archive(directory(_inside(out)), symlink("l", str(out)), entry("l/x")),
        "",
    ),
    "a file through a link upwards": (
        lambda out: archive(directory(_inside(out)), symlink("l", "../" * 30 + _inside(out)), entry("l/x")),
        "",
    ),
    "a file through two links": (
        lambda out: archive(directory(_inside(out)), symlink("a", "/"), symlink("b", f"a{out}"), entry("b/x")),
        "",
    ),
    "a directory's attributes through a link": (
        lambda out: archive(symlink("l", str(out)), directory("l", mode=0o777, uid=7)),
        "",
    ),
    "a file over a link to the outside": (
        lambda out: archive(symlink("l", f"{out}/kept"), entry("l", b"overwritten", mode=0o777)),
        "",
    ),
    "a directory that becomes a link": (_swapped, ""),
    "a whiteout through a link": (
        lambda out: archive(directory(_inside(out)), symlink("l", str(out)), entry("l/.wh.kept")),
        "",
    ),
    "an opaque mark through a link": (
        lambda out: archive(directory(_inside(out)), symlink("l", str(out)), entry("l/.wh..wh..opq")),
        "",
    ),
    "a hard link to a file outside": (
        lambda out: archive(hardlink("h", f"{out}/kept")),
        NOT_THERE,
    ),
    "a hard link through a link": (
        lambda out: archive(symlink("l", str(out)), hardlink("h", "l/kept"), entry("h", b"overwritten")),
        NOT_THERE,
    ),
    "a hard link to a link, and a file over it": (
        lambda out: archive(symlink("l", f"{out}/kept"), hardlink("h", "l"), entry("h", b"overwritten")),
        "",
    ),
    "a hard link with .. in its target": (lambda out: archive(hardlink("h", f"../../..{out}/kept")), "with .. in it"),
    "a hard link to a directory": (
        lambda out: archive(directory("d"), hardlink("h", "d")),
        "a hard link to a directory",
    ),
    "a hard link to itself": (lambda out: archive(hardlink("h", "h")), NOT_THERE),
    "a loop of links": (_loop, "too many levels of symbolic links"),
    "a link that is empty": (lambda out: archive(symlink("l", "")), "a symbolic link to nothing"),
    "a file below a file": (lambda out: archive(entry("f"), entry("f/x")), "is not a directory"),
    "a file below a device": (
        lambda out: archive(entry("f", kind="3", major=1, minor=3), entry("f/x")),
        "is not a directory",
    ),
}
NAMES: dict[str, Hostile] = {
    "a name that goes up": (lambda out: archive(entry(f"../../../../../..{out}/x")), "a name with .. in it"),
    "a name that goes down and up": (lambda out: archive(entry("a/../../x")), "a name with .. in it"),
    "an absolute name": (lambda out: archive(entry(f"{out}/x")), ""),
    "a PAX path that goes up": (
        lambda out: archive(entry("x", pax=[(b"path", f"../../../..{out}/x".encode())])),
        "a name with .. in it",
    ),
    "a GNU long name that goes up": (
        lambda out: archive(entry("././@LongLink", f"../../../..{out}/x\0".encode(), "L") + entry("x")),
        "a name with .. in it",
    ),
    "a NUL in a PAX path": (lambda out: archive(entry("x", pax=[(b"path", b"a\0b")])), "with a NUL in a name"),
    "a file that is the root": (lambda out: archive(entry(".")), "the root must be a directory"),
    "a root that is a link": (lambda out: archive(symlink("./", str(out)), entry("x")), "the root must be a directory"),
    "a component of 256 bytes": (
        lambda out: archive(entry("x", pax=[(b"path", b"n" * 256)])),
        "a component of more than 255 bytes",
    ),
    "a path of 5,000 bytes": (
        lambda out: archive(entry("x", pax=[(b"path", b"n/" * 2500)])),
        "of more than 4096 bytes",
    ),
    "a path too deep by links": (_deep, "a path of more than 4096 bytes"),
    "a whiteout of nothing": (lambda out: archive(entry(".wh.")), "a whiteout of nothing"),
    "a whiteout of ..": (lambda out: archive(entry("d/.wh...")), "a whiteout of nothing"),
    "a whiteout of a whiteout": (lambda out: archive(entry(".wh..wh.x")), ""),
    "a whiteout that is a directory": (
        lambda out: archive(directory(".wh.d"), entry(".wh.d/x")),
        "a file below a whiteout",
    ),
    "an escape sequence in a name": (
        lambda out: archive(entry("\x1b[31m\n", kind="1", link="no\x1bthing")),
        NOT_THERE,
    ),
}
FILES: dict[str, Hostile] = {
    "overlayfs' whiteout as a device": (lambda out: archive(entry("x", kind="3")), "the device 0:0"),
    "overlayfs' redirect": (
        lambda out: archive(directory("d", pax=[(b"SCHILY.xattr.trusted.overlay.redirect", b"/etc")])),
        "",
    ),
    "overlayfs' user.overlay.metacopy": (
        lambda out: archive(entry("f", pax=[(b"SCHILY.xattr.user.overlay.metacopy", b"")])),
        "",
    ),
    "an attribute with a NUL in its name": (
        lambda out: archive(entry("f", pax=[(b"SCHILY.xattr.user.a\0b", b"")])),
        "with a NUL in a name",
    ),
    "an owner that is no id": (lambda out: archive(entry("f", uid=0xFFFFFFFF)), "is not an id"),
    "an owner of 64 bits": (
        lambda out: archive(entry("f", pax=[(b"uid", b"18446744073709551615")])),
        "uid is not a number",
    ),
    "a negative owner": (lambda out: archive(entry("f", uid=-1)), "negative uid"),
    "a time far away": (lambda out: archive(entry("f", pax=[(b"mtime", b"9" * 18)]), entry("g", mtime=-(1 << 80))), ""),
    "a device number too large": (
        lambda out: archive(entry("f", kind="4", major=1 << 20, minor=1 << 20)),
        "there is no device",
    ),
    "an unknown type": (lambda out: archive(entry("f", kind="V")), "of type 'V' is not supported"),
    "the same name a thousand times": (
        lambda out: archive(*(entry("d/f", b"x") for _ in range(500)), *(entry("d/f/g/", kind="5") for _ in range(1))),
        "is not a directory",
    ),
}


def _sparse(*pieces: tuple[int, int], size: int, data: bytes = b"") -> bytes:
    text = ",".join(f"{offset},{length}" for offset, length in pieces)
    pax = [(b"GNU.sparse.map", text.encode()), (b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.major", b"0")]
    return entry("s", data, pax=[*pax, (b"GNU.sparse.minor", b"1")])


BOMBS: dict[str, Hostile] = {
    "a sparse file of 8 EiB": (lambda out: archive(_sparse(size=(1 << 63) - 1)), "bytes that are free"),
    "a file whose size is a lie": (lambda out: archive(entry("f", size=1 << 60)), "bytes that are free"),
    "a size of 96 bits": (lambda out: archive(entry("f", size=1 << 90)), "bytes that are free"),
    "sparse pieces that overlap": (lambda out: archive(_sparse((0, 5), (3, 5), size=9, data=b"x" * 10)), "overlap"),
    "a sparse piece beyond the end": (lambda out: archive(_sparse((8, 5), size=9, data=b"x" * 5)), "does not fit"),
    "more sparse data than there is": (lambda out: archive(_sparse((0, 5), size=9, data=b"x")), "does not fit"),
    "a sparse map of a million pieces": (
        lambda out: archive(entry("s", b"1000000\n".ljust(BLOCK, b"\0"), pax=_MAP_IN_DATA)),
        "more than 65536 pieces",
    ),
    "a sparse map without an end": (
        lambda out: archive(entry("s", b"9" * BLOCK * 8, pax=_MAP_IN_DATA)),
        "its sparse map is damaged",
    ),
    "a PAX header of a gigabyte": (
        lambda out: entry("x", kind="x", size=1 << 30) + END,
        "an extended header of 1073741824",
    ),
    "a long name of a gigabyte": (
        lambda out: entry("x", kind="L", size=1 << 30) + END,
        "an extended header of 1073741824",
    ),
    "extended headers without end": (
        lambda out: archive(*[entry("x", records([(b"a", b"b")]), "x")] * 20, entry("f")),
        "more than 16 extended headers",
    ),
    "attributes of a megabyte": (
        lambda out: archive(entry("f", pax=[(b"SCHILY.xattr.user.%d" % each, b"v" * 60_000) for each in range(18)])),
        "an extended header of 1080",
    ),
}
_MAP_IN_DATA = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9000")]
DAMAGE: dict[str, Hostile] = {
    "an archive that ends in a file": (lambda out: entry("f", b"x" * 2000)[:1024], "is truncated"),
    "an archive that ends in a header": (lambda out: entry("f")[:300], "is truncated"),
    "an archive that ends after a PAX header": (
        lambda out: entry("x", records([(b"path", b"y")]), "x"),
        "ends after an extended header",
    ),
    "something after the end": (lambda out: archive(entry("f")) + b"x" * BLOCK, "something after the end"),
    "a second archive after the end": (
        lambda out: archive(entry("f")) + archive(entry("g")),
        "something after the end",
    ),
    "a block of zeros in between": (lambda out: entry("f") + bytes(BLOCK) + archive(entry("g")), "a block of zeros"),
    "no archive at all": (lambda out: b"#!/bin/sh\necho hello\n" * 100, "not a tar archive"),
    "a wrong checksum": (lambda out: archive(entry("f").replace(b"0000644", b"0000666")), "checksum is wrong"),
    "a PAX record longer than its header": (
        lambda out: archive(entry("x", b"99 path=y\n", "x"), entry("f")),
        "is damaged",
    ),
    "a PAX record without a length": (lambda out: archive(entry("x", b"path=y\n", "x"), entry("f")), "is damaged"),
    "a PAX record without a space, after another": (
        lambda out: archive(entry("x", b"6 a=b\npath=y\n", "x"), entry("f")),
        "is damaged",
    ),
    "a PAX record of length 0": (lambda out: archive(entry("x", b"0 a=b\n", "x"), entry("f")), "is damaged"),
    "a number with letters": (lambda out: archive(entry("f", pax=[(b"size", b"0x10")])), "size is not a number"),
    "a mode that is no number": (
        lambda out: archive(_patched(entry("f"), 100, b"rwxr-xr")),
        "mode is not a number",
    ),
}


def _patched(whole: bytes, at: int, text: bytes) -> bytes:
    """An entry with other bytes in its header, and the right sum."""
    block = whole[:at] + text + whole[at + len(text) : BLOCK]
    total = sum(block[:148] + b" " * 8 + block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:] + whole[BLOCK:]


def bomb() -> bytes:
    """gzip data of two megabytes that becomes two gigabytes: one file of zeros. Its end is missing: nobody gets there."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    size = 2 << 30
    head = gzip.compress(b"")[:10] + pack.compress(entry("zeros", size=size)) + pack.flush(zlib.Z_FULL_FLUSH)
    return head + (pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)) * (size >> 20)


def _linked(target: str) -> Callable[[Path], list[bytes]]:
    """A layer writes below the link of a lower layer. ``target``: {} is the path outside."""

    def make(outside: Path) -> list[bytes]:
        below = archive(symlink("l", target.format(outside)), entry(f"{_inside(outside)}/mine"))
        return [below, archive(entry("l/x"), entry("l/.wh.kept"), directory("l/d", mode=0o777), hardlink("h", "l/x"))]

    return make


def _large(names: int, size: int) -> Callable[[Path], list[bytes]]:
    """Sparse files in one layer, and a hard link to each in the next."""

    def make(outside: Path) -> list[bytes]:
        pax = [(b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.major", b"0"), (b"GNU.sparse.minor", b"1")]
        files = [entry(f"f{n}", pax=[*pax, (b"GNU.sparse.size", b"%d" % size)]) for n in range(names)]
        return [archive(*files), archive(*(hardlink(f"h{n}", f"f{n}") for n in range(names)))]

    return make


def _round_about(outside: Path) -> list[bytes]:
    """Links below that each lead through thousands of directories, which a thousand hard links go through."""
    below = [directory("d"), symlink("a", b"x", pax=[(b"linkpath", b"d/../" * 700)]), entry("f")]
    return [archive(*below), archive(*(hardlink(f"h{n}", "a/a/a/a/f") for n in range(1000)))]


STACKS: dict[str, Stacked] = {
    "through a lower layer's absolute link": (_linked("{}"), ""),
    "through a lower layer's link upwards": (_linked("../../../../../../../..{}"), ""),
    "through a lower layer's link to nothing": (_linked("/nothing/at/all"), ""),
    "through a lower layer's link to itself": (_linked("l"), "too many levels of symbolic links"),
    "through a circle of two layers": (
        lambda out: [archive(symlink("a", "b")), archive(symlink("b", "a")), archive(entry("a/x"))],
        "too many levels of symbolic links",
    ),
    "through links of layers in turn, to the outside": (
        lambda out: [
            archive(symlink("a", "b/c")),
            archive(symlink("b", "/")),
            archive(symlink("c", f"..{out}")),
            archive(entry("a/x")),
        ],
        "",
    ),
    "a hard link to what a lower layer's link leads to outside": (
        lambda out: [archive(symlink("l", str(out))), archive(hardlink("h", "l/kept"), entry("h", b"overwritten"))],
        NOT_THERE,
    ),
    "the same, and nothing else": (
        lambda out: [archive(symlink("l", str(out))), archive(hardlink("h", "l/kept"))],
        NOT_THERE,
    ),
    "a hard link to a lower layer's link itself, and a file through it": (
        lambda out: [archive(symlink("l", str(out))), archive(hardlink("h", "l")), archive(entry("h/kept", b"x"))],
        "",
    ),
    "a hard link to a lower layer's circle": (
        lambda out: [archive(symlink("l", "l")), archive(hardlink("h", "l/x"))],
        "too many levels of symbolic links",
    ),
    "a hard link with .. to a lower layer's file": (
        lambda out: [archive(entry("d/f")), archive(hardlink("h", "d/../../d/f"))],
        "with .. in it",
    ),
    "a hard link below a lower layer's file": (
        lambda out: [archive(entry("f")), archive(hardlink("h", "f/x"))],
        "f is not a directory",
    ),
    "a hard link to a lower layer's device": (
        lambda out: [archive(entry("d", kind="3", major=1, minor=3)), archive(hardlink("h", "d"))],
        "",
    ),
    "a hard link to a lower layer's FIFO, and below it": (
        lambda out: [archive(entry("p", kind="6")), archive(hardlink("h", "p"), hardlink("i", "p/x"))],
        "p is not a directory",
    ),
    "a hard link to what a layer between hides": (
        lambda out: [archive(entry("f", mode=0o4755)), archive(entry(".wh.f")), archive(hardlink("h", "f"))],
        NOT_THERE,
    ),
    "a hard link to a whiteout of the layer": (
        lambda out: [archive(entry("f")), archive(entry(".wh.f"), hardlink("h", "f"))],
        NOT_THERE,
    ),
    "a hard link in the place of its target's directory": (
        lambda out: [archive(entry("d/f")), archive(hardlink("d", "d/f"))],
        "no such file or directory",
    ),
    "a hard link in the place of a link of its target": (
        lambda out: [archive(symlink("d", "e"), entry("e/f")), archive(hardlink("d", "d/f"), hardlink("g", "d/f"))],
        "d is not a directory",
    ),
    "a thousand hard links to files that are large": (_large(1000, 1_200_000), "copy more than 1073741824 bytes"),
    "a large file that many layers copy up": (
        lambda out: [
            *_large(1, 1 << 28)(out),
            *(archive(hardlink(f"n{n}", f"{'hn'[n > 0]}{max(n - 1, 0)}")) for n in range(4)),
        ],
        "copy more than 1073741824 bytes",
    ),
    "hard links that lead far": (_round_about, "more than 4096 directories"),
}


# Blobs of a layer that says something else: what becomes of gzip data, and the words.
BLOBS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "gzip data that does not end": (lambda layer: gzip.compress(layer)[:-4], "its gzip data does not end"),
    "gzip data with a wrong sum": (lambda layer: gzip.compress(layer)[:-8] + bytes(8), "is not whole gzip data"),
    "garbage behind gzip data": (lambda layer: gzip.compress(layer) + b"garbage", "is not whole gzip data"),
    "another layer behind gzip data": (lambda layer: gzip.compress(layer) * 2, "does not become the layer"),
    "another layer": (lambda layer: gzip.compress(archive(entry("other"))), "does not become the layer"),
    "zstd data that does not end": (lambda layer: b"\x28\xb5\x2f\xfd\x04\x58\x41", "is not whole zstd data"),
    "nothing": (lambda layer: b"", "does not become the layer"),
    "xz data": (lambda layer: b"\xfd7zXZ\0" + layer, "compressed with xz"),
}
