"""An OCI layout that is written to (image-spec, image-layout.md): blobs under their digests, then index.json, in one step.

A reader sees the layout before or after, never between: a blob has its name when it is whole, and index.json is replaced by
rename. Whoever writes holds a lock on the directory.
"""

import fcntl
import posix

from oci_spec import load
from runtime.errors import OcirunError, system_failure
from runtime.images import documents
from runtime.images.errors import BadImage
from runtime.images.layouts import digests
from runtime.images.layouts.blobs import Blob
from runtime.images.layouts.image import INDEXES, REF_NAME, names_of
from runtime.images.writing import write_all
from runtime.kernel import S_IFMT, S_IFREG
from runtime.lifecycle.document import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json, JsonObject

VERSION = "1.0.0"
_NEW = posix.O_RDWR | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
_PARTIAL = ".ocirun-"
_DIGITS = 16  # after it, of a blob that is not whole
_HEX = frozenset("0123456789abcdef")
_FOR_ALL = 0o644
LETTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:@/+"
)  # of a name (annotations.md)


class BlobFile:
    """A blob that is being written. ``digest`` and ``size``: of what was written so far."""

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._name = f"{_PARTIAL}{posix.urandom(_DIGITS // 2).hex()}"
        self.descriptor = posix.open(self._name, _NEW, 0o644, dir_fd=directory)
        self._hash = digests.hasher("sha256:")
        self.size = 0

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        write_all(self.descriptor, data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def scratch(self) -> int:
        """A descriptor of a file without a name, beside it."""
        return posix.open(".", posix.O_TMPFILE | posix.O_RDWR | posix.O_CLOEXEC, 0o600, dir_fd=self._directory)

    def keep(self) -> None:
        """Give it its name, when it is on the disk."""
        posix.fsync(self.descriptor)
        posix.rename(self._name, self.digest.partition(":")[2], src_dir_fd=self._directory, dst_dir_fd=self._directory)
        posix.close(self.descriptor)

    def drop(self) -> None:
        posix.close(self.descriptor)
        posix.unlink(self._name, dir_fd=self._directory)


class Layout:
    """An open layout, locked. ``index``: of index.json. Closed by `close`."""

    def __init__(self, path: str) -> None:
        """Raises OSError, and OcirunError for a directory that is none."""
        self.path = path
        self.fresh = _make(path)
        self._descriptor = posix.open(path, _DIRECTORY)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self.index = self._read()
        self._algorithms = self._inner("blobs", self._descriptor)
        self._blobs = self._inner("sha256", self._algorithms)
        for name in posix.listdir(self._blobs):
            if _is_partial(name):  # of a call that was killed
                posix.unlink(name, dir_fd=self._blobs)

    def close(self) -> None:
        posix.close(self._blobs)
        posix.close(self._algorithms)
        posix.close(self._descriptor)

    def _inner(self, name: str, above: int) -> int:
        """A directory of the layout, made if it is missing. A link could lead out."""
        _make(name, above)
        try:
            return posix.open(name, _DIRECTORY | posix.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            raise system_failure(f"open {name} in the layout {self.path}, which must not be a link", error) from None

    def _read(self) -> "JsonObject":
        names = posix.listdir(self._descriptor)
        if "index.json" not in names and not set(names) - {"blobs", "oci-layout", f"{_PARTIAL}index"}:
            documents.write("oci-layout", {"imageLayoutVersion": VERSION}, self._descriptor, _FOR_ALL)
            return {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": []}
        try:
            told, index = (load(documents.content(name, self._descriptor)) for name in ("oci-layout", "index.json"))
        except FileNotFoundError:
            raise OcirunError(f"{self.path} is neither an OCI layout nor empty: choose another directory") from None
        except (OSError, ValueError) as error:
            reason = posix.strerror(error.errno or 0).lower() if isinstance(error, OSError) else error
            raise OcirunError(f"read oci-layout and index.json of {self.path}: {reason}") from None
        if not isinstance(told, dict) or told.get("imageLayoutVersion") != VERSION:
            raise OcirunError(f"{self.path} is a layout of another version than {VERSION}")
        if not isinstance(index, dict) or not isinstance(index.get("manifests"), list):
            raise OcirunError(f"{self.path}/index.json is no index of images")
        return index

    def blob(self) -> BlobFile:
        return BlobFile(self._blobs)

    def has(self, digest: str, size: int) -> bool:
        """Whether the blob is there, and is what its digest says."""
        algorithm, _, digits = digest.partition(":")
        try:
            directory = posix.open(algorithm, _DIRECTORY | posix.O_NOFOLLOW, dir_fd=self._algorithms)
        except OSError:
            return False
        try:
            descriptor = posix.open(digits, _READ, dir_fd=directory)
        except OSError:
            return False
        finally:
            posix.close(directory)
        blob = Blob(descriptor, 0, size, digest, digits)
        try:
            status = posix.fstat(descriptor)
            return status.st_mode & S_IFMT == S_IFREG and status.st_size == size and _is_intact(blob)
        finally:
            blob.close()

    def add(self, value: "Json", kind: str) -> "JsonObject":
        """Write a document as a blob; its descriptor."""
        blob = self.blob()
        blob.write(dumps(value).encode())
        blob.keep()
        return {"mediaType": kind, "digest": blob.digest, "size": blob.size}

    def publish(self, manifest: "JsonObject", tag: str) -> None:
        """Name the image in index.json, in the place of another one of that name."""
        kept = [each for each in self.index["manifests"] if not (isinstance(each, dict) and tag in names_of(each))]
        row = {**manifest, "annotations": {REF_NAME: tag}}
        fresh = f"{_PARTIAL}index"
        posix.fsync(self._blobs)
        documents.write(fresh, {**self.index, "manifests": [*kept, row]}, self._descriptor, _FOR_ALL)
        posix.rename(fresh, "index.json", src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        posix.fsync(self._descriptor)


def _is_partial(name: str) -> bool:
    digits = name.removeprefix(_PARTIAL)
    return digits != name and len(digits) == _DIGITS and _HEX.issuperset(digits)


def _is_intact(blob: Blob) -> bool:
    try:
        for _ in blob.pieces():
            pass
    except BadImage:
        return False
    return True


def _make(path: str, dir_fd: "int | None" = None) -> bool:
    """Make a directory. Returns whether it is new."""
    try:
        posix.mkdir(path, 0o755, dir_fd=dir_fd)
    except FileExistsError:
        return False
    return True


def target(reference: str) -> "tuple[str, str]":
    """The path of LAYOUT[:TAG] and the tag. The path need not be there: then the first colon ends it.

    OcirunError for a name that images cannot have.
    """
    text = reference.removeprefix("oci:")
    ends = [index for index, letter in enumerate(text) if letter == ":" and index]
    there = [end for end in (len(text), *reversed(ends)) if posix.access(text[:end], posix.F_OK)]
    end = (there or ends or [len(text)])[0]
    tag = text[end + 1 :] if end < len(text) else "latest"
    if not tag or not LETTERS.issuperset(tag) or not tag[0].isalnum():
        raise OcirunError(f"{tag!r} is no name for an image: letters, digits and -._:@/+ are")
    return text[:end], tag
