#!/usr/bin/env python3
"""The images that critest and the tests of Kubernetes ask for, made here, and the registry that serves them.

No registry is reached: each image has the name that is asked for and does what the tests look for, and is made of Debian's busybox
and of the program in modules/programs. The registry answers pulls alone, by tag or by digest, on 127.0.0.1.

Usage: images.py BUSYBOX PROGRAMS PORT
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

PAUSE = "registry.k8s.io/pause:3.10.1"
BUSYBOX = "registry.k8s.io/e2e-test-images/busybox:1.29-2"
STAGING = "gcr.io/k8s-staging-cri-tools"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

USERS = """root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/sh
default-user:x:1000:1000:default-user:/home:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUPS = """root:x:0:
www-data:x:33:
default-user:x:1000:
group-defined-in-image:x:50000:default-user
nobody:x:65534:
"""
# Two programs that Debian's busybox lacks.
PGREP = '#!/bin/sh\npidof "$@" | tr " " "\\n" | grep .\n'
IPCS = "#!/bin/sh\ncat /proc/sysvipc/shm\n"


@dataclass
class Image:
    """One image: its names, its layers as tar archives, and what its config says."""

    names: list[str]
    layers: list[bytes]
    config: dict[str, object] = field(default_factory=dict)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Layer:
    """A layer in the making: the same bytes for the same content."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()
        self.archive = tarfile.open(fileobj=self.buffer, mode="w")

    def add(
        self, name: str, data: bytes = b"", mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = ""
    ) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.type, member.linkname = len(data), mode, kind, link
        self.archive.addfile(member, io.BytesIO(data))

    def bytes(self) -> bytes:
        self.archive.close()
        return self.buffer.getvalue()


def libraries(program: str) -> list[str]:
    """The shared objects that the program needs, its interpreter among them."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", done.stdout)


def busybox_layer(program: str) -> bytes:
    """A root file system of busybox. Debian's shared one, not the static one: its shell looks for programs in PATH."""
    layer = Layer()
    for name in ("bin", "etc", "home", "lib64", "proc", "root", "run", "sys", "usr", "usr/sbin", "var", "var/www"):
        layer.add(name, mode=0o755, kind=tarfile.DIRTYPE)
    layer.add("tmp", mode=0o1777, kind=tarfile.DIRTYPE)
    layer.add("var/run", kind=tarfile.SYMTYPE, link="/run")
    layer.add("etc/passwd", USERS.encode())
    layer.add("etc/group", GROUPS.encode())
    for path in libraries(program):
        layer.add(path.lstrip("/"), Path(path).read_bytes(), 0o755)
    layer.add("bin/busybox", Path(program).read_bytes(), 0o755)
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in sorted({*listed} - {"busybox"}):  # hard links: what covers one of them covers no other
        layer.add(f"bin/{name}", mode=0o755, kind=tarfile.LNKTYPE, link="bin/busybox")
    layer.add("bin/pgrep", PGREP.encode(), 0o755)
    layer.add("bin/ipcs", IPCS.encode(), 0o755)
    return layer.bytes()


def program_layer(path: str, program: str, mode: int = 0o755) -> bytes:
    layer = Layer()
    layer.add(path, Path(program).read_bytes(), mode)
    return layer.bytes()


def marked_layer(word: str) -> bytes:
    """A layer that makes an image differ from others."""
    layer = Layer()
    layer.add("etc/image", word.encode())
    return layer.bytes()


def images(busybox: str, programs: str) -> list[Image]:
    base = busybox_layer(busybox)
    nginx = program_layer("usr/sbin/nginx", programs)
    httpd = program_layer("usr/sbin/httpd", programs)
    shell = {"Cmd": ["/bin/sh"]}
    found = [
        Image([PAUSE], [program_layer("pause", programs)], {"Entrypoint": ["/pause"]}),
        Image([BUSYBOX], [base], shell),
        Image(["registry.k8s.io/e2e-test-images/nginx:1.14-2"], [base, nginx], {"Cmd": ["/usr/sbin/nginx"]}),
        Image(["registry.k8s.io/e2e-test-images/httpd:2.4.39-4"], [base, httpd], {"Cmd": ["/usr/sbin/httpd"]}),
        Image(
            ["registry.k8s.io/e2e-test-images/nonewprivs:1.3"],
            [program_layer("nonewprivs", programs, 0o4755)],
            {"Cmd": ["/nonewprivs"]},
        ),
        Image(
            [f"{STAGING}/hostnet-nginx-{machine}:latest" for machine in ("amd64", "arm64")],
            [base, nginx],
            {"Cmd": ["/usr/sbin/nginx"], "Env": ["PORT=12003"]},
        ),
        Image([f"{STAGING}/test-image-predefined-group:latest"], [base], {**shell, "User": "1000"}),
        Image([f"{STAGING}/test-image-tags:{number}" for number in (1, 2, 3)], [base, marked_layer("tags")], shell),
    ]
    users = {"uid": "1002", "username": "www-data", "uid-group": "1003:1004", "username-group": "www-data:1004"}
    for word, user in users.items():
        found.append(Image([f"{STAGING}/test-image-user-{word}:latest"], [base], {**shell, "User": user}))
    for word in ("1:latest", "2:latest", "3:latest", "latest:latest", "tag:test", "tag:all"):
        found.append(Image([f"{STAGING}/test-image-{word}"], [base, marked_layer(word)], shell))
    return found


class Registry:
    """What the registry has: blobs by digest, manifests by (repository without its host, tag or digest)."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}

    def blob(self, data: bytes, kind: str) -> dict[str, object]:
        self.blobs[digest(data)] = data
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    def add(self, image: Image) -> None:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        layers = [self.blob(layer, LAYER) for layer in image.layers]
        path = {"Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin", *image.config.get("Env", [])]}  # type: ignore[misc]
        config = {
            "architecture": machine,
            "os": "linux",
            "config": {**image.config, **path},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self.blob(json.dumps(config).encode(), CONFIG),
                "layers": layers,
            }
        ).encode()
        for name in image.names:
            repository, _, tag = name.partition("/")[2].rpartition(":")
            self.manifests[repository, tag] = self.manifests[repository, digest(manifest)] = manifest


def handler(registry: Registry) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            path = self.path.partition("?")[0]
            data, kind = None, "application/json"
            if path.rstrip("/") == "/v2":
                data = b"{}"
            elif found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
                data, kind = registry.manifests.get((found[1], found[2])), MANIFEST
            elif found := re.fullmatch(r"/v2/.+/blobs/(.+)", path):
                data, kind = registry.blobs.get(found[1]), "application/octet-stream"
            self.send_response(200 if data is not None else 404)
            body = data if data is not None else b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not made here"}]}'
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if data is not None and path != "/v2/":
                self.send_header("Docker-Content-Digest", digest(data))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_GET = do_HEAD = answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


def main() -> None:
    busybox, programs, port = sys.argv[1:]
    registry = Registry()
    for image in images(busybox, programs):
        registry.add(image)
    with http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler(registry)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
