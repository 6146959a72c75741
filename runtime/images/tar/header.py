"""One header block of a tar archive: ustar, PAX, GNU, star and version 7, as pax(1), GNU tar's manual and Go's archive/tar have them.

Pure. Numbers and texts are read strictly: what two readers could take for two different things is refused.
"""

from runtime.images.errors import BadImage

BLOCK = 512
ZEROS = bytes(BLOCK)
_POSIX, _GNU = b"ustar\x0000", b"ustar  \0"
_SPARSE_STRUCTS = 4  # in the header; 21 in each block that follows
_DIGITS = frozenset(b"01234567")


class Header:
    """The fields of a block. ``kind``: the type flag. ``mtime``: seconds. ``gnu``: it has GNU's fields."""

    __slots__ = ("block", "gid", "gnu", "kind", "link", "major", "minor", "mode", "mtime", "name", "size", "uid")

    def __init__(self, block: bytes) -> None:
        _check_sum(block)
        magic = block[257:265]
        self.block = block
        self.gnu = magic == _GNU
        self.kind = chr(block[156])
        self.mode = number(block[100:108], "mode")
        self.uid = number(block[108:116], "uid")
        self.gid = number(block[116:124], "gid")
        self.size = number(block[124:136], "size")
        self.mtime = number(block[136:148], "mtime", signed=True)
        self.name = text(block[0:100])
        self.link = text(block[157:257])
        self.major = self.minor = 0
        if magic in (_POSIX, _GNU):
            if self.kind in "34":
                self.major = number(block[329:337], "device number")
                self.minor = number(block[337:345], "device number")
            prefix = b"" if self.gnu else text(block[345:476] if block[508:512] == b"tar\0" else block[345:500])
            if prefix:
                self.name = prefix + b"/" + self.name

    def sparse(self) -> "tuple[list[tuple[int, int]], bool, int]":
        """Of an old GNU sparse file: (offset, length) of its pieces, whether more follow in another block, its real size."""
        pieces = structs(self.block[386:482], _SPARSE_STRUCTS)
        return pieces, self.block[482] != 0, number(self.block[483:495], "real size")


def structs(block: bytes, count: int) -> "list[tuple[int, int]]":
    """(offset, length) of each piece in a table of GNU's old sparse format."""
    pieces = []
    for index in range(count):
        entry = block[24 * index : 24 * index + 24]
        if not entry[0]:
            break
        pieces.append((number(entry[:12], "sparse map"), number(entry[12:], "sparse map")))
    return pieces


def text(field: bytes) -> bytes:
    """A text, which ends at the first NUL."""
    return field.partition(b"\0")[0]


def number(field: bytes, what: str, signed: bool = False) -> int:
    """A number: octal digits, or binary where the first bit is set. BadImage for anything else, and below 0 without ``signed``."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        if field[0] & 0x40:
            value -= 1 << bits
        if value < 0 and not signed:
            raise BadImage(f"the archive has a header with a negative {what}")
        return value
    digits = field.partition(b"\0")[0].strip(b" ")
    if not _DIGITS.issuperset(digits):
        raise BadImage(f"the archive has a header whose {what} is not a number")
    return int(digits or b"0", 8)


def _check_sum(block: bytes) -> None:
    """BadImage unless the sum of the bytes is the one in the header; old programs added them as signed numbers."""
    digits = text(block[148:156]).strip(b" ")
    wanted = int(digits, 8) if digits and _DIGITS.issuperset(digits) else -1
    rest = block[:148] + b" " * 8 + block[156:]
    total = sum(rest)
    if wanted not in (total, total - 256 * sum(byte > 127 for byte in rest)):
        raise BadImage("it is not a tar archive, or damaged: a header's checksum is wrong")
