"""What each mount option of the spec means to the kernel (config.md#linux-mount-options), as tables.

Options that no table names belong to the file system. Pure and hot.
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

# What takes a flag from a file system that has it, by the names of fsconfig(2).
CLEARED = ((MS_SYNCHRONOUS, "async"), (MS_LAZYTIME, "nolazytime"), (MS_MANDLOCK, "nomand"))
# What fsconfig(2) has no name for.
MOUNT2_ONLY = MS_SILENT | MS_I_VERSION

# Kinds of options.
ATTRIBUTE, RECURSIVE, SUPERBLOCK, PROPAGATION, WORD, IGNORED = range(6)

# name → (bits to set, bits to clear). An access time is a field: it is cleared as a whole.
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
# A file system has its flags as a whole, so these are what they are without the r.
_SUPERBLOCK |= {f"r{name}": _SUPERBLOCK[name] for name in ("sync", "async", "dirsync", "mand", "nomand")}
# What mount(8) keeps for itself, and what it makes of the words that let others mount.
_MOUNT8 = ("auto", "noauto", "nofail", "_netdev", "nouser", "nousers", "noowner", "nogroup")
_MOUNT8_ATTRIBUTES = {
    **dict.fromkeys(("user", "users"), (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0)),
    **dict.fromkeys(("owner", "group"), (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0)),
}
# Views of the kernel: their superblock may be shared with the host or with other containers, so that only the mount
# may be made read-only.
KERNEL_TYPES = ("proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "tmpfs")
BINDS = {"bind", "rbind"}
LINKS = {"copy-symlink", "src-nofollow", "dest-nofollow"}

# name → (kind, bits to set, bits to clear)
OPTIONS: dict[str, tuple[int, int, int]] = {
    **{name: (ATTRIBUTE, *bits) for name, bits in _ATTRIBUTES.items()},
    # No access time at all is the kernel's choice of one.
    "norelatime": (ATTRIBUTE, 0, 0),
    **{f"r{name}": (RECURSIVE, *bits) for name, bits in _ATTRIBUTES.items()},
    "rnorelatime": (RECURSIVE, 0, MOUNT_ATTR_ATIME),
    **{name: (SUPERBLOCK, *bits) for name, bits in _SUPERBLOCK.items()},
    **{name: (PROPAGATION, flag, 0) for name, flag in _PROPAGATION.items()},
    **{f"r{name}": (PROPAGATION, flag | MS_REC, 0) for name, flag in _PROPAGATION.items()},
    **dict.fromkeys((*BINDS, *LINKS, "remount", "tmpcopyup", "idmap", "ridmap"), (WORD, 0, 0)),
    "defaults": (IGNORED, 0, 0),
    **dict.fromkeys(_MOUNT8, (IGNORED, 0, 0)),
    **{name: (ATTRIBUTE, *bits) for name, bits in _MOUNT8_ATTRIBUTES.items()},
}

# What the features document lists: the names that a table acts on.
NAMES = tuple(sorted(name for name in OPTIONS if name not in _MOUNT8 and name not in _MOUNT8_ATTRIBUTES))


class Options:
    """The options of one mount, sorted by who they are for. Bits as in the tables above."""

    __slots__ = (
        "clear",
        "data",
        "lost",
        "propagation",
        "rec_clear",
        "rec_set",
        "set",
        "superblock",
        "superblock_clear",
        "words",
    )

    def __init__(self) -> None:
        self.set = self.clear = self.rec_set = self.rec_clear = 0
        self.superblock = self.superblock_clear = self.propagation = 0
        self.words: set[str] = set()  # bind, rbind, remount, tmpcopyup, idmap, ridmap and LINKS
        self.data: list[str] = []  # the file system's own
        self.lost: list[str] = []  # what mount(8) would do and nobody here does


def lockable(options: Options) -> "tuple[int, int, int, int]":
    """What is set and cleared, in the mount and in all below it, where a user namespace may not do all of that itself.

    It may not clear what the host has set, nor change how access times are kept (mount_namespaces(7)). Else zeros.
    """
    wanted = options.set, options.clear, options.rec_set, options.rec_clear
    times = (options.set | options.rec_set) & (MOUNT_ATTR_ATIME | MOUNT_ATTR_NODIRATIME)
    return wanted if options.clear or options.rec_clear or times else (0, 0, 0, 0)


def parse(names: "list[str]") -> Options:
    """The meaning of ``names`` together: of two that contradict each other the later one counts."""
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
        elif kind == WORD:
            result.words.add(name)
        elif kind != IGNORED and name:
            if not name.startswith(("x-", "X-", "comment=")):
                result.data.append(name)
            elif name.startswith("X-mount.") and not name.startswith("X-mount.mkdir"):  # what is missing is made
                result.lost.append(name)
    # Whoever sets an access time clears the field first: the kernel insists.
    if result.set & MOUNT_ATTR_ATIME:
        result.clear |= MOUNT_ATTR_ATIME
    if result.rec_set & MOUNT_ATTR_ATIME:
        result.rec_clear |= MOUNT_ATTR_ATIME
    return result


def flatten(options: Options) -> None:
    """Makes the recursive attributes those of the mount itself."""
    options.set = options.set & ~options.rec_clear | options.rec_set
    options.clear = options.clear & ~options.rec_set | options.rec_clear


def _combined(before: int, new: int) -> int:
    """A mount can be a slave and shared at once; otherwise the later kind counts."""
    if before and not before & ~(MS_SLAVE | MS_SHARED | MS_REC) and not new & ~(MS_SHARED | MS_REC):
        return before | new
    return new
