"""The mount options of the spec (config.md#linux-mount-options) as the kernel's flags, in tables.

Options in no table belong to the file system. Pure and hot.
"""

from runtime.kernel import (
    MOUNT_ATTR_ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
    MS_SILENT,
    MS_SLAVE,
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
)

# What clears a superblock flag, by fsconfig(2) names.
CLEARED = ((MS_SYNCHRONOUS, "async"), (MS_LAZYTIME, "nolazytime"), (MS_MANDLOCK, "nomand"))
# Flags without an fsconfig(2) name.
MOUNT2_ONLY = MS_SILENT | MS_I_VERSION

# Kinds of options.
ATTRIBUTE, RECURSIVE, SUPERBLOCK, PROPAGATION, KEYWORD, IGNORED = range(6)

# name → (bits to set, bits to clear). The access time is a multi-bit field, cleared as a whole.
_ATTRIBUTES = {
    "ro": (MOUNT_ATTR_RDONLY, 0),
    "rw": (0, MOUNT_ATTR_RDONLY),
    "nosuid": (MOUNT_ATTR_NOSUID, 0),
    "suid": (0, MOUNT_ATTR_NOSUID),
    "nodev": (MOUNT_ATTR_NODEV, 0),
    "dev": (0, MOUNT_ATTR_NODEV),
    "noexec": (MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, MOUNT_ATTR_NOEXEC),
    "nodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    "noatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR_ATIME),
    "atime": (0, MOUNT_ATTR_ATIME),
    "relatime": (0, MOUNT_ATTR_ATIME),
    "strictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_ATIME),
    "nostrictatime": (0, MOUNT_ATTR_ATIME),
}
_SUPERBLOCK = {
    "sync": (MS_SYNCHRONOUS, 0),
    "async": (0, MS_SYNCHRONOUS),
    "dirsync": (MS_DIRSYNC, 0),
    "lazytime": (MS_LAZYTIME, 0),
    "nolazytime": (0, MS_LAZYTIME),
    "mand": (MS_MANDLOCK, 0),
    "nomand": (0, MS_MANDLOCK),
    "iversion": (MS_I_VERSION, 0),
    "noiversion": (0, MS_I_VERSION),
    "silent": (MS_SILENT, 0),
    "loud": (0, MS_SILENT),
}
_PROPAGATION = {"shared": MS_SHARED, "slave": MS_SLAVE, "private": MS_PRIVATE, "unbindable": MS_UNBINDABLE}
# Superblock flags apply to the whole file system, so the r changes nothing.
_SUPERBLOCK |= {f"r{name}": _SUPERBLOCK[name] for name in ("sync", "async", "dirsync", "mand", "nomand")}
# Options that mount(8) handles itself, and the attributes that its options for user mounts imply.
_MOUNT8 = ("auto", "noauto", "nofail", "_netdev", "nouser", "nousers", "noowner", "nogroup")
_MOUNT8_ATTRIBUTES = {
    **dict.fromkeys(("user", "users"), (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0)),
    **dict.fromkeys(("owner", "group"), (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0)),
}
# Kernel file systems: the superblock may be shared with the host or other containers, so only the mount is made
# read-only.
KERNEL_TYPES = ("proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "tmpfs")
BINDS = {"bind", "rbind"}
LINKS = {"copy-symlink", "src-nofollow", "dest-nofollow"}

# name → (kind, bits to set, bits to clear)
OPTIONS: dict[str, tuple[int, int, int]] = {
    **{name: (ATTRIBUTE, *bits) for name, bits in _ATTRIBUTES.items()},
    # Without an access time option the kernel chooses.
    "norelatime": (ATTRIBUTE, 0, 0),
    **{f"r{name}": (RECURSIVE, *bits) for name, bits in _ATTRIBUTES.items()},
    "rnorelatime": (RECURSIVE, 0, MOUNT_ATTR_ATIME),
    **{name: (SUPERBLOCK, *bits) for name, bits in _SUPERBLOCK.items()},
    **{name: (PROPAGATION, flag, 0) for name, flag in _PROPAGATION.items()},
    **{f"r{name}": (PROPAGATION, flag | MS_REC, 0) for name, flag in _PROPAGATION.items()},
    **dict.fromkeys((*BINDS, *LINKS, "remount", "tmpcopyup", "idmap", "ridmap"), (KEYWORD, 0, 0)),
    "defaults": (IGNORED, 0, 0),
    **dict.fromkeys(_MOUNT8, (IGNORED, 0, 0)),
    **{name: (ATTRIBUTE, *bits) for name, bits in _MOUNT8_ATTRIBUTES.items()},
}

# For the features document: the options that have an effect.
NAMES = tuple(sorted(name for name in OPTIONS if name not in _MOUNT8 and name not in _MOUNT8_ATTRIBUTES))


class Options:
    """The options of one mount, by kind. Bits as in the tables above."""

    __slots__ = (
        "clear",
        "data",
        "keywords",
        "lost",
        "propagation",
        "rec_clear",
        "rec_set",
        "set",
        "superblock",
        "superblock_clear",
    )

    def __init__(self) -> None:
        self.set = self.clear = self.rec_set = self.rec_clear = 0
        self.superblock = self.superblock_clear = self.propagation = 0
        self.keywords: set[str] = set()  # bind, rbind, remount, tmpcopyup, idmap, ridmap and LINKS
        self.data: list[str] = []  # the file system's own
        self.lost: list[str] = []  # what only mount(8) would do


def lockable(options: Options) -> "tuple[int, int, int, int]":
    """The bits to set and clear, in the mount and recursively, if a user namespace may not change them; else zeros.

    It may not clear what the host set, nor change the access time mode (mount_namespaces(7)).
    """
    wanted = options.set, options.clear, options.rec_set, options.rec_clear
    times = (options.set | options.rec_set) & (MOUNT_ATTR_ATIME | MOUNT_ATTR_NODIRATIME)
    return wanted if options.clear or options.rec_clear or times else (0, 0, 0, 0)


def parse(names: "list[str]") -> Options:
    """The combined meaning of ``names``: of two that contradict each other, the later wins."""
    result = Options()
    for name in names:
        kind, bits, clear = OPTIONS.get(name, (-1, 0, 0))
        if kind == ATTRIBUTE:
            result.set = result.set & ~clear | bits
            result.clear = result.clear & ~bits | clear
        elif kind == RECURSIVE:
            result.rec_set = result.rec_set & ~clear | bits
            result.rec_clear = result.rec_clear & ~bits | clear
        elif kind == SUPERBLOCK:
            result.superblock = result.superblock & ~clear | bits
            result.superblock_clear = result.superblock_clear & ~bits | clear
        elif kind == PROPAGATION:
            result.propagation = _combined(result.propagation, bits)
        elif kind == KEYWORD:
            result.keywords.add(name)
        elif kind != IGNORED and name:
            if not name.startswith(("x-", "X-", "comment=")):
                result.data.append(name)
            elif name.startswith("X-mount.") and not name.startswith(
                "X-mount.mkdir"
            ):  # a missing target is always made
                result.lost.append(name)
    # To set an access time mode, the kernel requires the whole field to be cleared.
    if result.set & MOUNT_ATTR_ATIME:
        result.clear |= MOUNT_ATTR_ATIME
    if result.rec_set & MOUNT_ATTR_ATIME:
        result.rec_clear |= MOUNT_ATTR_ATIME
    return result


def flatten(options: Options) -> None:
    """Apply the recursive attributes to the mount itself."""
    options.set = options.set & ~options.rec_clear | options.rec_set
    options.clear = options.clear & ~options.rec_set | options.rec_clear


def _combined(before: int, new: int) -> int:
    """A mount can be slave and shared at once; otherwise the later kind wins."""
    if before and not before & ~(MS_SLAVE | MS_SHARED | MS_REC) and not new & ~(MS_SHARED | MS_REC):
        return before | new
    return new
