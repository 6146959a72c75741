"""The store of layers: each is unpacked once, and shared by the bundles that name it.

    store.json                      the version of this form, and whose attributes overlayfs reads in it
    layers/sha256/DIGITS/           a layer's tree, by its name; whole, since it was renamed to this name
    layers/sha256/DIGITS.json       what is not in the tree: {"version": 1, "implied": [...], "files": n, "size": bytes}
    l/WORD                          a short link to a layer: mount(2) takes a page of options
    bundles/NAME                    a bundle: {"path": ..., "layers": [names of layers]}; NAME is made from the path
    tmp/, locks/                    what is not whole yet; locks of layers and bundles

A layer's name is its diff_id. Where the layers below it have had an effect on its tree, it is another (`digests.bound_names`),
and the facts have "diff_id" too. "implied": directories that the layer has no entry for. On top of a link by one of these paths,
or of "asked" where that is another set, the layer would be another tree (`layers`); so it would be where a path of "hides", its
whiteouts, is not there.

Locks are flock(2), so that they end with their process. Whoever unpacks holds ``lock`` shared, and `prune` exclusively: then
nothing in tmp/ belongs to anybody. A layer's own lock makes a second unpack of it wait, and find it there.
"""

import fcntl
import posix

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.images import documents
from runtime.images.errors import BadImage
from runtime.images.layouts import digests
from runtime.images.trees.tree import remove_tree
from runtime.kernel import S_IFDIR, S_IFMT
from runtime.lifecycle.document import indented

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import JsonObject
    from runtime.images.trees.owners import Form

VERSION = 1
DIRECTORIES = ("layers", "layers/sha256", "layers/sha512", "l", "bundles", "tmp", "locks")
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_SPECIAL = frozenset(":,\\\"'")  # of overlayfs' options
_OTHERS_WRITE = 0o022
_MAX_FACTS = 256 << 20  # bytes of what is not in a layer's tree
_SHORT = 12  # digits of a short name; more where two layers share them


def default_path(is_host_root: bool) -> str:
    """Root's store, or the user's own: $XDG_DATA_HOME/ocirun. OcirunError without a home directory."""
    if is_host_root:
        return "/var/lib/ocirun"
    own = [posix.environ.get(name, b"").decode(errors="surrogateescape") for name in (b"XDG_DATA_HOME", b"HOME")]
    if own[0].startswith("/"):
        return f"{own[0]}/ocirun"
    if not own[1].startswith("/"):
        raise OcirunError("there is no place for layers, since HOME is not set: choose one with --store")
    return f"{own[1]}/.local/share/ocirun"


