"""``ocirun bundle commit``: what a container has changed becomes a layer of a new image, on top of the layers of its own."""

import posix
import time

from runtime.errors import OcirunError, system_failure
from runtime.images.budget import Budget
from runtime.images.layers.writer import LayerWriter
from runtime.images.layouts import docker_archive, layout
from runtime.images.layouts.image import CONFIGS, MANIFESTS, parsed, with_config
from runtime.images.layouts.sources import open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oci_spec.types import JsonObject
    from runtime.images.bundles.container import Container
    from runtime.images.layouts.image import Image
    from runtime.images.layouts.layout import Layout
    from runtime.images.progress import Progress
    from runtime.images.trees.difference import Change

COMPRESSIONS = ("gzip", "zstd", "none")
LAYER = "application/vnd.oci.image.layer.v1.tar"
_SECOND = 10**9
_MAGIC = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}


class Request:
    """What is asked for. ``base``: where the image's layers are, "" for where they were; ``latest``: seconds since the epoch."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.base = ""
        self.compression = COMPRESSIONS[0]
        self.latest: int | None = None
        self.author = ""
        self.message = ""


def commit(container: "Container", request: Request, warn: "Callable[[str], None]", progress: "Progress") -> str:
    """Write the image; its digest. Raises OcirunError, and then no image is named in the layout."""
    path, tag = layout.target(request.target)
    changes = container.changes()
    try:
        made = layout.Layout(path)
    except OSError as error:
        raise system_failure(f"open the layout {path}", error) from None
    try:
        layers = list(_base_layers(container, request, made, progress))
        config: JsonObject = container.facts["image"]
        layer, diff_id = _layer(container, changes, request, made, warn, progress) if changes else (None, "")
        document = new_config(config, diff_id, request, time.time_ns())
        manifest: JsonObject = {
            "schemaVersion": 2,
            "mediaType": MANIFESTS[0],
            "config": made.add(document, CONFIGS[0]),
            "layers": layers + ([layer] if layer else []),
        }
        row = made.add(manifest, MANIFESTS[0])
        platform = {name: config[name] for name in ("architecture", "os", "variant") if config.get(name)}
        made.publish({**row, "platform": platform} if len(platform) > 1 else row, tag)
        return str(row["digest"])
    except OSError as error:
        raise system_failure(f"write the image to {path}", error) from None
    finally:
        made.close()


def _layer(
    container: "Container",
    changes: "list[Change]",
    request: Request,
    made: "Layout",
    warn: "Callable[[str], None]",
    progress: "Progress",
) -> "tuple[JsonObject, str]":
    """Write the layer; its descriptor and diff_id. Raises OSError and OcirunError."""
    from runtime.images.layouts import compression, digests

    plain = digests.hasher("sha256:")
    progress.begin("writing the layer", sum(each.status.st_size for each in changes if each.status))
    blob = made.blob()
    try:
        latest = None if request.latest is None else request.latest * _SECOND
        with compression.Writer(request.compression, blob) as stream:

            def write(data: bytes) -> None:
                plain.update(data)
                progress.add(len(data))
                stream.write(data)

            LayerWriter(container.own, latest, write, warn).write(changes)
    except BaseException:
        blob.drop()
        raise
    blob.keep()
    suffix = "" if request.compression == "none" else f"+{request.compression}"
    return {"mediaType": LAYER + suffix, "digest": blob.digest, "size": blob.size}, f"sha256:{plain.hexdigest()}"


def _base_layers(
    container: "Container", request: Request, made: "Layout", progress: "Progress"
) -> "Iterator[JsonObject]":
    """The descriptors of the image's own layers, after their blobs are in the layout. Raises OSError and OcirunError."""
    if not container.facts.get("layers"):
        return
    image = _base(container, request, made)
    for index in range(len(image.diff_ids)):
        blob = image.blob(index)
        try:
            pieces = blob.pieces()
            first = next(pieces, b"")
            kind = LAYER + next((suffix for magic, suffix in _MAGIC.items() if first.startswith(magic)), "")
            if blob.digest and made.has(blob.digest, blob.size):
                yield {"mediaType": kind, "digest": blob.digest, "size": blob.size}
                continue
            progress.begin(f"copying layer {index + 1} of {len(image.diff_ids)}", blob.size)
            copied = made.blob()
            try:
                copied.write(first)
                for piece in pieces:
                    copied.write(piece)
                    progress.add(len(piece))
            except BaseException:
                copied.drop()
                raise
            copied.keep()
            yield {"mediaType": kind, "digest": copied.digest, "size": copied.size}
        finally:
            blob.close()


def _base(container: "Container", request: Request, made: "Layout") -> "Image":
    """The image of the bundle: in the layout that is written to, or where it was unpacked from, or in --base."""
    facts = container.facts
    wanted, source = facts["config"], facts["source"]
    for place in (request.base,) if request.base else (made.path, source):
        if place and posix.access(place, posix.F_OK) and (found := _image_in(place, wanted, made.path)):
            return found
    where = request.base or " and ".join(dict.fromkeys(each for each in (made.path, source) if each))
    raise OcirunError(
        f"the image {wanted} of {container.path} is not in {where}: name the layout or archive that has it with --base"
    )


def _image_in(place: str, wanted: str, room: str) -> "Image | None":
    """The image with this config in a layout or an archive; None if it is not there.

    ``room``: a directory for a compressed archive's content, where its layers will be anyway.
    """
    scratch = posix.open(room, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        source = open_source(place, scratch, room, Budget(scratch, None))
    finally:
        posix.close(scratch)
    for name, search in (("index.json", with_config), ("manifest.json", docker_archive.with_config)):
        blob = source.find(name)
        if blob is not None:
            top = parsed(blob)
            blob.close()
            return search(source, top, wanted)
    return None


def new_config(image: "JsonObject", diff_id: str, request: Request, now: int) -> "JsonObject":
    """The image's config with one more layer, and a line of history. ``diff_id``: "" if nothing was changed. ``now``: ns."""
    created = timestamp(now if request.latest is None else request.latest * _SECOND)
    diff_ids = image["rootfs"]["diff_ids"]
    history = image.get("history")
    line: JsonObject = {"created": created, "created_by": "ocirun bundle commit"}
    line |= {name: value for name, value in (("author", request.author), ("comment", request.message)) if value}
    if not diff_id:
        line["empty_layer"] = True
    return {
        **image,
        "created": created,
        **({"author": request.author} if request.author else {}),
        "rootfs": {"type": "layers", "diff_ids": [*diff_ids, diff_id] if diff_id else diff_ids},
        "history": [*(history if isinstance(history, list) else []), line],
    }


def timestamp(nanoseconds: int) -> str:
    """RFC 3339, in UTC; a fraction only if there is one."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{fraction:09d}Z" if fraction else f"{text}Z"
