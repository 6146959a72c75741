"""A bundle of an image: config.json, rootfs/, and either upper/ and work/ of an overlay, or a copy of the tree in rootfs/.

    image.json   {"version": 1, "store": path, "layers": [names in the store, the lowest first], "config": its digest,
                  "source": where the image was, "image": the image's config, "copy": whether rootfs/ is a copy}

It is made under another name next to its own, and renamed when it is whole. The store knows it by its path.
"""

import posix

from runtime.errors import OcirunError, system_failure
from runtime.host.facts import absolute
from runtime.images import documents
from runtime.images.bundles.config import root_mount
from runtime.images.layouts import digests
from runtime.images.store.stored import open_layers
from runtime.images.trees import attributes, lookup
from runtime.images.trees.copy import Copier
from runtime.images.trees.merged import Merged
from runtime.images.trees.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oci_spec.types import JsonObject
    from runtime.images.bundles.shapes import Overlay, Users
    from runtime.images.layouts.image import Image
    from runtime.images.progress import Progress
    from runtime.images.store import Store

    # The image's config, its accounts, and the overlay (None: rootfs/ is the root): config.json.
    Configure = Callable[[JsonObject, Users, Overlay | None, Callable[[str], str]], JsonObject]

IMAGE = "image.json"
VERSION = 1
MAX_OPTIONS = 4095  # bytes of a mount's options: mount(2) reads a page
MAX_ACCOUNTS = 4 << 20  # bytes of /etc/passwd or /etc/group
_SPECIAL = frozenset(":,\\\"'")
_PARTIAL = ".ocirun-partial"
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


