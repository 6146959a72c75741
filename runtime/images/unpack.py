"""``ocirun bundle unpack``: an image becomes a bundle."""

import posix

from runtime.errors import OcirunError
from runtime.images import budget
from runtime.images.bundles import bundle
from runtime.images.bundles.config import runtime_config
from runtime.images.layouts import image, platforms, sources
from runtime.images.layouts.docker_archive import of_archive
from runtime.images.store import layers, open_store
from runtime.images.trees.owners import MAX_WARNINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import IdMapping, JsonObject
    from runtime.images.bundles.bundle import Configure
    from runtime.images.bundles.shapes import Ids, Overlay, Users
    from runtime.images.caller import Caller
    from runtime.images.layouts.platforms import Platform
    from runtime.images.layouts.sources import Source
    from runtime.images.progress import Progress

_TRANSPORTS = ("oci:", "oci-archive:", "docker-archive:")
_UMASK = 0o022


class Request:
    """What is asked for. ``reference``: LAYOUT[:TAG]; ``path``: the bundle's, absolute, as the ``store``'s; ``most``: bytes."""

    def __init__(self, reference: str, path: str, store: str) -> None:
        self.reference = reference
        self.path = path
        self.store = store
        self.copy = False
        self.platform = ""
        self.most: int | None = None


def unpack(request: Request, caller: "Caller", warn: "Callable[[str], None]", progress: "Progress") -> None:
    """Make the bundle. Raises OcirunError. The process may be another afterwards: see `Caller.enter`."""
    wanted = platforms.parse(request.platform) if request.platform else None
    source_path, tag = split(request.reference)
    place = bundle.Place(request.path)
    place.check_free()
    caller.enter()
    posix.umask(_UMASK)
    rights = caller.rights(warn)
    store = open_store(request.store, rights.form)
    lock = store.lock("lock", exclusive=False)
    try:
        scratch = store.open("tmp")
        limits = budget.Budget(scratch, request.most, progress)
        found = find(sources.open_source(source_path, scratch, store.path, limits), tag, wanted)
        _warn_of_platform(found, wanted is not None, warn)
        stored = layers.ensure(store, found, rights, limits)
        bundle.make(store, found, stored, place, request.copy, configuration(caller, warn), progress)
    finally:
        progress.end()
        posix.close(lock)


def split(reference: str) -> "tuple[str, str]":
    """The path of LAYOUT[:TAG] and the tag, "" for none. The longest path that exists; OcirunError if none does.

    ``@`` comes before a digest. The transports of skopeo are understood.
    """
    transport = next((name for name in _TRANSPORTS if reference.startswith(name)), "")
    for text in {reference: None, reference.removeprefix(transport): None}:
        ends = [index for index, letter in enumerate(text) if letter in ":@" and index]
        for end in (len(text), *reversed(ends)):
            if posix.access(text[:end], posix.F_OK):
                return text[:end], text[end + 1 :]
    raise OcirunError(f"{reference}: there is no such directory or archive")


def find(source: "Source", tag: str, wanted: "Platform | None") -> image.Image:
    """The image of a layout, or of a docker-archive. Raises OcirunError."""
    for name, read in (("index.json", image.of_layout), ("manifest.json", of_archive)):
        blob = source.find(name)
        if blob:
            top = image.parsed(blob)
            blob.close()
            return read(source, top, tag, wanted)
    raise OcirunError(
        f"{source.path} is no image: it has neither an index.json (an OCI layout) nor a manifest.json (docker-archive)"
    )


def _warn_of_platform(found: image.Image, asked: bool, warn: "Callable[[str], None]") -> None:
    have, own = platforms.of(found.config), platforms.own()
    if not asked and have[1] and not platforms.rank(own, have):
        warn(f"the image is for {platforms.shown(have)}, and this machine is {platforms.shown(own)}")


def configuration(caller: "Caller", warn: "Callable[[str], None]") -> "Configure":
    """What makes config.json for this caller."""
    from runtime.host import cgroups

    ids = ids_of(caller)
    unified = cgroups.read()["mode"] == "v2"

    def configure(
        config: "JsonObject", users: "Users", overlay: "Overlay | None", real: "Callable[[str], str]"
    ) -> "JsonObject":
        spec, warnings = runtime_config(
            config, users=users, overlay=overlay, rootless=ids, cgroup_namespace=unified, real=real
        )
        for warning in warnings[:MAX_WARNINGS]:
            warn(warning)
        if len(warnings) > MAX_WARNINGS:
            warn(f"the image's config: {len(warnings) - MAX_WARNINGS} more warnings are left out")
        return spec

    return configure


def ids_of(caller: "Caller") -> "Ids | None":
    """The maps of the container's user namespace; None for root, whose containers have none."""
    if not caller.ids:
        return None
    maps: dict[str, list[IdMapping]] = {
        name: [{"containerID": inside, "hostID": outside, "size": count} for inside, outside, count in ranges]
        for name, ranges in caller.ids.items()
    }
    return {"uid": caller.uid, "gid": caller.gid, "uid_map": maps["uid_map"], "gid_map": maps["gid_map"]}
