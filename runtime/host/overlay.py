"""An overlay as the container's root, looked through layer by layer before the kernel has mounted it. Cold.

Sources: Documentation/filesystems/overlayfs.rst. For messages only, as `container_tree`: a directory that was renamed within
the overlay (redirect) is not followed.
"""

import posix
from errno import ENOENT

from runtime.kernel import S_IFCHR, S_IFDIR, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


def layers(options: "Sequence[str]") -> "list[str]":
    """The directories that an overlay with these mount options merges, the top one first; [] if that cannot be told.

    Relative ones are taken from init's directory, which is not known here, and of one that is missing the kernel tells.
    """
    found: list[str] = []
    for option in options:
        name, _, value = option.partition("=")
        if name == "upperdir":
            found.insert(0, value)
        elif name == "lowerdir":
            found += split(value)
        elif name == "lowerdir+":
            found.append(value)
        elif name in ("datadir+", "metacopy", "redirect_dir") and value != "off":
            return []
    return found if all(path[:1] == "/" and _is_directory(path) for path in found) else []


def _is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & S_IFMT == S_IFDIR
    except OSError:
        return False


def split(value: str) -> "list[str]":
    """The directories of a lowerdir option, where a backslash makes the next character an ordinary one."""
    parts, escaped = [""], False
    for character in value:
        if character == ":" and not escaped:
            parts.append("")
        elif character == "\\" and not escaped:
            escaped = True
            continue
        else:
            parts[-1] += character
        escaped = False
    return parts


def is_whiteout(status: "posix.stat_result") -> bool:
    """Whether the file says that those of its name in the layers below are gone."""
    return status.st_mode & S_IFMT == S_IFCHR and status.st_rdev == 0


def is_opaque(path: str) -> bool:
    """Whether the directory hides those of its name in the layers below. An attribute that may not be read does not count."""
    for name in OPAQUE:
        try:
            if posix.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


class Layers:
    """What an overlay of ``directories`` shows, the top one first."""

    def __init__(self, directories: "list[str]") -> None:
        self.directories = directories
        self._merged = {"": directories}  # a directory of the overlay → what it consists of, the top one first

    def find(self, parent: str, name: str) -> str:
        """Where the host has the topmost file of a name in a directory that was found before. Raises FileNotFoundError."""
        parts: list[str] = []
        for directory in self._merged.get(parent, ()):
            path = f"{directory}/{name}"
            try:
                status = posix.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if is_whiteout(status):
                break
            if status.st_mode & S_IFMT != S_IFDIR:
                parts = parts or [path]
                break
            parts.append(path)
            if is_opaque(path):
                break
        if not parts:
            raise FileNotFoundError(ENOENT, posix.strerror(ENOENT))
        self._merged[f"{parent}/{name}"] = parts
        return parts[0]

    def base(self, host: str) -> str:
        """The layer that has a file."""
        return max((path for path in self.directories if f"{host}/".startswith(f"{path}/")), key=len)
