"""The options of a file system, which are its superblock's: the config's against the last field of mountinfo."""

from runtime.kernel import MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_SYNCHRONOUS

from .check import judge, unknown
from .container import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.host.mountinfo import Mount

    from .check import Check
    from .container import Container
    from .entries import Wanted

SUPERBLOCK = {MS_SYNCHRONOUS: "sync", MS_DIRSYNC: "dirsync", MS_MANDLOCK: "mand", MS_LAZYTIME: "lazytime"}
# The options that the kernel does not show: they are done, or the mount would have failed.
SILENT = ("newinstance", "context", "fscontext", "defcontext", "rootcontext", "source")
# The values that the kernel does not show: option by file system.
DEFAULTS = {("tmpfs", "mode"): "1777", ("tmpfs", "uid"): "0", ("tmpfs", "gid"): "0"}
SUFFIXES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50, "e": 1 << 60}
PAGE = 4096


def checks(container: "Container", row: "Wanted", mount: "Mount", later: "Sequence[Wanted]" = ()) -> "Iterator[Check]":
    """Each option that is the file system's own, and the flags of the superblock.

    ``later``: entries that remount it, whose options count instead.
    """
    changed = {option.partition("=")[0] for other in later for option in other.options.data}
    pointer, shown = f"{row.pointer}/options", dict(option.partition("=")[::2] for option in mount.options)
    for option in dict.fromkeys(row.options.data):
        name, equals, value = option.partition("=")
        what = f"{name} of {row.path}"
        if name in SILENT or name in changed:
            continue
        if name not in shown:
            default = DEFAULTS.get((mount.type, name))
            if default is None:
                yield unknown(pointer, what, option, "the kernel does not show this option")
                continue
            shown[name] = default
        if not equals:
            yield judge(pointer, what, option, name, True)
        elif (wanted := _number(container, name, value)) is None and value != shown[name]:
            yield unknown(pointer, what, option, f"the kernel shows it as {name}={shown[name]}")
        else:
            same = value == shown[name] or wanted == _shown(name, shown[name])
            yield judge(pointer, what, option, f"{name}={shown[name]}", same)
    for flag, word in SUPERBLOCK.items():
        if row.options.superblock & flag and not later:
            yield judge(pointer, f"{word} of {row.path}", word, ",".join(mount.options), word in shown)


def _number(container: "Container", name: str, value: str) -> int | None:
    """The value of an option as a number; None if it is text that only its file system understands."""
    number = _shown(name, value)
    if number is None or name not in ("uid", "gid"):
        return number
    # Ids count in the container's user namespace, and mountinfo shows the host's; one that is not mapped is left out.
    return outside(number, container.uids if name == "uid" else container.gids)


def _shown(name: str, value: str) -> int | None:
    try:
        if name in ("mode", "ptmxmode", "fmask", "dmask", "umask"):
            return int(value, 8)
        if name in ("size", "nr_inodes", "nr_blocks"):
            number = size(value)
            return -(-number // PAGE) if name == "size" else number
        return int(value)
    except ValueError:
        return None


def size(text: str) -> int:
    """A number with the kernel's suffixes. ValueError for anything else."""
    factor = SUFFIXES.get(text[-1:].lower(), 1)
    return int(text[:-1] if factor > 1 else text) * factor
