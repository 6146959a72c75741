"""docker-archive, what ``docker save`` and ``podman save`` write: manifest.json names the config and the layers' files."""

from runtime.errors import OcirunError
from runtime.images import names
from runtime.images.errors import BadImage
from runtime.images.layouts import digests
from runtime.images.layouts.image import MAX_DOCUMENT, Image, check_platform, document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json, JsonObject
    from runtime.images.layouts.platforms import Platform
    from runtime.images.layouts.sources import Source


def of_archive(source: "Source", listed: "Json", tag: str, wanted: "Platform | None") -> Image:
    """The image that ``tag`` names ("": the only one) in manifest.json. Raises OcirunError."""
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise BadImage(f"{source.path}: manifest.json is not a list of images")
    image = _of_row(source, _chosen(source, [each for each in listed if isinstance(each, dict)], tag))
    check_platform(image, wanted)
    return image


def with_config(source: "Source", listed: "Json", digest: str) -> "Image | None":
    """The image in manifest.json that has this config; None if there is none."""
    rows = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return next((image for row in rows if (image := _of_row(source, row)).digest == digest), None)


def _of_row(source: "Source", row: "JsonObject") -> Image:
    layers = row.get("Layers")
    if not isinstance(layers, list):
        raise BadImage(f"{source.path}: manifest.json names no layers")
    config, digest = _config(source, _file(row.get("Config")))
    return Image(source, digest, config, [_file(each) for each in layers])


def _chosen(source: "Source", rows: "list[JsonObject]", tag: str) -> "JsonObject":
    tags = {name: row for row in rows for name in _tags(row)}
    short = {name: row for full, row in tags.items() for name in _shorter(full)}
    if tag:
        if tag not in tags and tag not in short:
            known = f"; it has {', '.join(sorted(tags))}" if tags else ""
            raise OcirunError(f"{source.path} has no image {tag}{known}")
        return tags.get(tag) or short[tag]
    if len(rows) != 1:
        some = ", ".join(f"{source.path}:{name}" for name in sorted(tags))
        raise OcirunError(f"{source.path} has {len(rows)} images{': which one? ' + some if rows else ''}")
    return rows[0]


def _tags(row: "JsonObject") -> "list[str]":
    tags = row.get("RepoTags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _shorter(name: str) -> "tuple[str, ...]":
    """What else a name is called by: its tag, and its last component."""
    return name.rpartition(":")[2], name.rpartition("/")[2], name.rpartition("/")[2].partition(":")[0]


def _file(name: "Json") -> "JsonObject":
    """The descriptor of a file. One whose name is a digest must have it."""
    if not isinstance(name, str):
        raise BadImage("manifest.json names a file that is no text")
    path = b"/".join(names.parts(name.encode(errors="surrogateescape"))).decode(errors="surrogateescape")
    digits = path.removeprefix("blobs/sha256/").removesuffix(".json")
    descriptor: JsonObject = {"name": path}
    if len(digits) == digests.LENGTHS["sha256"] and "/" not in digits:
        descriptor["digest"] = f"sha256:{digits}"
    return descriptor


def _config(source: "Source", descriptor: "JsonObject") -> "tuple[JsonObject, str]":
    if "digest" in descriptor:
        return document(source, descriptor), str(descriptor["digest"])
    blob = source.find(str(descriptor["name"]))
    if blob is None:
        raise BadImage(f"{source.path} has no {descriptor['name']}")
    data = blob.whole(MAX_DOCUMENT)
    blob.close()
    return document(source, descriptor), digests.of(data)
