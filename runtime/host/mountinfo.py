"""/proc/PID/mountinfo (proc_pid_mountinfo(5)) as mounts, and which of them a path leads to. Cold."""

from runtime.files import components, read
from runtime.host.cgroups import unescape

PROPAGATION = ("shared", "master", "unbindable")


class Mount:
    """One line. ``point``: where it is, counted from the process's root; ``root``: the part of the file system it shows."""

    __slots__ = ("device", "flags", "id", "options", "parent", "point", "root", "source", "tags", "type")

    def __init__(self, line: str) -> None:
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        self.id = int(fields[0])
        self.parent = int(fields[1])
        self.device = fields[2]  # "major:minor"
        self.root = unescape(fields[3])
        self.point = unescape(fields[4])
        self.flags = set(fields[5].split(","))  # of the mount: ro or rw, nosuid, ...
        self.tags = {field.partition(":")[0] for field in fields[6:]}  # shared, master, unbindable
        self.type = rest[0]
        self.source = unescape(rest[1]) if len(rest) > 1 else ""
        self.options = unescape(rest[2]).split(",") if len(rest) > 2 else []  # of the superblock

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through it, by itself or by its superblock."""
        return "ro" in self.flags or "ro" in self.options

    @property
    def place(self) -> str:
        """Device and path in it: what a bind is identified by."""
        return f"{self.device}:{self.root}"

    @property
    def propagation(self) -> str:
        """As in the file; "private" without a tag."""
        return ",".join(tag for tag in PROPAGATION if tag in self.tags) or "private"


class Mounts:
    """All mounts below one root, in the order of the file, which is the order in which they were made."""

    def __init__(self, text: str) -> None:
        self.all = [Mount(line) for line in text.split("\n") if line]
        self._on = {(mount.parent, mount.point): mount for mount in self.all}  # of two, the later covers the earlier
        self._ids = {mount.id for mount in self.all}

    def at(self, path: str) -> "list[Mount]":
        """The mounts on a path, the first one lowest."""
        return [mount for mount in self.all if mount.point == path]

    def seen(self, path: str) -> "Mount | None":
        """The mount that the path leads to, as the kernel walks it; None if that is not below any."""
        found = next((mount for mount in self.all if mount.point == "/" and mount.parent not in self._ids), None)
        number = found.id if found else self.all[0].parent if self.all else 0
        prefix = ""
        for part in ("", *components(path)):
            prefix = f"{prefix.rstrip('/')}/{part}"
            while (number, prefix) in self._on:
                found = self._on[number, prefix]
                if found.id == number:
                    break
                number = found.id
        return found

    def below(self, path: str) -> "list[Mount]":
        """The mounts below a path, not those on it."""
        prefix = path.rstrip("/") + "/"
        return [mount for mount in self.all if mount.point.startswith(prefix) and mount.point != path]


def of_process(pid: "int | str" = "self") -> Mounts:
    """The mounts of the process's namespace. Raises OSError."""
    return Mounts(read(f"/proc/{pid}/mountinfo").decode("utf-8", "surrogateescape"))


def place_of(mounts: Mounts, path: str) -> "tuple[Mount, str] | None":
    """The mount that a path without links is in, and the path's place there, as `Mount.place` of a bind of it shows."""
    mount = mounts.seen(path)
    if mount is None:
        return None
    rest = path[len(mount.point.rstrip("/")) :]
    return mount, f"{mount.device}:{(mount.root.rstrip('/') + rest) or '/'}"
