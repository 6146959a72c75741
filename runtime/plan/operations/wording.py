"""Arguments in words, for the sentences: bits, numbers, ids and options, as a config spells them."""

from runtime import kernel
from runtime.plan import capabilities, rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FEW = 8
UNLIMITED = (1 << 64) - 1
SPREAD = {
    "shared": "shared with the host: what is mounted in one place is seen in the other",
    "slave": "a slave of the host's: later mounts come in, none go out",
    "private": "private: none come in or go out",
    "unbindable": "unbindable: none come in or go out, and none can be bound elsewhere",
}
# The option that sets a bit of MOUNT_ATTR_*, and the one that clears it. relatime is the access time without a bit.
ATTRIBUTES = {
    kernel.MOUNT_ATTR_RDONLY: ("ro", "rw"),
    kernel.MOUNT_ATTR_NOSUID: ("nosuid", "suid"),
    kernel.MOUNT_ATTR_NODEV: ("nodev", "dev"),
    kernel.MOUNT_ATTR_NOEXEC: ("noexec", "exec"),
    kernel.MOUNT_ATTR_NOATIME: ("noatime", ""),
    kernel.MOUNT_ATTR_STRICTATIME: ("strictatime", ""),
    kernel.MOUNT_ATTR_NODIRATIME: ("nodiratime", "diratime"),
    kernel.MOUNT_ATTR_NOSYMFOLLOW: ("nosymfollow", "symfollow"),
}
# Superblock flags, by MS_*; ro is shown as an attribute.
SUPERBLOCK = {
    kernel.MS_SYNCHRONOUS: "sync",
    kernel.MS_MANDLOCK: "mand",
    kernel.MS_DIRSYNC: "dirsync",
    kernel.MS_SILENT: "silent",
    kernel.MS_I_VERSION: "iversion",
    kernel.MS_LAZYTIME: "lazytime",
}


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def limit(value: int) -> str:
    return "unlimited" if value & UNLIMITED == UNLIMITED else str(value)


def name(number: int, table: "dict[str, int]") -> str:
    """Its name in ``table``, or else the number."""
    return next((name for name, value in table.items() if value == number), str(number))


def bit_names(bits: int, table: "dict[str, int]") -> "list[str]":
    """The names in ``table`` of the bits, which may be a signed 64-bit number."""
    return [name for name, bit in table.items() if bits & bit]


def ranges(numbers: "Iterable[str]") -> str:
    """Decimal numbers as ranges: 0-3, 7."""
    spans: list[list[int]] = []
    for number in map(int, numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def id_map(text: str) -> str:
    """An id map in words: the container's ids, and the host's."""
    rows = [[int(number) for number in line.split()] for line in text.splitlines()]
    pairs = [(_span(first, size), _span(outside, size)) for first, outside, size in rows]
    return ", ".join(f"{inside} as the host's {outside}" for inside, outside in pairs)


def _span(first: int, size: int) -> str:
    return str(first) if size == 1 else f"{first}-{first + size - 1}"


def propagation(flags: int) -> str:
    """The propagation of a mount in words, by its MS_* bit."""
    return next((description for name, description in SPREAD.items() if flags & rootfs.PROPAGATION[name]), "as it is")


def mount_options(set_bits: int, clear: int = 0, rec_set: int = 0, rec_clear: int = 0, flags: int = 0) -> str:
    """The options of a mount in parentheses, as a config spells them; ``flags`` are MS_* bits. "" without any."""
    options = [names[0] for bit, names in ATTRIBUTES.items() if set_bits & bit]
    options += [names[1] for bit, names in ATTRIBUTES.items() if clear & ~set_bits & bit and names[1]]
    options += [f"r{names[0]}" for bit, names in ATTRIBUTES.items() if rec_set & bit]
    options += [f"r{names[1]}" for bit, names in ATTRIBUTES.items() if rec_clear & ~rec_set & bit and names[1]]
    options += [name for bit, name in SUPERBLOCK.items() if flags & bit]
    recursive = "r" if flags & kernel.MS_REC else ""
    options += [recursive + name for name, bit in rootfs.PROPAGATION.items() if flags & bit]
    return f" ({', '.join(options)})" if options else ""


def own_options(options: "Sequence[str] | None") -> str:
    """The file system's own options."""
    return f" with {','.join(options)}" if options else ""


def capability_set(mask: int) -> str:
    """Capabilities by name; if nearly all are set, those that are missing."""
    missing = bit_names(~mask, capabilities.BITS)
    if len(missing) <= FEW:
        return "all capabilities" + (f" but {_lowered(missing)}" if missing else "")
    return _lowered(bit_names(mask, capabilities.BITS)) or "no capabilities"


def _lowered(names: "list[str]") -> str:
    return ", ".join(name.removeprefix("CAP_").lower() for name in names)


def alike(sets: "dict[str, int]") -> str:
    """Capability sets in words; equal sets are joined."""
    together: dict[int, list[str]] = {}
    for kind, mask in sets.items():
        together.setdefault(mask, []).append(kind)
    return "; as ".join(f"{' and '.join(kinds)} {capability_set(mask)}" for mask, kinds in together.items())
