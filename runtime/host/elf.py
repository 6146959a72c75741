"""An ELF file's header, and what its dynamic section names. Cold. Source: elf(5)."""

import _struct as struct
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29
ET_EXEC, ET_DYN = 2, 3
PATH_MAX = 4096


class Elf:
    """The header of an ELF file, and what its dynamic section names. Raises struct.error for a file that is cut off."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        ident = posix.pread(descriptor, 64, 0)
        self.wide = ident[4] == 2
        self.order = "<" if ident[5] == 1 else ">"
        self.kind, self.machine = self.unpack("HH", 16)
        if self.wide:
            self.table, self.entry, self.count = *self.unpack("Q", 32), *self.unpack("HH", 54)
        else:
            self.table, self.entry, self.count = *self.unpack("I", 28), *self.unpack("HH", 42)

    def unpack(self, form: str, offset: int) -> "tuple[int, ...]":
        form = self.order + form
        return struct.unpack(form, posix.pread(self.descriptor, struct.calcsize(form), offset))

    def segments(self) -> "Iterator[tuple[int, int, int, int]]":
        """(type, offset in the file, address, size in the file) of each."""
        for number in range(min(self.count, 128)):
            at = self.table + number * self.entry
            if self.wide:
                kind, _, offset, address, _, size = self.unpack("IIQQQQ", at)
            else:
                kind, offset, address, _, size = self.unpack("IIIII", at)
            yield kind, offset, address, size

    def text(self, offset: int, limit: int = 4096) -> str:
        """A string that ends with NUL."""
        return posix.pread(self.descriptor, limit, offset).split(b"\0", 1)[0].decode(errors="surrogateescape")

    def interpreter(self) -> str:
        """The dynamic loader; "" for a static program."""
        found = ((offset, min(size, PATH_MAX)) for kind, offset, _, size in self.segments() if kind == PT_INTERP)
        return next((self.text(*place) for place in found), "")

    def dynamic(self) -> "dict[int, list[str]]":
        """Tag → strings, of the tags that name files."""
        segments = list(self.segments())
        entries: list[tuple[int, int]] = []
        for kind, offset, _, size in segments:
            if kind == PT_DYNAMIC and not entries:  # the first one counts
                step = 16 if self.wide else 8
                for at in range(offset, offset + min(size, 1 << 16), step):
                    tag, value = self.unpack("QQ" if self.wide else "II", at)
                    if tag == 0:
                        break
                    entries.append((tag, value))
        table = next((value for tag, value in entries if tag == DT_STRTAB), 0)
        starts = [
            offset + table - address
            for kind, offset, address, size in segments
            if kind == PT_LOAD and address <= table < address + size
        ]
        found: dict[int, list[str]] = {DT_NEEDED: [], DT_RPATH: [], DT_RUNPATH: []}
        for tag, value in entries if starts else ():
            if tag in found:
                found[tag].append(self.text(starts[0] + value))
        return found
