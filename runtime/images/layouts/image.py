"""An image in a source: which of its images is meant, and its manifest, config and layers, verified (image-spec)."""

from oci_spec.document import BadDocument, load
from runtime.errors import OcirunError
from runtime.images.errors import BadImage
from runtime.images.layouts import digests, platforms
from runtime.images.layouts.blobs import Blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import Json, JsonObject
    from runtime.images.layouts.platforms import Platform
    from runtime.images.layouts.sources import Source

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
REF_NAME, CONTAINERD_NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"
MAX_DOCUMENT = 8 << 20  # bytes of an index, a manifest or a config, as containerd reads them
_MAX_DEPTH, _MAX_MANIFESTS = 8, 1000
_MAX_LAYERS = 500  # overlayfs has no more


class Image:
    """``config``: the JSON, and ``digest`` its own; ``place``: the source's path. ``layers``: descriptors, the lowest first."""

    def __init__(self, source: "Source", digest: str, config: "JsonObject", layers: "list[JsonObject]") -> None:
        self.digest = digest
        self.config = config
        self.place = source.path
        self._source = source
        rootfs = config.get("rootfs")
        found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(found, list):
            raise BadImage(f"the config {digest} has no rootfs.diff_ids")
        self.diff_ids = [digests.check(each, "a layer in the image's config") for each in found]
        if len(self.diff_ids) != len(layers):
            raise BadImage(f"the image has {len(layers)} layers, and its config names {len(self.diff_ids)}")
        if len(layers) > _MAX_LAYERS:
            raise BadImage(f"the image has {len(layers)} layers; overlayfs has {_MAX_LAYERS} at most")
        self._layers = layers

    def blob(self, index: int) -> Blob:
        """The blob of a layer, still compressed; the caller closes it."""
        return _open(self._source, self._layers[index])


def _open(source: "Source", descriptor: "JsonObject") -> Blob:
    """The blob of a descriptor, or the file of docker-archive that it names. BadImage if it is not there, or has another size."""
    name, digest = descriptor.get("name"), descriptor.get("digest")
    if digest is not None:
        digest = digests.check(digest, "a descriptor")
        name = name or f"blobs/{digest.replace(':', '/')}"
    blob = source.find(str(name), digest)
    if blob is None:
        remote = " (the image says that it has to be fetched from elsewhere)" if descriptor.get("urls") else ""
        raise BadImage(f"{source.path} has no {name}{remote}")
    size = descriptor.get("size", blob.size)
    if size != blob.size:
        blob.close()
        raise BadImage(f"{name} has {blob.size} bytes, and the image says {size}")
    return blob


def document(source: "Source", descriptor: "JsonObject") -> "JsonObject":
    """The JSON object of a descriptor. BadImage for what is none, or whose media type is another than the descriptor says."""
    blob = _open(source, descriptor)
    try:
        value = parsed(blob)
    finally:
        blob.close()
    if not isinstance(value, dict):
        raise BadImage(f"{blob.name} is not a JSON object")
    own, told = value.get("mediaType"), descriptor.get("mediaType")
    if told in (*INDEXES, *MANIFESTS) and own not in (None, told):
        raise BadImage(f"{blob.name} says that it is {own}, and what refers to it says {told}")
    return value


def parsed(blob: Blob) -> "Json":
    try:
        return load(blob.whole(MAX_DOCUMENT))
    except BadDocument as error:
        raise BadImage(f"{blob.name} is not JSON: {error}") from None


def of_layout(source: "Source", top: "Json", tag: str, wanted: "Platform | None") -> Image:
    """The image that ``tag`` names ("": the only one) in index.json, for the platform (None: this machine's). Raises OcirunError."""
    descriptors = _entries(top, "index.json")
    leaves = list(_leaves(source, _named(source, descriptors, tag)))
    image = _of_manifest(source, _chosen(source, leaves, wanted or platforms.own(), wanted is not None))
    check_platform(image, wanted)
    return image


def with_config(source: "Source", top: "Json", digest: str) -> "Image | None":
    """The image in index.json that has this config; None if there is none. BadImage for what is damaged on the way."""
    for descriptor in _leaves(source, _entries(top, "index.json")):
        config = document(source, _verifiable(descriptor)).get("config")
        if isinstance(config, dict) and config.get("digest") == digest:
            return _of_manifest(source, descriptor)
    return None


def _of_manifest(source: "Source", descriptor: "JsonObject") -> Image:
    manifest = document(source, _verifiable(descriptor))
    config, layers = manifest.get("config"), manifest.get("layers")
    if "manifests" in manifest or not isinstance(config, dict) or not isinstance(layers, list):
        raise BadImage(f"the manifest {descriptor['digest']} is no image's")
    if config.get("mediaType") not in (*CONFIGS, None):
        raise BadImage(f"this is no image, but an artifact: its config is {config.get('mediaType')}")
    config = _verifiable(config)
    return Image(source, str(config["digest"]), document(source, config), [_layer(each) for each in layers])


def _verifiable(descriptor: "JsonObject") -> "JsonObject":
    """The descriptor of a document, or of a blob; only docker-archive has files by their names. BadImage without a digest."""
    digests.check(descriptor.get("digest"), "a descriptor")
    return {key: value for key, value in descriptor.items() if key != "name"}


