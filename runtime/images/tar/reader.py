"""The entries of a tar archive that is read as a stream, with what PAX and GNU headers say of them. Pure but for the stream.

What Go's archive/tar does not read is refused, because the builders of images use it, and so does each other engine: an
archive must not mean two things. After the end of the archive only zeros may follow.
"""

from runtime.images.errors import BadImage, shown
from runtime.images.tar import pax
from runtime.images.tar.header import BLOCK, ZEROS, Header, structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from runtime.images.tar.pax import Pieces, Records

    class Stream(Protocol):
        """Bytes in order."""

        def exactly(self, count: int) -> bytes:
            """BadImage if there are fewer."""

        def block(self) -> bytes:
            """The next BLOCK bytes; b"" at the end."""

        def skip(self, count: int) -> None:
            """Leave out ``count`` bytes."""


KINDS = {
    **dict.fromkeys("07\0S", "file"),
    "1": "link",
    "2": "symlink",
    "3": "char",
    "4": "block",
    "5": "directory",
    "6": "fifo",
}
MAX_SPECIAL = 1 << 20  # bytes of a header that says more of the next one
MAX_HEADERS = 16  # such headers of one entry
MAX_PIECES = 1 << 16  # of a sparse file
_MAP_BLOCKS = 48 * MAX_PIECES // BLOCK
_STRUCTS = 21
_NANOSECONDS = 1_000_000_000


class Entry:
    """A file of the archive.

    ``kind``: one of KINDS' values. ``size``: bytes of its data. ``pieces``: of a sparse file, where they belong in
    ``real_size`` bytes. ``mtime``: nanoseconds. ``link``: what a link names.
    """

    __slots__ = ("gid", "kind", "link", "major", "minor", "mode", "mtime", "name", "pieces", "real_size", "size", "uid", "xattrs")  # fmt: skip

    def __init__(self, header: Header, kind: str) -> None:
        self.kind = kind
        self.name, self.link = header.name, header.link
        self.mode, self.uid, self.gid = header.mode & 0o7777, header.uid, header.gid
        self.size = header.size if kind == "file" else 0
        self.real_size = self.size
        self.mtime = pax.clamped(header.mtime * _NANOSECONDS)
        self.major, self.minor = header.major, header.minor
        self.pieces: Pieces | None = None
        self.xattrs: dict[bytes, bytes] = {}


