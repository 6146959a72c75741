"""`ocirun.images`: what `ocirun bundle` does, without changing the process that asks."""

import asyncio
import inspect
import json
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest
from ocirun import DEVNULL, BadImage, Container, OcirunError, OcirunWarning, aio, images
from ocirun.aio import images as aio_images

from runtime.api.command import Command
from tests.integration import images as written
from tests.runtime.api.place import many_files, on_real_containers


@on_real_containers
def test_from_an_image_to_an_image(directory: Path, tmp_path: Path):
    """unpack, run, changes, commit, unpack what was committed, prune."""
    written.layout(tmp_path / "image", written.tree_archive(directory / "rootfs"), config={"Cmd": ["sh"]})
    store = tmp_path / "store"
    images.unpack(f"{tmp_path}/image:latest", tmp_path / "bundle", store=store)
    token = f"api{secrets.token_hex(4)}"
    args = ["sh", "-c", "echo made > /made; rm /bin/ls"]
    streams = {"stdin": DEVNULL, "stdout": DEVNULL}
    with Container.run(token, tmp_path / "bundle", root=tmp_path / "state", args=args, **streams) as container:
        assert container.wait(20) == 0
    sleeping = {"root": tmp_path / "state", "args": ["sleep", "60"], "stdin": DEVNULL}
    with Container.run(token, tmp_path / "bundle", **sleeping), pytest.raises(OcirunError, match=token):
        images.commit(tmp_path / "bundle", f"{tmp_path}/image:busy", root=tmp_path / "state")
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


def test_warnings(tmp_path: Path):
    """Those of the command are ours; what has none gives none."""
    written.layout(tmp_path / "image", written.archive())
    with pytest.warns(OcirunWarning, match="names no program"):
        images.unpack(tmp_path / "image", tmp_path / "bundle", store=tmp_path / "store", copy=True)


@pytest.mark.parametrize("collects", [signal.SIG_IGN, lambda *_: os.waitpid(-1, os.WNOHANG)])
def test_where_the_exit_status_is_not_known(tmp_path: Path, collects: Any):
    """SIGCHLD is ignored, or its handler takes the status: an error is still one, and a process that was killed too."""
    before = signal.signal(signal.SIGCHLD, collects)
    try:
        with pytest.raises(OcirunError, match="there is no such directory or archive"):
            images.unpack(tmp_path / "nothing", tmp_path / "bundle")
        assert images.prune(tmp_path / "nothing") == []
        with Command(["bundle", "unpack", "a", "b"]) as command:
            command.process.kill()
            command.wait()
            with pytest.raises(OcirunError, match=r"bundle unpack: its process (was killed|ended before)"):
                command.result()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_what_a_python_user_sees():
    """The signatures and docstrings are the functions' own."""
    assert str(inspect.signature(images.prune)) == "(store: 'Path | None' = None) -> 'list[str]'"
    assert "Returns their names" in (images.prune.__doc__ or "")
    assert inspect.signature(images.unpack) == inspect.signature(aio_images.unpack)
    assert inspect.iscoroutinefunction(aio_images.unpack)
    with pytest.raises(TypeError, match=r"unpack\(\) got an unexpected keyword argument 'shop'"):
        images.unpack("a", "b", shop="c")  # type: ignore[call-arg]


def test_without_an_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Where Python does not know its own program, the error says what to set."""
    for program, words in (("", "sys.executable names no program"), ("/nowhere", "start /nowhere: no such file")):
        monkeypatch.setattr("sys.executable", program)
        with pytest.raises(OcirunError, match=words):
            images.prune(tmp_path)
        with pytest.raises(OcirunError, match=words):
            asyncio.run(aio.features())


def test_control_c(tmp_path: Path):
    """KeyboardInterrupt comes once the command has cleaned up."""
    source = many_files(tmp_path)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.8)
    try:
        with pytest.raises(KeyboardInterrupt):
            images.unpack(source, tmp_path / "bundle", store=tmp_path / "store")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert not (tmp_path / "bundle").exists()
    assert os.listdir(tmp_path / "store/tmp") == []
