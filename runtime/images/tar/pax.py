"""The records of a PAX header (pax(1)) and the sparse maps in them. Pure."""

from runtime.images.errors import BadImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    Records = list[tuple[bytes, bytes]]
    Pieces = list[tuple[int, int]]

XATTR = b"SCHILY.xattr."
_NAMES = (b"path", b"linkpath", b"GNU.sparse.name")
_NANOSECONDS = 1_000_000_000
_SECONDS = 1 << 62  # a time's limit, of either sign
MAX_NUMBER = (1 << 63) - 1


def parse(data: bytes) -> "Records":
    """(key, value) of each record, in order: a key may be given again. BadImage for what is not "LENGTH KEY=VALUE\\n"."""
    records: Records = []
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + 21)
        digits = data[start:space]
        length = int(digits) if space > 0 and digits.isdigit() and not digits.startswith(b"0") else 0
        record = data[space + 1 : start + length]
        key, equals, value = record[:-1].partition(b"=")
        if not length or start + length > len(data) or not record.endswith(b"\n") or not equals or not key:
            raise BadImage("the archive has a PAX header that is damaged")
        if b"\0" in key or (b"\0" in value and key in _NAMES):
            raise BadImage("the archive has a PAX header with a NUL in a name")
        records.append((key, value))
        start += length
    return records


def decimal(value: bytes, what: str) -> int:
    """A number of a record. BadImage for what is not one of 63 bits."""
    if not value.isdigit() or len(value) > 19 or int(value) > MAX_NUMBER:
        raise BadImage(f"the archive has a PAX header whose {what} is not a number")
    return int(value)


def time(value: bytes) -> int:
    """A time as nanoseconds: "1700000000.123456789", of which more digits are cut. Before 1970 it is negative."""
    whole, _, fraction = value.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or (fraction and not fraction.isdigit()) or len(digits) > 19:
        raise BadImage("the archive has a PAX header whose time is not a number")
    nanoseconds = int(digits) * _NANOSECONDS + int((fraction + b"0" * 9)[:9])
    return clamped(-nanoseconds if value.startswith(b"-") else nanoseconds)


def clamped(nanoseconds: int) -> int:
    """The nearest time that the kernel takes; a file system may have closer limits."""
    return max(-_SECONDS * _NANOSECONDS, min(_SECONDS * _NANOSECONDS, nanoseconds))


def sparse_pieces(records: "Records") -> "Pieces | None":
    """The map of GNU's PAX formats 0.0 and 0.1; None where the records have none."""
    numbers: list[int] = []
    for key, value in records:
        if key == b"GNU.sparse.map":
            numbers = [decimal(each, "sparse map") for each in value.split(b",") if value]
        elif key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            if (key == b"GNU.sparse.numbytes") != len(numbers) % 2:
                raise BadImage("the archive has a sparse map that is damaged")
            numbers.append(decimal(value, "sparse map"))
    if not any(key.startswith((b"GNU.sparse.map", b"GNU.sparse.numb", b"GNU.sparse.offset")) for key, _ in records):
        return None
    if len(numbers) % 2:
        raise BadImage("the archive has a sparse map that is damaged")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def check_pieces(pieces: "Pieces", size: int, real_size: int) -> None:
    """BadImage unless the pieces are in order, do not overlap, lie within the file, and are as long as its data."""
    end = 0
    for offset, length in pieces:
        if offset < end or length < 0:
            raise BadImage("the archive has a sparse map whose pieces overlap")
        end = offset + length
    if end > real_size or sum(length for _, length in pieces) != size:
        raise BadImage("the archive has a sparse map that does not fit the file")
