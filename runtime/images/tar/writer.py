"""A tar archive, as image layers have it: ustar headers, with PAX records for what does not fit there (pax(1)). Pure.

The same files give the same bytes: no names of users, no other times than the files' own, records in order.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 512
_NAME, _PREFIX = 100, 155
_MAX_OCTAL, _MAX_SIZE = 0o7777777, 0o77777777777
KINDS = {"file": b"0", "link": b"1", "symlink": b"2", "char": b"3", "block": b"4", "directory": b"5", "fifo": b"6"}
_SECOND = 10**9


class Member:
    """What a header says. ``name`` and ``link``: from the top; ``mtime``: ns; ``device``: major, minor."""

    __slots__ = ("device", "gid", "kind", "link", "mode", "mtime", "name", "size", "uid", "xattrs")

    def __init__(self, kind: str, name: bytes, mode: int = 0, uid: int = 0, gid: int = 0, mtime: int = 0) -> None:
        self.kind = kind
        self.name = name
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime = mtime
        self.size = 0
        self.link = b""
        self.device = (0, 0)
        self.xattrs: dict[str, bytes] = {}


class TarWriter:
    """Writes to ``write``. A member's data follows its header by `data`, then `pad`; at the end `finish`."""

    def __init__(self, write: "Callable[[bytes], None]") -> None:
        self.data = write

    def member(self, member: Member) -> None:
        """The header, and its records before it."""
        name = member.name + (b"/" if member.kind == "directory" else b"")
        prefix, short = _split(name)
        records = _records(member, name if short is None else b"")
        if records:
            text = b"".join(_record(key, value) for key, value in sorted(records.items()))
            header = Member("file", b"PaxHeaders/x", 0o644)
            header.size = len(text)
            self.data(_block(b"x", header, header.name, b""))
            self.data(text)
            self.pad(len(text))
        self.data(_block(KINDS[member.kind], member, name[:_NAME] if short is None else short, prefix))

    def pad(self, size: int) -> None:
        """Fill the last block of ``size`` bytes of data."""
        self.data(bytes(-size % BLOCK))

    def finish(self) -> None:
        self.data(bytes(2 * BLOCK))


def _split(name: bytes) -> "tuple[bytes, bytes | None]":
    """ustar's prefix and name; None for a name that does not fit."""
    if not name.isascii():
        return b"", None
    if len(name) <= _NAME:
        return b"", name
    at = name.rfind(b"/", 0, min(_PREFIX, len(name) - 2) + 1)
    if at <= 0 or len(name) - at - 1 > _NAME:
        return b"", None
    return name[:at], name[at + 1 :]


def _records(member: Member, name: bytes) -> "dict[bytes, bytes]":
    """What a ustar header has no room for. ``name``: b"" if it has."""
    records = {b"path": name} if name else {}
    if len(member.link) > _NAME or not member.link.isascii():
        records[b"linkpath"] = member.link
    seconds, fraction = divmod(member.mtime, _SECOND)
    if fraction or not 0 <= seconds <= _MAX_SIZE:
        records[b"mtime"] = _time(member.mtime)
    for key, number in ((b"uid", member.uid), (b"gid", member.gid)):
        if number > _MAX_OCTAL:
            records[key] = b"%d" % number
    if member.size > _MAX_SIZE:
        records[b"size"] = b"%d" % member.size
    for text, value in member.xattrs.items():
        records[b"SCHILY.xattr." + text.encode("utf-8", "surrogateescape")] = value
    return records


def _time(nanoseconds: int) -> bytes:
    """Decimal seconds, without zeros at the end."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    seconds, fraction = divmod(rest, _SECOND)
    return f"{sign}{seconds}.{fraction:09d}".rstrip("0").rstrip(".").encode()


def _record(key: bytes, value: bytes) -> bytes:
    """ "LENGTH KEY=VALUE\\n", where the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _octal(value: int, width: int) -> bytes:
    """0 for a number that does not fit: a record has it."""
    digits = b"%0*o" % (width - 1, max(value, 0))
    return (digits if len(digits) < width else b"0" * (width - 1)) + b"\0"


def _block(kind: bytes, member: Member, name: bytes, prefix: bytes) -> bytes:
    seconds = member.mtime // _SECOND
    numbers = ((member.mode & 0o7777, 8), (member.uid, 8), (member.gid, 8), (member.size, 12), (seconds, 12))
    head = name.ljust(_NAME, b"\0") + b"".join(_octal(*each) for each in numbers)
    tail = kind + member.link[:_NAME].ljust(_NAME, b"\0") + b"ustar\x0000" + bytes(64)
    tail += _octal(member.device[0], 8) + _octal(member.device[1], 8) + prefix.ljust(_PREFIX, b"\0") + bytes(12)
    total = sum(head) + sum(tail) + 8 * ord(" ")
    return head + b"%06o\0 " % total + tail
