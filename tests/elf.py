"""ELF files for tests, which nobody executes: a header, and what the dynamic loader reads of them."""

import struct

X86_64, AARCH64 = 62, 183
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3


def elf(
    machine: int = X86_64, loader: str = "", needed: tuple[str, ...] = (), runpath: str = "", kind: int = 2
) -> bytes:
    """A file with an ELF header, and what the loader reads of it. It does nothing."""
    strings = b"\0"
    entries = []
    for tag, texts in ((1, needed), (29, (runpath,) if runpath else ())):
        for text in texts:
            entries.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    interp = loader.encode() + b"\0" if loader else b""
    count = 1 + bool(loader) + bool(entries)
    at = 64 + 56 * count
    table, dynamic = at + len(interp), at + len(interp) + len(strings)
    entries += [(5, table), (0, 0)]
    packed = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    whole = dynamic + len(packed)
    headers = struct.pack("<IIQQQQQQ", PT_LOAD, 5, 0, 0, 0, whole, whole, 4096)
    if loader:
        headers += struct.pack("<IIQQQQQQ", PT_INTERP, 4, at, at, at, len(interp), len(interp), 1)
    if len(entries) > 2:
        headers += struct.pack("<IIQQQQQQ", PT_DYNAMIC, 4, dynamic, dynamic, dynamic, len(packed), len(packed), 8)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    return header + headers + interp + strings + packed
