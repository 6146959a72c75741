"""Images for tests, written by hand: archives with any header that a tar file can have, OCI layouts, docker-archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BLOCK = 512
END = bytes(2 * BLOCK)
OCI = "application/vnd.oci.image"
CONFIG_TYPE, MANIFEST_TYPE, INDEX_TYPE = f"{OCI}.config.v1+json", f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"


def octal(value: int, width: int) -> bytes:
    """A number of a header: octal, or binary where it has no room."""
    text = b"%0*o" % (width - 1, value) if value >= 0 else b""
    if value < 0 or len(text) > width - 1:
        return (value & ((1 << 8 * width) - 1) | 1 << 8 * width - 1).to_bytes(width, "big")
    return text + b"\0"


def entry(
    name: bytes | str,
    data: bytes = b"",
    kind: str = "0",
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 1_600_000_000,
    link: bytes | str = b"",
    size: int | None = None,
    major: int = 0,
    minor: int = 0,
    pax: Sequence[tuple[bytes, bytes]] = (),
    magic: bytes = b"ustar\x0000",
) -> bytes:
    """One entry with its data, and a PAX header in front when ``pax`` has records. ``size``: another than the data's."""
    raw, target = (text.encode() if isinstance(text, str) else text for text in (name, link))
    fields = [raw[:100].ljust(100, b"\0"), octal(mode, 8), octal(uid, 8), octal(gid, 8)]
    fields += [octal(len(data) if size is None else size, 12), octal(mtime, 12), b" " * 8, kind.encode()]
    fields += [target[:100].ljust(100, b"\0"), magic, bytes(64), octal(major, 8), octal(minor, 8)]
    block = b"".join(fields).ljust(BLOCK, b"\0")
    block = block[:148] + b"%06o\0 " % sum(block) + block[156:]
    front = entry(b"PaxHeaders/x", records(pax), "x") if pax else b""
    return front + block + data + bytes(-len(data) % BLOCK)


def directory(name: bytes | str, **more: Any) -> bytes:
    return entry(name, kind="5", **{"mode": 0o755, **more})


def symlink(name: bytes | str, target: bytes | str, **more: Any) -> bytes:
    return entry(name, kind="2", link=target, mode=0o777, **more)


def hardlink(name: bytes | str, target: bytes | str, **more: Any) -> bytes:
    return entry(name, kind="1", link=target, **more)


def records(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """PAX records, each with its own length in front."""
    whole = b""
    for key, value in pairs:
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(b"%d" % length) + len(rest) != length:
            length += 1
        whole += b"%d" % length + rest
    return whole


def archive(*entries: bytes) -> bytes:
    return b"".join(entries) + END


def tree_archive(root: Path) -> bytes:
    """A layer of a directory, as tar(1) writes it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as file:
        file.add(root, arcname=".")
    return made.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def compressed(data: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(data, 1, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout
    return data


class Layout:
    """An OCI layout that is written piece by piece."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "blobs/sha256").mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.manifests: list[dict[str, Any]] = []

    def blob(self, data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        """Write a blob; its descriptor."""
        name = digest(data)
        (self.directory / "blobs" / name.replace(":", "/")).write_bytes(data)
        return {"mediaType": kind, "digest": name, "size": len(data), **more}

    def document(self, value: Any, kind: str, **more: Any) -> dict[str, Any]:
        return self.blob(json.dumps(value).encode(), kind, **more)

    def image(
        self,
        layers: Sequence[bytes],
        *,
        how: str = "gzip",
        config: dict[str, Any] | None = None,
        platform: tuple[str, ...] = ("linux", "amd64"),
        **more: Any,
    ) -> dict[str, Any]:
        """Write an image; the descriptor of its manifest. ``config``: what is in the config's ``config``."""
        suffix = "" if how == "none" else f"+{how}"
        written = [self.blob(compressed(layer, how), f"{OCI}.layer.v1.tar{suffix}") for layer in layers]
        words = dict(zip(("os", "architecture", "variant"), platform, strict=False))
        whole = {
            **words,
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [digest(each) for each in layers]},
        }
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": self.document(whole, CONFIG_TYPE)}
        return self.document({**manifest, "layers": written}, MANIFEST_TYPE, **more)

    def add(self, descriptor: dict[str, Any], tag: str = "") -> dict[str, Any]:
        """Name a manifest, or an index, in index.json."""
        notes = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        self.manifests.append({**descriptor, **notes})
        self.save()
        return descriptor

    def save(self) -> None:
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": self.manifests}
        (self.directory / "index.json").write_text(json.dumps(index))


def layout(directory: Path, *layers: bytes, tag: str = "latest", **more: Any) -> Path:
    """An OCI layout with one image."""
    made = Layout(directory)
    made.add(made.image(layers, **more), tag)
    return directory


def packed(directory: Path, file: Path) -> Path:
    """A layout as one archive (oci-archive)."""
    with tarfile.open(file, "w") as made:
        for path in sorted(directory.rglob("*")):
            made.add(path, arcname=str(path.relative_to(directory)), recursive=False)
    return file


def docker_archive(directory: Path, layers: Sequence[bytes], tag: str = "busybox:1") -> Path:
    """What `docker save` wrote before OCI layouts, as a directory."""
    directory.mkdir()
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [digest(each) for each in layers]},
    }
    data = json.dumps(config).encode()
    name = f"{digest(data)[7:]}.json"
    (directory / name).write_bytes(data)
    names = []
    for number, layer in enumerate(layers):
        (directory / f"layer{number}").mkdir()
        names.append(f"layer{number}/layer.tar")
        (directory / names[-1]).write_bytes(layer)
    row = {"Config": name, "RepoTags": [tag], "Layers": names}
    (directory / "manifest.json").write_text(json.dumps([row]))
    return directory
