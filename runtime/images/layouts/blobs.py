"""The bytes of a blob: read from a file or a part of it, verified, decompressed, and read as a stream."""

import posix

from runtime.images.errors import BadImage
from runtime.images.layouts import digests
from runtime.images.tar.header import BLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.images.budget import Budget

PIECE = 1 << 17  # bytes read at once
_PIECES = 1 << 18  # decompressed at once
_LEAST = 1 << 16  # passed on at once, but at the end: a member of gzip may be one byte
_WINDOW = 1 << 12  # given to zlib at once: it copies what comes after a member
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"  # after a byte 0x50 to 0x5f: a frame of zstd with something else in it
_OTHERS = {b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"\x04\x22\x4d\x18": "lz4"}


class Blob:
    """A part of an open file. ``digest``: None where the image has none (docker-archive's layers)."""

    def __init__(self, descriptor: int, offset: int, size: int, digest: "str | None", name: str) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.size = size
        self.digest = digest
        self.name = name

    def close(self) -> None:
        posix.close(self.descriptor)

    def pieces(self) -> "Iterator[bytes]":
        """All bytes. At the end BadImage unless they have the digest."""
        made = digests.hasher(self.digest) if self.digest else None
        done = 0
        while done < self.size:
            piece = posix.pread(self.descriptor, min(PIECE, self.size - done), self.offset + done)
            if not piece:
                raise BadImage(f"{self.name} is truncated: {done} bytes of {self.size}")
            done += len(piece)
            if made:
                made.update(piece)
            yield piece
        if made and self.digest and made.hexdigest() != self.digest.partition(":")[2]:
            raise BadImage(f"{self.name} does not have its digest: it is damaged, or was changed")

    def whole(self, most: int) -> bytes:
        """All bytes of a small blob, verified."""
        if self.size > most:
            raise BadImage(f"{self.name} has {self.size} bytes; {most} at most are read")
        return b"".join(self.pieces())


class Content:
    """The decompressed bytes of a blob, in order, counted and hashed. ``diff_id``: the digest that they must have."""

    def __init__(self, blob: Blob, diff_id: str, budget: "Budget") -> None:
        self._name = blob.name
        self._diff_id = diff_id
        self._hash = digests.hasher(diff_id)
        self._budget = budget
        self._source = decompressed(counted(blob, budget), blob.name)
        self._buffer = b""
        self._at = 0

    def _more(self) -> bool:
        """Take the next piece, after what is left of the last one; False at the end."""
        piece = next(self._source, b"")
        if not piece:
            return False
        self._budget.decompressed(len(piece))
        self._hash.update(piece)
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return True

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes, few enough to be held. BadImage if there are not so many."""
        while len(self._buffer) - self._at < count:
            if not self._more():
                raise BadImage(f"{self._name} is truncated: its archive ends within a file or a header")
        self._at += count
        return self._buffer[self._at - count : self._at]

    def block(self) -> bytes:
        if self._at == len(self._buffer) and not self._more():
            return b""
        return self.exactly(BLOCK)

    def skip(self, count: int) -> None:
        while count:
            count -= len(self.exactly(min(count, _PIECES)))

    def finish(self) -> None:
        """Read to the end. BadImage if something but zeros follows the archive, or it has not its digests."""
        rest = False
        while self._at < len(self._buffer) or self._more():
            rest = rest or bool(self._buffer[self._at :].strip(b"\0"))
            self._at = len(self._buffer)
        if self._hash.hexdigest() != self._diff_id.partition(":")[2]:
            raise BadImage(f"{self._name} does not become the layer {self._diff_id} that the image's config names")
        if rest:
            raise BadImage(f"{self._name} has something after the end of its archive")


def counted(blob: Blob, budget: "Budget") -> "Iterator[bytes]":
    """The blob's bytes, counted for the ratio."""
    for piece in blob.pieces():
        budget.compressed(len(piece))
        yield piece


def decompressed(pieces: "Iterator[bytes]", name: str) -> "Iterator[bytes]":
    """What the first bytes say it is, whatever the media type: gzip, zstd, or not compressed. BadImage for others."""
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= BLOCK:
            break
    for magic, other in _OTHERS.items():
        if first.startswith(magic):
            raise BadImage(f"{name} is compressed with {other}, which image-spec does not have; gzip and zstd are read")
    whole = _chain(first, pieces)
    if first.startswith(_GZIP):
        return _gathered(_gunzip(whole, name))
    if first.startswith(_ZSTD) or (first[1:4] == _SKIPPABLE and first[0] & 0xF0 == 0x50):
        from runtime.images.layouts.zstd import decompress

        return _gathered(decompress(whole, name))
    return whole


def _chain(first: bytes, rest: "Iterator[bytes]") -> "Iterator[bytes]":
    if first:
        yield first
    yield from rest


def _gathered(pieces: "Iterator[bytes]") -> "Iterator[bytes]":
    """The same bytes in pieces that are not small."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _LEAST:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _windows(pieces: "Iterator[bytes]") -> "Iterator[bytes]":
    for piece in pieces:
        for at in range(0, len(piece), _WINDOW):
            yield piece[at : at + _WINDOW]


def _gunzip(pieces: "Iterator[bytes]", name: str) -> "Iterator[bytes]":
    """The members of a gzip file, one after another (RFC 1952), as eStargz has them. Zeros may follow, as for gzip(1)."""
    import zlib

    member = zlib.decompressobj(31)
    begun = False
    for data in _windows(pieces):
        while data:
            if member.eof or not begun:
                data = data if begun is False else data.lstrip(b"\0")
                if not data:
                    break
                member, begun = zlib.decompressobj(31), True
            try:
                made = member.decompress(data, _PIECES)
            except zlib.error as error:
                raise BadImage(f"{name} is not whole gzip data: {error}") from None
            data = member.unused_data if member.eof else member.unconsumed_tail
            if made:
                yield made
    if not member.eof:
        raise BadImage(f"{name} is truncated: its gzip data does not end")
