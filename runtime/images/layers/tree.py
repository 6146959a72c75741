"""The entries of a layer become files, in the form that overlayfs reads: a whiteout is a device 0:0, an opaque directory has an attribute."""

import posix

from runtime.errors import system_failure
from runtime.images import names
from runtime.images.errors import BadImage, shown
from runtime.images.layers.hard_links import HardLinks
from runtime.images.layers.stacked import StackedTree
from runtime.images.layers.whiteouts import Whiteouts
from runtime.images.trees.owners import DEFAULT_ACL
from runtime.images.writing import write_all
from runtime.kernel import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.budget import Budget
    from runtime.images.layers.below import Below
    from runtime.images.names import Path
    from runtime.images.tar.reader import Entry, TarReader
    from runtime.images.trees.owners import Rights

_PIECE = 1 << 18  # bytes written at once
_NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
_TYPES = {"char": S_IFCHR, "block": S_IFBLK, "fifo": S_IFIFO}
_MAX_DEVICE = (1 << 12) - 1, (1 << 20) - 1  # major, minor


class LayerTree:
    """Unpacks the entries of one layer below ``root``, a descriptor. Later entries replace earlier ones of the same name.

    ``below``: the layers below it, None if there are none.
    """

    def __init__(self, root: int, rights: "Rights", budget: "Budget", below: "Below | None" = None) -> None:
        self.tree = StackedTree(root, rights, budget, below)
        self.tree.implied.add(b"")
        self.files = self.size = 0
        self._rights = rights
        self._budget = budget
        self._times: dict[bytes, int] = {}
        self._default_acls: dict[bytes, bytes] = {}
        self._links = HardLinks(self.tree, budget, below)
        self._whiteouts = Whiteouts(self.tree, rights, budget, below)

    @property
    def hidden(self) -> "set[bytes]":
        """The paths of its whiteouts."""
        return self._whiteouts.hidden

    def unpack(self, reader: "TarReader") -> None:
        """All entries. OcirunError when one cannot be made; the caller removes the rest."""
        try:
            for entry in reader:
                self._take(entry, reader)
            self._links.finish()
            self._whiteouts.finish()
            self.files += self._links.files
            self.size += self._links.size
            self._finish()
        finally:
            self.tree.close()

    def _take(self, entry: "Entry", reader: "TarReader") -> None:
        try:
            self._budget.entry(entry.real_size)
            self.files += 1
            self.size += entry.real_size
            path = names.parts(entry.name)
            if path and path[-1].startswith(names.WHITEOUT):
                self._whiteouts.add(path)
            elif entry.kind == "link":
                self._links.add(entry.name, entry.link)
            elif entry.kind == "directory":
                self._directory(entry, path)
            elif not path:
                raise BadImage(f"{shown(entry.name)}: the root must be a directory")
            else:
                self._file(entry, path, reader)
        except OSError as error:
            raise system_failure(f"unpack {shown(entry.name)}", error) from None

    def _directory(self, entry: "Entry", path: "Path") -> None:
        real: Path = ()
        if path:
            above = self.tree.real(path[:-1], make=True)
            real = (*above, path[-1])
            self._links.drop(real)
            status = self.tree.status(above, path[-1])
            hides = status is not None and status.st_mode & S_IFMT != S_IFDIR
            if hides:
                self.tree.remove(above, path[-1])
            if status is None or hides:
                posix.mkdir(path[-1], 0o700, dir_fd=self.tree.descriptor(above))
            if hides:
                self._rights.set_opaque(self.tree.descriptor(real))
        key = b"/".join(real)
        self.tree.implied.discard(key)
        self._default_acls.pop(key, None)
        if acl := entry.xattrs.pop(DEFAULT_ACL, None):
            self._budget.name(len(acl))
            self._default_acls[key] = acl
        self._attributes(self.tree.descriptor(real), entry)
        if key not in self._times:
            self._budget.name(len(key))
        self._times[key] = entry.mtime

    def _file(self, entry: "Entry", path: "Path", reader: "TarReader") -> None:
        """Anything but a directory and a hard link."""
        above, name = self.tree.real(path[:-1], make=True), path[-1]
        self._links.drop((*above, name))
        if self.tree.status(above, name):
            self.tree.remove(above, name)
        directory = self.tree.descriptor(above)
        if entry.kind == "file":
            self._regular(entry, name, directory, reader)
            return
        if entry.kind == "symlink":
            if not entry.link or b"\0" in entry.link:
                raise BadImage(f"{shown(entry.name)}: a symbolic link to nothing")
            posix.symlink(entry.link, name, dir_fd=directory)
        elif not self._node(entry, name, directory):
            return
        self._rights.chown(
            entry.uid,
            entry.gid,
            entry.name,
            lambda uid, gid: posix.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False),
        )
        if entry.kind != "symlink":
            posix.chmod(name, entry.mode, dir_fd=directory)
        posix.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)

    def _regular(self, entry: "Entry", name: bytes, directory: int, reader: "TarReader") -> None:
        descriptor = posix.open(name, _NEW, 0o600, dir_fd=directory)
        try:
            for offset, length in [(0, entry.size)] if entry.pieces is None else entry.pieces:
                if entry.pieces is not None:
                    posix.lseek(descriptor, offset, 0)
                while length:
                    piece = reader.data(min(length, _PIECE))
                    length -= len(piece)
                    write_all(descriptor, piece)
            if entry.pieces is not None:
                posix.ftruncate(descriptor, entry.real_size)
            self._attributes(descriptor, entry)
            posix.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            posix.close(descriptor)

    def _attributes(self, descriptor: int, entry: "Entry") -> None:
        """Owner, mode and extended attributes; in this order: chown(2) takes the set-user-id bit and the capabilities away."""
        self._rights.chown(entry.uid, entry.gid, entry.name, lambda uid, gid: posix.chown(descriptor, uid, gid))
        posix.chmod(descriptor, entry.mode)
        if entry.xattrs:
            self._rights.set_xattrs(descriptor, entry.name, entry.xattrs)

    def _node(self, entry: "Entry", name: bytes, directory: int) -> bool:
        """Make a FIFO or a device. False where the caller cannot make devices: they are left out."""
        device = 0
        if entry.kind != "fifo":
            if entry.major > _MAX_DEVICE[0] or entry.minor > _MAX_DEVICE[1]:
                raise BadImage(f"{shown(entry.name)}: there is no device {entry.major}:{entry.minor}")
            device = posix.makedev(entry.major, entry.minor)
            if entry.kind == "char" and not device:
                raise BadImage(f"{shown(entry.name)}: the device 0:0, which overlayfs would take for a whiteout")
        try:
            posix.mknod(name, _TYPES[entry.kind] | entry.mode, device, dir_fd=directory)
        except PermissionError:
            self._rights.warn("device", f"{shown(entry.name)}: devices are left out, since only root can make them")
            return False
        return True

    def _finish(self) -> None:
        """What of directories each file in them would change, or inherit; some were replaced meanwhile."""
        for path, time in self._times.items():
            try:
                directory = self.tree.descriptor(names.components(path))
                if acl := self._default_acls.get(path):
                    self._rights.set_xattrs(directory, path, {DEFAULT_ACL: acl})
                posix.utime(directory, ns=(time, time))
            except (FileNotFoundError, NotADirectoryError):
                pass
