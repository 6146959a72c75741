"""The container's files before the container exists: the root file system under the config's mounts.

Only bind mounts have known content, that of their sources. Links are followed inside the container, as the kernel will.
Hot. For messages only: no security decision depends on it.
"""

import posix
from errno import ELOOP, ENOTDIR

from runtime.files import clean
from runtime.kernel import S_IFDIR, S_IFLNK, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oci_spec.types import Mount
    from runtime.host.overlay import Layers

# The kernel's limit on symbolic links (path_resolution(7)).
_LINKS = 40


class Unknown(Exception):
    """A path leads to or below a mount of unknown content. str() is the mount point."""

    def __init__(self, mount: str, mount_point: bool) -> None:
        super().__init__(mount)
        self.mount_point = mount_point


class Tree:
    """`mode` resolves a path; then `below_mount` says whether that went through a bind mount, and `host` where it is."""

    def __init__(self, rootfs: str, layers: "Layers | None" = None) -> None:
        """`rootfs`: path on the host, "" if the content of / is unknown. `layers`: what / merges, `rootfs` first."""
        self.rootfs = rootfs
        self.layers = layers
        # Mount point in the container → number of the mount, counted from 1, and the source of a bind mount, else None.
        # Mounts hidden by a later one stay here, and are skipped.
        self.mounts: dict[str, tuple[int, str | None]] = {}
        self.count = 0
        self.below_mount = False
        self.host = rootfs
        self.base = rootfs  # where the mount that has it begins on the host
        self._modes: dict[str, int] = {}

    def add(self, destination: str, source: "str | None") -> None:
        """Mount ``source`` on ``destination``."""
        self.count += 1
        self.mounts[destination] = (self.count, source)

    def mode(self, path: str) -> int:
        """st_mode of a path in the container, after following links. Raises OSError as stat(2), and Unknown."""
        return self._walk(path)[1]

    def resolve(self, path: str) -> str:
        """The path without links and dots; if it does not exist, only cleaned as text."""
        try:
            return self._walk(path)[0]
        except (OSError, Unknown):
            return clean(path)

    def _walk(self, path: str) -> "tuple[str, int]":
        """(path in the container without links, st_mode). Host paths go only to lstat, so no link leads outside."""
        if not self.rootfs:
            raise Unknown("/", False)
        todo = [name for name in reversed(path.split("/")) if name not in ("", ".")]
        trail = [("", self.rootfs, 0)]
        mode, links = S_IFDIR, 0
        while todo:
            name = todo.pop()
            if mode & S_IFMT != S_IFDIR:
                raise OSError(ENOTDIR, posix.strerror(ENOTDIR))
            if name == "..":
                if len(trail) > 1:
                    trail.pop()
                continue
            inside, host, mount = self._step(trail[-1], name, not todo)
            mode = self._mode(host)
            if mode & S_IFMT == S_IFLNK:
                links += 1
                if links > _LINKS:
                    raise OSError(ELOOP, posix.strerror(ELOOP))
                target = posix.readlink(host)
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                if target[:1] == "/":
                    del trail[1:]
                mode = S_IFDIR
                continue
            trail.append((inside, host, mount))
        self.below_mount = trail[-1][2] > 0
        self.host = trail[-1][1]
        self.base = next(host for _, host, mount in trail if mount == trail[-1][2])
        if self.layers and not self.below_mount:
            self.base = self.layers.base(self.host)
        return trail[-1][0] or "/", mode

    def _step(self, parent: "tuple[str, str, int]", name: str, last: bool) -> "tuple[str, str, int]":
        """Descend by one name: (path in the container, path on the host, number of its mount, 0 for the root)."""
        inside = f"{parent[0]}/{name}"
        mount, source = self.mounts.get(inside, (0, None))
        if mount <= parent[2]:
            self.below_mount = parent[2] > 0
            if self.layers and not self.below_mount:
                return inside, self.layers.find(parent[0], name), 0
            return inside, f"{parent[1]}/{name}", parent[2]
        if source is None:
            raise Unknown(inside, last)
        self.below_mount = True
        return inside, source, mount

    def _mode(self, host: str) -> int:
        mode = self._modes.get(host)
        if mode is None:
            mode = self._modes[host] = posix.lstat(host).st_mode
        return mode


def tree_of(rootfs: str, mounts: "Iterable[Mount]", bundle: str, exact: bool) -> Tree:
    """The tree of a config. `exact`: resolve links in mount points, instead of taking them as written."""
    tree = Tree(rootfs)
    for mount in mounts:
        tree = with_mount(tree, mount, bundle, exact)
    return tree


def with_mount(tree: Tree, mount: "Mount", bundle: str, exact: bool) -> Tree:
    """The tree with one more mount: the same object, unless the mount hides all of it."""
    options = mount.get("options", ())
    if "remount" in options:
        return tree
    source = None
    if ("bind" in options or "rbind" in options) and mount.get("source"):
        source = mount["source"]
        source = source if source[0] == "/" else f"{bundle}/{source}"
        source = _followed(source)
    destination = mount["destination"]
    destination = tree.resolve(destination) if exact else clean(destination)
    if destination == "/":  # hides everything before
        return _overlay(options) if mount.get("type") == "overlay" and not source else Tree(source or "")
    tree.add(destination, source)
    return tree


def _overlay(options: "Sequence[str]") -> Tree:
    from runtime.host import overlay

    directories = overlay.layers(options)
    return Tree(directories[0], overlay.Layers(directories)) if directories else Tree("")


def _followed(path: str) -> str:
    """The host's path with links at its end followed, since `_walk` uses lstat."""
    for _ in range(_LINKS):
        try:
            target = posix.readlink(path)
        except OSError:
            return path
        path = target if target[:1] == "/" else f"{path.rpartition('/')[0]}/{target}"
    return path