class TarReader:
    """Iterates over the entries; the data of one is read with `data` before the next, or left out."""

    def __init__(self, stream: "Stream") -> None:
        self._stream = stream
        self._left = 0  # bytes of the current entry's data
        self._padding = 0

    def __iter__(self) -> "Iterator[Entry]":
        while entry := self._next():
            yield entry

    def data(self, most: int) -> bytes:
        """Up to ``most`` bytes of the current entry's data; b"" at its end."""
        count = min(most, self._left)
        self._left -= count
        return self._stream.exactly(count) if count else b""

    def _begin(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK

    def _special(self, header: Header) -> bytes:
        if header.size > MAX_SPECIAL:
            raise BadImage(f"the archive has an extended header of {header.size} bytes; {MAX_SPECIAL} at most are read")
        data = self._stream.exactly(header.size)
        self._stream.skip(-header.size % BLOCK)
        return data

    def _header(self) -> "Header | None":
        """The next header; None at the end of the archive: two blocks of zeros, or that of the stream."""
        block = self._stream.block()
        if block == ZEROS:
            if self._stream.block() not in (ZEROS, b""):
                raise BadImage("the archive has a block of zeros between its entries")
            return None
        return Header(block) if block else None

    def _next(self) -> "Entry | None":
        self._stream.skip(self._left + self._padding)
        self._begin(0)
        records: Records = []
        longer: dict[str, bytes] = {}
        for _ in range(MAX_HEADERS):
            header = self._header()
            if header is None:
                if records or longer:
                    raise BadImage("the archive ends after an extended header")
                return None
            if header.kind in "xg":
                found = pax.parse(self._special(header))
                records = found if header.kind == "x" else records  # a global header is a comment, as for Go
            elif header.kind in "LK":
                longer[header.kind] = self._special(header).partition(b"\0")[0]
            else:
                return self._entry(header, records, longer)
        raise BadImage(f"the archive has more than {MAX_HEADERS} extended headers of one entry")

    def _entry(self, header: Header, records: "Records", longer: "dict[str, bytes]") -> Entry:
        kind = KINDS.get(header.kind)
        if kind is None:
            raise BadImage(f"{shown(header.name)}: an entry of type {header.kind!r} is not supported")
        entry = Entry(header, kind)
        entry.name, entry.link = longer.get("L", entry.name), longer.get("K", entry.link)
        _apply(entry, records)
        if header.kind in "0\0" and entry.name.endswith(b"/"):
            entry.kind = "directory"
        self._begin(entry.size)
        if header.kind == "S":
            self._old_sparse(entry, header)
        else:
            self._sparse(entry, dict(records), records)
        if entry.kind != "file":
            entry.size = entry.real_size = 0
        return entry

    def _old_sparse(self, entry: Entry, header: Header) -> None:
        if not header.gnu:
            raise BadImage(f"{shown(entry.name)}: a sparse file in an archive that is not GNU's")
        pieces, more, entry.real_size = header.sparse()
        while more:
            block = self._stream.exactly(BLOCK)
            pieces += structs(block, _STRUCTS)
            more = block[504] != 0
            _check_count(entry, pieces)
        self._finish_sparse(entry, pieces)

    def _sparse(self, entry: Entry, given: "dict[bytes, bytes]", records: "Records") -> None:
        """The PAX formats of GNU's sparse files: 1.0 has the map in front of the data, the others have it in the records."""
        version = given.get(b"GNU.sparse.major"), given.get(b"GNU.sparse.minor")
        pieces = self._map_in_data(entry) if version == (b"1", b"0") else pax.sparse_pieces(records)
        if version not in ((b"1", b"0"), (b"0", b"0"), (b"0", b"1"), (None, None)):
            raise BadImage(f"{shown(entry.name)}: a sparse file of an unknown format")
        if pieces is None:
            return
        real = given.get(b"GNU.sparse.realsize", given.get(b"GNU.sparse.size", b""))
        entry.real_size = pax.decimal(real, "real size")
        entry.name = given.get(b"GNU.sparse.name", entry.name)
        self._finish_sparse(entry, pieces)

    def _map_in_data(self, entry: Entry) -> "Pieces":
        blocks: list[bytes] = []
        lines, wanted = 0, 1
        while lines < wanted:
            blocks.append(self.data(BLOCK))
            lines += blocks[-1].count(b"\n")
            if len(blocks[-1]) < BLOCK or not lines or len(blocks) > _MAP_BLOCKS:
                raise BadImage(f"{shown(entry.name)}: its sparse map is damaged")
            if len(blocks) == 1:
                count = pax.decimal(blocks[0].partition(b"\n")[0], "sparse map")
                _check_count(entry, range(count))
                wanted += 2 * count
        values = [pax.decimal(line, "sparse map") for line in b"".join(blocks).split(b"\n")[1:wanted]]
        entry.size = self._left
        return list(zip(values[::2], values[1::2], strict=True))

    def _finish_sparse(self, entry: Entry, pieces: "Pieces") -> None:
        if entry.kind != "file":
            raise BadImage(f"{shown(entry.name)}: it is sparse, but not a file")
        _check_count(entry, pieces)
        pax.check_pieces(pieces, entry.size, entry.real_size)
        entry.pieces = pieces


def _check_count(entry: Entry, pieces: "Pieces | range") -> None:
    if len(pieces) > MAX_PIECES:
        raise BadImage(f"{shown(entry.name)}: a sparse file of more than {MAX_PIECES} pieces")


def _apply(entry: Entry, records: "Records") -> None:
    """What the PAX records say of the entry."""
    for key, value in records:
        if not value and not key.startswith(pax.XATTR):
            continue  # the header's own value stays, as for Go
        if key == b"path":
            entry.name = value
        elif key == b"linkpath":
            entry.link = value
        elif key == b"size":
            entry.size = pax.decimal(value, "size") if entry.kind == "file" else 0
            entry.real_size = entry.size
        elif key == b"uid":
            entry.uid = pax.decimal(value, "uid")
        elif key == b"gid":
            entry.gid = pax.decimal(value, "gid")
        elif key == b"mtime":
            entry.mtime = pax.time(value)
        elif key.startswith(pax.XATTR):
            entry.xattrs[key.removeprefix(pax.XATTR)] = value
