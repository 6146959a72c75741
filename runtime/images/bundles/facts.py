"""image.json of a bundle, as `bundle unpack` has written it. Whoever may write to the bundle can have changed it."""

import posix

from runtime.errors import OcirunError
from runtime.images import documents
from runtime.images.bundles.bundle import IMAGE, VERSION
from runtime.images.layouts import digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json, JsonObject

_WORDS = ("os", "architecture", "variant")  # of the image's config, that become its platform


def facts_of(path: str) -> "JsonObject":
    """image.json of a bundle. OcirunError if it is no bundle that `bundle unpack` made, or not as that wrote it."""
    place = f"{path}/{IMAGE}"
    try:
        facts = documents.read(place)
    except (OSError, ValueError) as error:
        system = isinstance(error, OSError) and error.errno
        reason = posix.strerror(system).lower() if system else f"it is damaged ({error})"
        raise OcirunError(f"{place}: {reason}: only a bundle that `bundle unpack` made knows its image") from None
    if not isinstance(facts, dict) or facts.get("version") != VERSION:
        raise OcirunError(f"{place} was written by another release of ocirun")
    if wrong := _wrong(facts):
        raise OcirunError(f"{place} is damaged: {wrong}; unpack the image again")
    return facts


def _wrong(facts: "JsonObject") -> str:
    """What is not as `bundle.make` writes it; "" if all is."""
    image = facts.get("image")
    rootfs = image.get("rootfs") if isinstance(image, dict) else None
    if not isinstance(image, dict) or not isinstance(rootfs, dict):
        return "image has no rootfs"
    if not is_path(facts.get("store")):
        return "store is no absolute path"
    if not is_path(facts.get("source")):
        return "source is no absolute path"
    layers = facts.get("layers")
    if not isinstance(layers, list) or not all(map(digests.is_one, [*layers, facts.get("config")])):
        return "layers and config are no digests"
    if not _are_stored(layers, rootfs.get("diff_ids")):
        return "image.rootfs.diff_ids are not its layers"
    for name in _WORDS:
        if not isinstance(image.get(name, ""), str):
            return f"image.{name} is no text"
    return ""


def _are_stored(layers: "list[Json]", diff_ids: "Json") -> bool:
    """Whether the store has each layer by its diff_id, or by its other name (see `store`)."""
    if not isinstance(diff_ids, list) or not all(map(digests.is_one, diff_ids)) or len(diff_ids) != len(layers):
        return False
    rows = zip(layers, diff_ids, digests.bound_names(list(map(str, diff_ids))), strict=True)
    return all(layer in names for layer, *names in rows)


def is_path(value: "Json") -> bool:
    """Whether it is an absolute path that the kernel takes."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        return False
    try:
        value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