class Place:
    """Where a bundle becomes: ``above``, a descriptor of the directory it is made in, its ``name`` there, and its real ``path``."""

    def __init__(self, path: str) -> None:
        above, _, self.name = path.rstrip("/").rpartition("/")
        if self.name in ("", ".", ".."):
            raise OcirunError(f"{path} cannot be a bundle: name a directory that is not there yet")
        try:
            self.above = posix.open(above or "/", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
            self.path = f"{posix.readlink(f'/proc/self/fd/{self.above}').rstrip('/')}/{self.name}"
        except OSError as error:
            raise system_failure(f"open {above or '/'}, where the bundle is to be", error) from None
        self.partial = f".{self.name}{_PARTIAL}"

    def check_free(self) -> None:
        """OcirunError unless there is nothing of this name, or an empty directory."""
        try:
            descriptor = posix.open(self.name, _DIRECTORY, dir_fd=self.above)
            left = posix.listdir(descriptor)
            posix.close(descriptor)
        except FileNotFoundError:
            return
        except OSError as error:
            raise system_failure(f"use {self.path} as a bundle", error) from None
        if left:
            raise OcirunError(f"{self.path} is not empty: remove it first, or choose another directory")


def record_name(path: str) -> str:
    """The name of a bundle's record in the store."""
    return f"bundles/{digests.of(path.encode(errors='surrogateescape')).partition(':')[2][:32]}"


def make(
    store: "Store",
    image: "Image",
    stored: "Sequence[str]",
    place: Place,
    copy: bool,
    configure: "Configure",
    progress: "Progress",
) -> None:
    """Make the bundle. ``stored``: its layers in the store, the lowest first. Raises OcirunError; then nothing of it stays."""
    if not copy and _SPECIAL & set(place.path):
        raise OcirunError(
            f"{place.path}: an overlay's path must not have one of : , \\ and quotes; choose another, or --copy"
        )
    name = record_name(place.path)
    lock = store.lock(f"locks/{name.rpartition('/')[2]}", exclusive=True)
    made = False  # the record alone
    try:
        place.check_free()
        remove_tree(place.above, place.partial)  # of a call that was killed
        store.write(name, {"path": place.path, "layers": list(stored)})
        made = True
        posix.mkdir(place.partial, 0o700, dir_fd=place.above)
        _fill(store, image, stored, place, copy, configure, progress)
        made = False  # from here on the bundle may be there, and then its record must stay
        posix.rename(place.partial, place.name, src_dir_fd=place.above, dst_dir_fd=place.above)
        posix.fsync(place.above)
    except BaseException as error:
        remove_tree(place.above, place.partial)
        if made:
            posix.unlink(name, dir_fd=store.descriptor)
        if isinstance(error, OSError):
            raise system_failure(f"make the bundle {place.path}", error) from None
        raise
    finally:
        posix.close(lock)


def _fill(
    store: "Store",
    image: "Image",
    stored: "Sequence[str]",
    place: Place,
    copy: bool,
    configure: "Configure",
    progress: "Progress",
) -> None:
    """What is in the bundle. Raises OSError and OcirunError."""
    partial = posix.open(place.partial, _DIRECTORY, dir_fd=place.above)
    names, layers, implied = open_layers(store, stored)
    merged = Merged(layers, implied, store.form)
    try:
        for name in ("rootfs",) if copy else ("rootfs", "upper", "work"):
            posix.mkdir(name, 0o755, dir_fd=partial)
        overlay: Overlay | None = None
        if copy:
            progress.begin("copying the files", sum(store.facts(each).get("size", 0) for each in names))
            copy_layers(store, layers, implied, partial, progress)
        else:
            overlay = overlay_of(store, names, place.path)
            upper = posix.open("upper", _DIRECTORY, dir_fd=partial)
            attributes.complete(merged, implied, upper)
            posix.close(upper)
        users: Users = {"passwd": _account_file(merged, "passwd"), "group": _account_file(merged, "group")}
        spec = configure(image.config, users, overlay, lambda path: _real(merged, path))
        documents.write("config.json", spec, partial)
        facts: JsonObject = {
            "version": VERSION,
            "store": store.path,
            "layers": list(stored),
            "config": image.digest,
            "source": absolute(image.place, posix.getcwd()),
        }
        documents.write(IMAGE, {**facts, "image": image.config, "copy": copy}, partial)
        if copy:
            store.sync()
    finally:
        merged.close()
        for descriptor in (*layers, partial):
            posix.close(descriptor)


def copy_layers(
    store: "Store", layers: "Sequence[int]", implied: "Sequence[frozenset[bytes]]", bundle: int, progress: "Progress"
) -> None:
    """Copy the layers, given top first, into the bundle's rootfs. Raises OSError."""
    rootfs = posix.open("rootfs", _DIRECTORY, dir_fd=bundle)
    copier = Copier(rootfs, store.form, progress)
    for layer, names in reversed(list(zip(layers, implied, strict=True))):
        copier.add(layer, names)
    posix.close(rootfs)


def _account_file(merged: Merged, name: str) -> str:
    return (lookup.read(merged, f"etc/{name}".encode(), MAX_ACCOUNTS) or b"").decode(errors="surrogateescape")


def _real(merged: Merged, path: str) -> str:
    """Where an absolute path leads in the image."""
    place, _ = lookup.real(merged, path.encode(errors="surrogateescape"))
    return "/" + b"/".join(place).decode(errors="surrogateescape")


def overlay_of(store: "Store", layers: "Sequence[str]", path: str) -> "Overlay":
    """The overlay that is the container's root; layers top first. OcirunError if there is no room for its options."""
    if not layers:
        raise OcirunError("the image has no layers, so there is nothing to mount: unpack it with --copy")
    overlay: Overlay = {
        "lower": [store.short(layer) for layer in layers],
        "upper": f"{path}/upper",
        "work": f"{path}/work",
        "user": store.form == "user",
    }
    length = len(",".join(root_mount(overlay)["options"]).encode(errors="surrogateescape"))
    if length > MAX_OPTIONS:
        raise OcirunError(
            f"the overlay of {len(layers)} layers needs {length} bytes of options, and mount(2) takes {MAX_OPTIONS}:"
            " choose a shorter path with --store, or --copy"
        )
    return overlay
