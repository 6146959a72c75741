"""`ocirun.images`: what `ocirun bundle` does, without changing the process that asks."""

import json
import os
import secrets
from pathlib import Path

import pytest
from ocirun import DEVNULL, BadImage, Container, OcirunError, images

from tests.integration import images as written
from tests.runtime.api.place import on_real_containers


@on_real_containers
def test_from_an_image_to_an_image(directory: Path, tmp_path: Path):
    """unpack, run, changes, commit, unpack what was committed, prune."""
    written.layout(tmp_path / "image", written.tree_archive(directory / "rootfs"))
    store = tmp_path / "store"
    images.unpack(f"{tmp_path}/image:latest", tmp_path / "bundle", store=store)
    token = f"api{secrets.token_hex(4)}"
    args = ["sh", "-c", "echo made > /made; rm /bin/ls"]
    streams = {"stdin": DEVNULL, "stdout": DEVNULL}
    with Container.run(token, tmp_path / "bundle", root=tmp_path / "state", args=args, **streams) as container:
        assert container.wait(20) == 0
    assert {(row["kind"], row["path"]) for row in images.changes(tmp_path / "bundle")} >= {
        ("A", "/made"),
        ("D", "/bin/ls"),
    }
    made = images.commit(tmp_path / "bundle", f"{tmp_path}/image:new", timestamp=1, message="a test")
    assert made.startswith("sha256:")
    names = [row["annotations"]["org.opencontainers.image.ref.name"] for row in manifests(tmp_path / "image")]
    assert sorted(names) == ["latest", "new"]
    images.unpack(f"{tmp_path}/image:new", tmp_path / "other", store=store, copy=True)
    assert (tmp_path / "other/rootfs/made").read_text() == "made\n"
    assert images.prune(store) is not None


def manifests(layout: Path) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = json.loads((layout / "index.json").read_text())["manifests"]
    return found


def test_a_damaged_image(tmp_path: Path):
    """BadImage says what, and no bundle is left."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image/index.json").write_text("{}")
    with pytest.raises(BadImage):
        images.unpack(tmp_path / "image", tmp_path / "bundle", store=tmp_path / "store")
    assert not (tmp_path / "bundle").exists()


def test_failures(tmp_path: Path):
    """The command's error, and this process stays as it is: umask, working directory, descriptors."""
    before = os.umask(0o027)
    try:
        with pytest.raises(OcirunError, match="there is no such directory or archive"):
            images.unpack(tmp_path / "nothing", tmp_path / "bundle")
        with pytest.raises(OcirunError, match="must be gzip, zstd or none"):
            images.commit(tmp_path, tmp_path / "image", compress="xz")
        with pytest.raises(OcirunError, match="knows its image"):
            images.changes(tmp_path)
        assert images.prune(tmp_path / "nothing") == []
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
