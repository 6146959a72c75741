"""`bundle unpack` as an ordinary user: owners, attributes and what cannot be made."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.bundle import build_busybox_rootfs
from tests.integration.caller import Caller
from tests.integration.images import archive, directory, entry, hardlink, layout, symlink
from tests.integration.ordinary import GID, SIZE, SUBIDS, UID, User
from tests.integration.test_rootless import as_user, needs_tools, user
from tests.integration.test_unpack import base
from tests.integration.test_unpack_peers import MAKERS, by_hand, facts, needs, run

__all__ = ["as_user", "base", "user"]  # fixtures
pytestmark = pytest.mark.not_on("runc", "crun", reason="has no images")
LOOK = {"Cmd": ["sh", "-c", "id -u; stat -c '%n %u:%g %a' /own /root /tmp; ls /home; echo 1 > /tmp/x"]}
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def change() -> bytes:
    return archive(
        directory("tmp", mode=0o1777),
        directory("home"),
        entry("home/.wh.ada"),
        entry("own", uid=1000, gid=1001, mode=0o4755, pax=[(b"SCHILY.xattr.security.capability", CAPABILITY)]),
        directory("var"),
        entry("var/.wh..wh..opq"),
        symlink("link", "own", uid=5),
        entry("null", kind="3", major=1, minor=3),
    )


def given(user: User, *layers: bytes, **more: object) -> Path:
    """A layout that the user may read."""
    source = layout(user.view.home / "layout", *layers, **more)  # type: ignore[arg-type]
    user.view.give(source)
    return source


def test_with_subordinate_ids(user: User, base: bytes) -> None:
    """Files have the owners that the container sees; devices are left out; it runs, twice from one store."""
    needs_tools()
    source = given(user, base, change(), config=LOOK)
    for name in ("one", "two"):
        bundle = user.view.home / name
        done = user.call("bundle", "unpack", source, bundle).ok()
        assert done.err.count("devices are left out") == (name == "one")
        ran = user.call("run", "--bundle", bundle, user.new_id()).ok()
        assert ran.out == "0\n/own 1000:1001 4755\n/root 0:0 755\n/tmp 0:0 1777\n"
    config = json.loads((bundle / "config.json").read_text())
    assert config["linux"]["uidMappings"][1] == {"containerID": 1, "hostID": SUBIDS, "size": SIZE}
    store = user.view.home / ".local/share/ocirun"
    own = next(store.glob("layers/sha256/*/own"))
    status = own.stat()
    assert (status.st_uid, status.st_gid) == (SUBIDS + 999, SUBIDS + 1000)
    magic, *_, root = struct.unpack("<6I", os.getxattr(own, "security.capability"))
    assert (magic >> 24, root) == (3, UID)
    assert not (own.parent / "null").exists()
    assert store.stat().st_uid == UID
    assert stat.S_IMODE(store.stat().st_mode) == 0o700


def test_a_copy_and_prune(user: User, base: bytes) -> None:
    """--copy has the same owners; prune can remove what other ids own."""
    needs_tools()
    source = given(user, base, change(), config=LOOK)
    bundle = user.view.home / "copy"
    user.call("bundle", "unpack", "--copy", source, bundle).ok()
    ran = user.call("run", "--bundle", bundle, user.new_id()).ok()
    assert "/own 1000:1001 4755" in ran.out
    assert (bundle / "rootfs/own").stat().st_uid == SUBIDS + 999
    remove = ["unshare", "--map-auto", "--map-root-user", "rm", "-r", str(bundle)]
    subprocess.run([*user.view.command, *remove], check=True)
    assert len(user.call("bundle", "prune").ok().out.splitlines()) == 2


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_files_as_umoci(user: User, make: Callable[[Path, bool], str]) -> None:
    """Owners, modes, links, attributes and times are those of `umoci unpack` in the user's own namespace."""
    needs_tools()
    needs("umoci")
    made = user.view.directory / "made"
    made.mkdir()
    image = make(made, True)
    layout, tag = image.rsplit(":", 1)
    shutil.copytree(layout, user.view.home / "image")
    user.view.give(user.view.home / "image")
    image = f"{user.view.home}/image:{tag}"
    inside = [*user.view.command, "unshare", "--map-auto", "--map-root-user"]
    run(*inside, "umoci", "unpack", "--image", image, user.view.home / "wanted")
    wanted = facts(user.view.home / "wanted/rootfs")
    assert len(wanted) > 5
    assert wanted["a"][1] == (SUBIDS + 3 if make is by_hand else UID)
    user.call("bundle", "unpack", "--copy", image, user.view.home / "copy").ok()
    assert facts(user.view.home / "copy/rootfs") == wanted


COMMAND = 'echo "$(id -u) $WORD"; echo x > /made'


def program_by_umoci(place: Path, files: Path) -> str:
    image = f"{place}/umoci:latest"
    run("umoci", "init", "--layout", place / "umoci")
    run("umoci", "new", "--image", image)
    run("umoci", "unpack", "--image", image, place / "work")
    run("cp", "-a", f"{files}/.", place / "work/rootfs")
    run("umoci", "repack", "--image", image, place / "work")
    words = [f"--config.cmd={word}" for word in ("sh", "-c", COMMAND)]
    run("umoci", "config", "--image", image, *words, "--config.env=WORD=made", "--config.env=PATH=/bin")
    return image


