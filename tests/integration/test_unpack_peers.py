"""Images that umoci, Buildah and skopeo have made, and `umoci unpack` of the same: file by file."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.images import archive, directory, entry, hardlink, layout, symlink, tree_archive
from tests.integration.test_unpack import Unpacker, mounted, unpacker

__all__ = ["unpacker"]  # a fixture
pytestmark = pytest.mark.not_on("runc", "crun", reason="has no images")
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def run(*words: str | Path, **more: Any) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=120, check=False, **more
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def needs(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def tree(root: Path, ordinary: bool = False) -> Path:
    """Files of each kind. ``ordinary``: without what a user's namespace does not have."""
    for name in ("bin", "etc", "tmp", "a/b/c"):
        (root / name).mkdir(parents=True)
    (root / "bin/true").write_bytes(b"#!/bin/sh\n" * 1000)
    (root / "bin/true").chmod(0o4755)
    os.link(root / "bin/true", root / "a/b/hard")
    (root / "a/link").symlink_to("/bin/true")
    (root / "tmp").chmod(0o1777)
    os.mkfifo(root / "a/fifo")
    if not ordinary:
        os.mknod(root / "a/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (root / "etc/owned").write_text("x")
    os.chown(root / "etc/owned", 123, 7_000 if ordinary else 70_000)
    os.setxattr(root / "etc/owned", "user.note", b"kept")
    os.setxattr(root / "bin/true", "security.capability", CAPABILITY)
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, ns=(10**18 + 123456789, 10**18 + 987654321), follow_symlinks=False)
    return root


def facts(root: Path) -> dict[str, tuple[Any, ...]]:
    """What is compared of each file below."""
    found: dict[str, tuple[Any, ...]] = {}
    first: dict[tuple[int, int], str] = {}
    for path in sorted(root.rglob("*")):
        status, name = os.lstat(path), str(path.relative_to(root))
        same = first.setdefault((status.st_dev, status.st_ino), name)
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        xattrs = {
            key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
        }
        own = {
            key: value for key, value in xattrs.items() if not key.startswith(("user.rootlesscontainers", "user.umoci"))
        }
        found[name] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_rdev,
            same,
            content,
            own,
            status.st_mtime_ns,
        )
    return found


def by_umoci(place: Path, ordinary: bool = False) -> str:
    """Two layers: the tree, and changes to it."""
    needs("umoci")
    image = f"{place}/umoci:latest"
    run("umoci", "init", "--layout", place / "umoci")
    run("umoci", "new", "--image", image)
    run("umoci", "unpack", "--image", image, place / "work1")
    run("cp", "-a", f"{tree(place / 'tree', ordinary)}/.", place / "work1/rootfs")
    run("umoci", "repack", "--image", image, place / "work1")
    run("umoci", "unpack", "--image", image, place / "work2")
    shutil.rmtree(place / "work2/rootfs/a/b")
    (place / "work2/rootfs/etc/new").write_text("new")
    (place / "work2/rootfs/tmp").chmod(0o700)
    run("umoci", "repack", "--image", image, place / "work2")
    return image


def by_buildah(place: Path, ordinary: bool = False) -> str:
    needs("buildah")
    storage = ["--root", place / "storage", "--runroot", place / "run", "--storage-driver", "vfs"]
    box = run("buildah", *storage, "from", "scratch").strip()
    run("buildah", *storage, "copy", box, tree(place / "tree", ordinary), "/")
    run("buildah", *storage, "config", "--cmd", "/bin/true", "--label", "a=b", box)
    run("buildah", *storage, "commit", "--format", "oci", box, f"oci:{place}/buildah:latest")
    run("buildah", *storage, "rm", box)
    return f"{place}/buildah:latest"


