"""Mounts in words, for `explain`: their options, what the host's side makes, and why a lock refuses attributes. Pure and cold."""

from . import rootfs
from .mount_options import ATIME, NODIRATIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# MOUNT_ATTR_* bits: the option that sets one, and the one that clears it. relatime is the access time without a bit.
ATTRIBUTES = {
    1: ("ro", "rw"),
    2: ("nosuid", "suid"),
    4: ("nodev", "dev"),
    8: ("noexec", "exec"),
    0x10: ("noatime", ""),
    0x20: ("strictatime", ""),
    0x80: ("nodiratime", "diratime"),
    0x200000: ("nosymfollow", "symfollow"),
}
# MS_* bits of a file system; ro is told as an attribute.
SUPERBLOCK = {16: "sync", 64: "mand", 128: "dirsync", 1 << 15: "silent", 1 << 23: "iversion", 1 << 25: "lazytime"}
MS_REC = 1 << 14
TIMES = ATIME | NODIRATIME


def options(set_bits: int, clear: int = 0, rec_set: int = 0, rec_clear: int = 0, flags: int = 0) -> str:
    """The options of a mount in parentheses, as a config spells them; ``flags`` are MS_* bits. "" without any."""
    found = [names[0] for bit, names in ATTRIBUTES.items() if set_bits & bit]
    found += [names[1] for bit, names in ATTRIBUTES.items() if clear & ~set_bits & bit and names[1]]
    found += [f"r{names[0]}" for bit, names in ATTRIBUTES.items() if rec_set & bit]
    found += [f"r{names[1]}" for bit, names in ATTRIBUTES.items() if rec_clear & ~rec_set & bit and names[1]]
    found += [name for bit, name in SUPERBLOCK.items() if flags & bit]
    recursive = "r" if flags & MS_REC else ""
    found += [recursive + name for name, bit in rootfs.PROPAGATION.items() if flags & bit]
    return f" ({', '.join(found)})" if found else ""


def open_tree(n: "Any", s: "Any") -> str:
    below = " with what is mounted below it" if n[0] & 1 else ""
    return f"clone the mount at {s[0]}{options(*n[2:])}{below}{', over itself' if n[1] else ''}"


def device_tree(n: "Any", s: "Any") -> str:
    kind = "block" if n[0] & 0o040000 else "character"
    what = f"{kind} device {s[0]} ({n[1]}:{n[2]}, mode {n[3]:04o}, uid {n[4]}, gid {n[5]})"
    return f"make the {what} in a tmpfs of the host's side"


def remedy(attr_set: int, attr_clr: int, rec_set: int, rec_clr: int) -> str:
    """For MOUNT_ATTR_* that the kernel refuses, since the mount is locked (mount_namespaces(7)). "" for others."""
    asked = options(attr_set & TIMES, attr_clr, rec_set & TIMES, rec_clr).strip(" ()")
    return f"; the host's mount is not so, and a user namespace may not change that: leave out {asked}" if asked else ""


def remedy_of(numbers: "tuple[int, ...]") -> str:
    """The same for the numbers of a bind."""
    return remedy(numbers[1], numbers[2], numbers[4], numbers[5])