def program_by_buildah(place: Path, files: Path) -> str:
    needs("buildah")
    storage = ["--root", place / "storage", "--runroot", place / "run", "--storage-driver", "vfs"]
    box = run("buildah", *storage, "from", "scratch").strip()
    run("buildah", *storage, "copy", box, files, "/")
    command = json.dumps(["sh", "-c", COMMAND])
    run("buildah", *storage, "config", "--entrypoint", command, "--env", "WORD=made", "--env", "PATH=/bin", box)
    run("buildah", *storage, "commit", box, f"oci:{place}/buildah:latest")
    run("buildah", *storage, "rm", box)
    return f"{place}/buildah:latest"


def program_by_skopeo(place: Path, files: Path) -> str:
    """The form of docker save."""
    needs("skopeo")
    source = f"oci:{program_by_buildah(place, files)}"
    run("skopeo", "copy", "--insecure-policy", source, f"docker-archive:{place}/image.tar:name:tag")
    return f"{place}/image.tar"


@pytest.mark.parametrize("caller", ["runtime", "user"])
@pytest.mark.parametrize("make", [program_by_umoci, program_by_buildah, program_by_skopeo])
def test_images_of_others_run(request: pytest.FixtureRequest, make: Callable[[Path, Path], str], caller: str) -> None:
    """As root and as an ordinary user, and what was written is a change of the bundle."""
    needs_tools()
    needs("umoci")
    who: Caller = request.getfixturevalue(caller)
    place = who.view.home if isinstance(who, User) else who.directory
    made = who.directory / "made"
    files = made / "files"
    files.mkdir(parents=True)
    files.chmod(0o755)
    build_busybox_rootfs(files)
    image = make(made, files)
    if isinstance(who, User):
        run("cp", "-a", made, place / "made")
        who.view.give(place / "made")
        image = image.replace(str(made), str(place / "made"))
    who.call("bundle", "unpack", "--store", place / "store", image, place / "bundle").ok()
    assert who.call("run", "--bundle", place / "bundle", who.new_id()).ok().out == "0 made\n"
    assert "A /made\n" in who.call("bundle", "diff", place / "bundle").ok().out


@pytest.mark.parametrize("view", [{"subids": False}, {"tools": False}])
def test_without_subordinate_ids(as_user: Callable[..., User], base: bytes, view: dict[str, bool]) -> None:
    """All files are the user's, which is told once; the image runs."""
    user = as_user(**view)
    source = given(user, base, change(), config=LOOK)
    bundle = user.view.home / "one"
    done = user.call("bundle", "unpack", source, bundle).ok()
    assert done.err.count("no subordinate ids") == 1
    ran = user.call("run", "--bundle", bundle, user.new_id()).ok()
    assert ran.out == "0\n/own 0:0 4755\n/root 0:0 755\n/tmp 0:0 1777\n"
    config = json.loads((bundle / "config.json").read_text())
    assert config["linux"]["gidMappings"] == [{"containerID": 0, "hostID": GID, "size": 1}]
    own = next((user.view.home / ".local/share/ocirun").glob("layers/sha256/*/own"))
    assert own.stat().st_uid == UID


@pytest.mark.parametrize("view", [{}, {"subids": False}])
def test_a_file_that_is_copied_up(as_user: Callable[..., User], view: dict[str, bool]) -> None:
    """Its owner, set-user-id bit and capability are those of the layer below, as far as the user has ids."""
    needs_tools()
    user = as_user(**view)
    capability = [(b"SCHILY.xattr.security.capability", CAPABILITY)]
    lower = archive(symlink("l", "d"), entry("d/own", uid=1000, gid=1001, mode=0o4700, pax=capability))
    source = given(user, lower, archive(hardlink("one", "l/own"), entry("l/x")))
    user.call("bundle", "unpack", source, user.view.home / "one").ok()
    ((one, own),) = [
        (path, path.parent / "d/own") for path in (user.view.home / ".local/share/ocirun").glob("layers/sha256/*/one")
    ]
    status = one.stat()
    assert status.st_ino == own.stat().st_ino
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o4700, SUBIDS + 999 if not view else UID)
    assert struct.unpack("<6I", os.getxattr(one, "security.capability"))[-1] == UID
    assert (own.parent / "x").exists()


def test_an_id_beyond_the_range(user: User) -> None:
    """An owner that the user namespace does not have is an error that names the remedy, and nothing stays."""
    needs_tools()
    source = given(user, archive(entry("far", uid=70_000)))
    done = user.call("bundle", "unpack", source, user.view.home / "one").failed(1)
    assert "its owner 70000:0 is not among your subordinate ids" in done.err
    assert not (user.view.home / "one").exists()
    assert os.listdir(user.view.home / ".local/share/ocirun/tmp") == []


def test_another_users_store(user: User) -> None:
    """A store that others could have written to is refused."""
    source = given(user, archive(entry("a")))
    for place in (user.view.run.parent, user.view.home / "open"):
        if place.name == "open":
            place.mkdir()
            os.chown(place, UID, GID)
            place.chmod(0o777)
        done = user.call("bundle", "unpack", "--store", place, source, user.view.home / "one").failed(1)
        assert "is not trusted as a store" in done.err