def by_hand(place: Path, ordinary: bool = False) -> str:
    """What the tools above do not write: opaque directories, whiteouts, a later hard link."""
    upper = archive(
        directory("a", mode=0o710, uid=4),
        entry("a/.wh..wh..opq"),
        entry("a/new", b"n", mode=0o640, mtime=1_500_000_000),
        hardlink("a/new2", "a/new"),
        directory("etc"),
        entry("etc/.wh.owned"),
        symlink("sym", "a/new", uid=6, gid=7),
    )
    return f"{layout(place / 'hand', tree_archive(tree(place / 'tree', ordinary)), upper)}:latest"


def by_hand_on_top(place: Path, ordinary: bool = False) -> str:
    """What only the layers below say: files to link to, and links on the way, of the host's form and in circles within the root."""
    lower = archive(
        directory("usr", mode=0o711),
        directory("usr/lib", mode=0o2750, uid=3, mtime=1_400_000_000),
        entry("usr/lib/old"),
        entry("usr/lib/other", b"o", mtime=1_300_000_000),
        symlink("lib", "usr/lib"),
        symlink("far", "../../../../lib"),
        symlink("new", "/made/here"),
        symlink("replaced", "usr"),
    )
    upper = archive(
        entry("lib/.wh.old"),
        hardlink("suid", "bin/true"),
        hardlink("lib/suid", "suid"),
        hardlink("same", "a/b/hard"),
        hardlink("sym", "a/link"),
        hardlink("pipe", "a/fifo"),
        *(() if ordinary else (hardlink("null", "a/null"),)),
        hardlink("moved", "far/other"),
        entry("far/file", b"f", mode=0o600, uid=9, mtime=1_500_000_000),
        directory("made", mtime=1_500_000_000),
        directory("made/here", mode=0o700, mtime=1_500_000_000),
        entry("new/x", b"x"),
        directory("replaced", mode=0o700, mtime=1_500_000_000),
        entry("replaced/y", b"y"),
        directory("", mode=0o755, mtime=1_500_000_000),
    )
    return f"{layout(place / 'top', tree_archive(tree(place / 'tree', ordinary)), lower, upper)}:latest"


MAKERS = [by_umoci, by_buildah, by_hand, by_hand_on_top]


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_files_as_umoci(unpacker: Unpacker, make: Callable[[Path], str]) -> None:
    """Modes, owners, devices, links, content, attributes and times are those of `umoci unpack`, mounted and copied."""
    needs("umoci")
    place = unpacker.path("made")
    place.mkdir()
    image = make(place)
    run("umoci", "unpack", "--image", image, place / "wanted")
    wanted = facts(place / "wanted/rootfs")
    assert len(wanted) > 5
    assert facts(unpacker.unpack(image, "copy", "--copy") / "rootfs") == wanted
    with mounted(unpacker.unpack(image)) as merged:
        found = facts(merged)
    # An overlay shows the time of the upper directory, which that layer has no entry for.
    for name in {by_umoci: ["bin"], by_hand_on_top: ["a", "a/b", "bin", "usr", "usr/lib"]}.get(make, []):
        found[name] = (*found[name][:-1], wanted[name][-1])
    assert found == wanted


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci", "dir-zstd"])
def test_what_skopeo_writes(unpacker: Unpacker, form: str) -> None:
    """A copy of an image in another form is the same files."""
    needs("skopeo")
    place = unpacker.path("made")
    place.mkdir()
    image = by_hand(place)
    wanted = facts(unpacker.unpack(image, "wanted", "--copy") / "rootfs")
    target = place / "copied"
    if form == "dir-zstd":
        run("skopeo", "copy", "--insecure-policy", "--dest-compress-format", "zstd", f"oci:{image}", f"oci:{target}:z")
        reference = f"oci:{target}:z"
    else:
        tag = "name:tag" if form == "docker-archive" else "tag"
        run("skopeo", "copy", "--insecure-policy", f"oci:{image}", f"{form}:{target}:{tag}")
        reference = f"{form}:{target}:{tag}"
    unpacker.store = unpacker.path("other")
    assert facts(unpacker.unpack(reference, "found", "--copy") / "rootfs") == wanted