def _layer(layer: "Json") -> "JsonObject":
    kind = layer.get("mediaType") if isinstance(layer, dict) else None
    if not isinstance(layer, dict) or not isinstance(kind, str) or not kind.startswith(_LAYERS):
        raise BadImage(f"a layer of the image is of an unknown type: {kind}")
    if kind.endswith("encrypted"):
        raise BadImage(
            f"a layer of the image is encrypted ({kind}): decrypt it first, as skopeo copy --decryption-key does"
        )
    return _verifiable(layer)


def check_platform(image: Image, wanted: "Platform | None") -> None:
    """OcirunError if the image is not for Linux, or not for the platform that was asked for."""
    found = platforms.of(image.config)
    if found[0] not in ("linux", ""):
        raise OcirunError(f"the image is for {platforms.shown(found)}: ocirun runs Linux's alone")
    if wanted and found[1] and not platforms.rank(wanted, found):
        raise OcirunError(f"the image is for {platforms.shown(found)}, not for {platforms.shown(wanted)}")


def _entries(index: "Json", name: str) -> "list[JsonObject]":
    """The descriptors of an index."""
    found = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadImage(f"{name} is no index of an image")
    if isinstance(index, dict) and "layers" in index:
        raise BadImage(f"{name} is an index and a manifest at once")
    return [each for each in found if isinstance(each, dict)]


def names_of(descriptor: "JsonObject") -> "list[str]":
    """The names that a descriptor of index.json has, the longest first."""
    notes = descriptor.get("annotations")
    found = [notes.get(key) for key in (CONTAINERD_NAME, REF_NAME)] if isinstance(notes, dict) else []
    return [name for name in found if isinstance(name, str)]


def _named(source: "Source", descriptors: "list[JsonObject]", tag: str) -> "list[JsonObject]":
    """The descriptors that the tag, or digest, means. OcirunError when that is not clear."""
    if not descriptors:
        raise OcirunError(f"{source.path} has no image")
    found = [each for each in descriptors if not tag or tag in names_of(each) or each.get("digest") == tag]
    if not found:
        tags = ", ".join(_tags(descriptors))
        raise OcirunError(f"{source.path} has no image {tag}{'; it has ' if tags else ''}{tags}")
    tags_found = _tags(found)
    if len(tags_found) > 1 and not tag.startswith(tuple(f"{name}:" for name in digests.LENGTHS)):
        which = ", ".join(f"{source.path}:{each}" for each in tags_found)
        raise OcirunError(f"{source.path} has several images{' ' + tag if tag else ''}: which one? {which}")
    return found


def _tags(descriptors: "list[JsonObject]") -> "list[str]":
    return sorted({names_of(each)[0] for each in descriptors if names_of(each)})


def _leaves(source: "Source", descriptors: "list[JsonObject]") -> "Iterator[JsonObject]":
    """The descriptors of manifests, those in indexes too, in order. An index that comes again is read once."""
    waiting = [(each, 0) for each in reversed(descriptors)]
    indexes: set[str] = set()
    count = 0
    while waiting:
        if count + len(waiting) > _MAX_MANIFESTS:
            raise BadImage(f"the image's indexes have more than {_MAX_MANIFESTS} entries")
        each, depth = waiting.pop()
        count += 1
        kind, digest = each.get("mediaType"), str(each.get("digest"))
        if kind in INDEXES and digest not in indexes:
            if depth == _MAX_DEPTH:
                raise BadImage("the image's indexes are nested too deep")
            indexes.add(digest)
            below = _entries(document(source, _verifiable(each)), digest)
            waiting += [(one, depth + 1) for one in reversed(below)]
        elif kind in MANIFESTS:
            yield each


def _chosen(source: "Source", leaves: "list[JsonObject]", wanted: "Platform", asked: bool) -> "JsonObject":
    """The manifest for the platform: the best, and of equal ones the first (image-spec, "Image Index")."""
    rated = [(platforms.rank(wanted, _platform(each)), each) for each in leaves]
    best = max((rank for rank, _ in rated), default=0)
    if best:
        return next(each for rank, each in rated if rank == best)
    unnamed = [each for each in leaves if not isinstance(each.get("platform"), dict)]
    if len(leaves) == 1 and (unnamed or not asked):
        return leaves[0]
    if unnamed and len({str(each.get("digest")) for each in unnamed}) == 1:
        return unnamed[0]
    if not leaves:
        raise OcirunError(
            f"{source.path} has no image of a kind that is known: no manifest of image-spec 1.0, or Docker's v2 schema 2"
        )
    have = sorted({platforms.shown(_platform(each)) for each in leaves} - {"", "unknown/unknown"})
    raise OcirunError(
        f"{source.path} has no image for {platforms.shown(wanted)}: it has {', '.join(have) or 'several without a platform'};"
        " choose one with --platform"
    )


def _platform(descriptor: "JsonObject") -> "Platform":
    platform = descriptor.get("platform")
    return platforms.of(platform) if isinstance(platform, dict) else ("", "", "")