class Store:
    """An open store. ``form``: see `owners.Rights`. ``make``: what is missing in it is made."""

    def __init__(self, path: str, descriptor: int, form: "Form", make: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        self.form = form
        self._new = posix.O_CREAT if make else 0

    def lock(self, name: str, exclusive: bool) -> int:
        """Take a lock, waiting for it. Returns its descriptor, which is the lock."""
        flags = posix.O_RDWR | self._new | posix.O_CLOEXEC | posix.O_NOFOLLOW
        descriptor = posix.open(name, flags, 0o600, dir_fd=self.descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        return descriptor

    def open(self, name: str) -> int:
        """A directory of the store. Raises OSError."""
        return posix.open(name, _DIRECTORY, dir_fd=self.descriptor)

    def has(self, layer: str) -> bool:
        """Whether the layer is there, whole."""
        try:
            posix.stat(layer_name(layer), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def facts(self, layer: str) -> "JsonObject":
        """What is not in the layer's tree. ``layer``: its name, as everywhere here."""
        try:
            value = documents.read(f"{layer_name(layer)}.json", self.descriptor, _MAX_FACTS)
            if isinstance(value, dict) and _are_facts(value):
                return value
            why = "it is not what was written"
        except (ValueError, RecursionError, FileNotFoundError) as error:
            why = "it is missing" if isinstance(error, OSError) else str(error)
        raise self.damaged(layer, why)

    def damaged(self, layer: str, why: str) -> OcirunError:
        """The error of a layer whose facts cannot be used."""
        place = f"{self.path}/{layer_name(layer)}"
        return OcirunError(f"{place}.json is damaged ({why}): unpack the image again after rm -rf {place} {place}.json")

    def write(self, name: str, value: "JsonObject") -> None:
        """Write a document so that it is whole or not there."""
        fresh = f"tmp/{name.replace('/', '-')}.{posix.getpid()}"
        try:
            documents.write(fresh, value, self.descriptor)
            posix.rename(fresh, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except BaseException:
            try:
                posix.unlink(fresh, dir_fd=self.descriptor)
            except FileNotFoundError:
                pass  # it was not made, or has its name
            raise

    def publish(self, layer: str, fresh: str, facts: "JsonObject") -> None:
        """Give the unpacked tree tmp/``fresh`` its name, after all of it is on the disk."""
        if len(indented(facts)) >= _MAX_FACTS:
            raise BadImage(f"the names of its directories take more than {_MAX_FACTS} bytes as JSON")
        self.write(f"{layer_name(layer)}.json", facts)
        self.sync()
        posix.rename(f"tmp/{fresh}", layer_name(layer), src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        directory = self.open(layer_name(layer).rpartition("/")[0])
        posix.fsync(directory)
        posix.close(directory)

    def sync(self) -> None:
        """Write the file system's data to its disk: a layer's name says that it is whole, after a power failure too."""
        number = -shim.system_call("syncfs", self.descriptor)
        if number > 0:
            raise system_failure(f"write {self.path} to disk", OSError(number, ""))

    def remove_temporary(self, name: str) -> None:
        """Remove tmp/``name``, a tree. Raises OSError."""
        directory = self.open("tmp")
        try:
            remove_tree(directory, name)
        finally:
            posix.close(directory)

    def short(self, layer: str) -> str:
        """The path of the layer, as short as it can be: a link, which is made if it is missing."""
        digits = layer.partition(":")[2]
        target = f"../{layer_name(layer)}"
        for length in range(_SHORT, len(digits) + 1):
            name = f"l/{digits[:length]}"
            try:
                posix.symlink(target, name, dir_fd=self.descriptor)
            except FileExistsError:
                if posix.readlink(name, dir_fd=self.descriptor) != target:
                    continue  # somebody has made a layer whose digest begins alike
            return f"{self.path}/{name}"
        raise AssertionError("two layers of one digest")


def _are_facts(value: "JsonObject") -> bool:
    """Whether the values that are used have their types. ValueError for a text that cannot be a path's."""
    if "diff_id" in value and not digests.is_one(value["diff_id"]):
        return False
    return isinstance(value.get("size", 0), int) and all(
        _are_paths(value.get(key, [])) for key in ("implied", "asked", "hides")
    )


def _are_paths(value: object) -> bool:
    """Whether it is a list of paths that the kernel takes. ValueError for a text that cannot be a path's."""
    return isinstance(value, list) and all(
        isinstance(path, str) and b"\0" not in path.encode(errors="surrogateescape") for path in value
    )


def layer_name(layer: str) -> str:
    """Where the layer is, from the store."""
    return f"layers/{digests.check(layer, 'a layer').replace(':', '/')}"


def open_store(path: str, form: "Form", make: bool = True) -> Store:
    """The store at the absolute ``path``. OcirunError if it cannot be used, or another could have written to it.

    Without ``make`` nothing is written to a directory that is no store.
    """
    if _SPECIAL & set(path):
        raise OcirunError(f"{path}: a store's path must not have one of : , \\ and quotes, which are overlayfs' own")
    try:
        if make:
            make_directories(path)
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        status = posix.fstat(descriptor)
        if status.st_uid != posix.geteuid() or status.st_mode & _OTHERS_WRITE:
            raise OcirunError(f"{path} is not trusted as a store: it is another user's, or others may write to it")
        for name in DIRECTORIES if make else ():
            _make(name, descriptor)
        store = Store(path, descriptor, form, make)
        _check_form(store, make)
    except OSError as error:
        raise system_failure(f"open the store {path}", error) from None
    return store


def _make(name: str, directory: "int | None" = None) -> None:
    try:
        posix.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        pass


def make_directories(path: str) -> None:
    """A directory with its parents. Raises OSError."""
    parts: Sequence[str] = path.split("/")
    for count in range(2, len(parts) + 1):
        above = "/".join(parts[:count])
        if not posix.access(above, posix.F_OK):
            _make(above)


def _check_form(store: Store, make: bool) -> None:
    """OcirunError if store.json says that the store is of another form. ``make``: it is written if it is missing."""
    try:
        found = documents.read("store.json", store.descriptor)
    except FileNotFoundError:
        if not make:
            raise OcirunError(f"{store.path} is no store of layers: it has no store.json") from None
        store.write("store.json", {"version": VERSION, "form": store.form})
        return
    except ValueError as error:
        raise OcirunError(
            f"{store.path}/store.json is damaged ({error}): remove the store, or choose another with --store"
        ) from None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise OcirunError(f"{store.path} was made by another release of ocirun: choose another store with --store")
    if found.get("form") != store.form:
        whose = "in a user namespace" if found.get("form") == "user" else "as root"
        raise OcirunError(f"{store.path} was made {whose}: choose another store with --store")


def is_directory(path: str, dir_fd: "int | None" = None) -> bool:
    """Whether it is a directory, and no link to one."""
    try:
        return posix.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode & S_IFMT == S_IFDIR
    except FileNotFoundError:
        return False
