"""Where the files of an image are: a directory, or a tar archive with the same files in it, which is read in place."""

import posix
from errno import ENOENT, ENOTDIR

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.images import names
from runtime.images.errors import BadImage
from runtime.images.layouts.blobs import Blob, counted, decompressed
from runtime.images.tar.header import BLOCK
from runtime.images.tar.reader import TarReader
from runtime.kernel import S_IFDIR, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.budget import Budget

_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10  # linux/openat2.h
_READ = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK
_MAX_MEMBERS = 100_000  # files of an archive: an image has some dozens
_ALIASES = 40


class Directory:
    """A directory. Links in it lead nowhere outside: it may be another's."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)

    def find(self, name: str, digest: "str | None" = None) -> "Blob | None":
        """A file by its name from the top; None if there is none. OcirunError if it cannot be read."""
        words = b"".join(word.to_bytes(8, "little") for word in (_READ, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS))
        descriptor = shim.system_call("openat2", self._descriptor, shim.posix_path(name), words, len(words))
        if -descriptor in (ENOENT, ENOTDIR):
            return None
        if descriptor < 0:
            raise system_failure(f"open {self.path}/{name}", OSError(-descriptor, ""))
        status = posix.fstat(descriptor)
        if status.st_mode & S_IFMT != S_IFREG:
            posix.close(descriptor)
            raise BadImage(f"{self.path}/{name} is not a regular file")
        return Blob(descriptor, 0, status.st_size, digest, name)


class _File:
    """A file as the stream of a TarReader."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.at = 0
        self._descriptor = descriptor
        self._size = size

    def exactly(self, count: int) -> bytes:
        data = posix.pread(self._descriptor, count, self.at)
        if len(data) < count:
            raise BadImage("the archive is truncated")
        self.at += count
        return data

    def block(self) -> bytes:
        return self.exactly(BLOCK) if self.at < self._size else b""

    def skip(self, count: int) -> None:
        self.at += count
        if self.at > self._size:
            raise BadImage("the archive is truncated")


class Archive:
    """A tar archive. Of two files of one name the last counts, as for tar(1)."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._members: dict[bytes, tuple[int, int]] = {}
        self._links: dict[bytes, bytes] = {}
        stream = _File(descriptor, posix.fstat(descriptor).st_size)
        for count, entry in enumerate(TarReader(stream)):
            if count == _MAX_MEMBERS:
                raise BadImage(f"{path} has more than {_MAX_MEMBERS} files")
            name = b"/".join(names.parts(entry.name))
            self._members.pop(name, None)
            self._links.pop(name, None)
            if entry.kind == "file" and entry.pieces is None:
                self._members[name] = (stream.at, entry.size)
            elif entry.kind == "symlink":  # docker save before 25 has them between equal layers
                self._links[name] = b"/".join(_resolved(name.rpartition(b"/")[0], entry.link))
            elif entry.kind == "link":
                self._links[name] = b"/".join(names.parts(entry.link))

    def find(self, name: str, digest: "str | None" = None) -> "Blob | None":
        """A file by its name from the top; None if there is none."""
        key = b"/".join(names.components(shim.posix_path(name)))
        for _ in range(_ALIASES):
            if key not in self._links:
                break
            key = self._links[key]
        if key not in self._members:
            return None
        offset, size = self._members[key]
        return Blob(posix.dup(self._descriptor), offset, size, digest, name)


Source = Directory | Archive


def _resolved(directory: bytes, target: bytes) -> "list[bytes]":
    """Where a link leads, from the top of the archive."""
    path: list[bytes] = []
    for part in names.components(target if target.startswith(b"/") else directory + b"/" + target):
        if part == b"..":
            del path[-1:]
        else:
            path.append(part)
    return path


def open_source(path: str, scratch: int, room: str, budget: "Budget") -> Source:
    """The source that ``path`` names. Raises OcirunError.

    ``scratch``: a directory for a compressed archive's content; ``room``: what it is in, for messages.
    """
    try:
        status = posix.stat(path)
        if status.st_mode & S_IFMT == S_IFDIR:
            return Directory(path)
        descriptor = posix.open(path, _READ)
    except OSError as error:
        raise system_failure(f"open {path}", error) from None
    if status.st_mode & S_IFMT != S_IFREG:
        posix.close(descriptor)
        raise OcirunError(f"{path} is neither a directory nor a file: give an OCI layout, or an archive of an image")
    try:
        blob = Blob(descriptor, 0, posix.fstat(descriptor).st_size, None, path)
        if not _is_plain(blob):
            try:
                descriptor = _unpacked(blob, scratch, budget)
            except OSError as error:
                raise system_failure(f"decompress {path} into {room}", error) from None
        return Archive(path, descriptor)
    except BadImage as error:
        raise BadImage(f"{path}: {error.message}") from None


def _is_plain(blob: Blob) -> bool:
    """Whether it is not compressed: a tar archive has its mark in the first header."""
    return posix.pread(blob.descriptor, 5, 257) == b"ustar" or blob.size < BLOCK


def _unpacked(blob: Blob, scratch: int, budget: "Budget") -> int:
    """The decompressed archive in a file without a name."""
    from runtime.images.writing import write_all

    made = posix.open(".", posix.O_TMPFILE | posix.O_RDWR | posix.O_CLOEXEC, 0o600, dir_fd=scratch)
    budget.begin("decompressing the archive", blob.size)
    total = 0
    for piece in decompressed(counted(blob, budget), "it"):
        budget.decompressed(len(piece))
        total += len(piece)
        budget.check(total)
        write_all(made, piece)
    posix.close(blob.descriptor)
    return made
