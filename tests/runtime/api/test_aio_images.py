"""`ocirun.aio.images`: the loop goes on while an image is unpacked, and what is cancelled leaves nothing."""

import asyncio
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest
from ocirun import BadImage, OcirunError
from ocirun.aio import DEVNULL, AsyncContainer, images

from tests.integration import images as written
from tests.runtime.api.loop import LONGEST, lived, stalls
from tests.runtime.api.place import Place, many_files, on_real_containers


@on_real_containers
def test_from_an_image_to_an_image(place: Place, tmp_path: Path):
    """unpack, run, changes, commit, unpack what was committed, prune."""
    written.layout(tmp_path / "image", written.tree_archive(place.directory / "rootfs"), config={"Cmd": ["sh"]})
    store, bundle = tmp_path / "store", tmp_path / "bundle"

    async def life() -> None:
        await images.unpack(f"{tmp_path}/image:latest", bundle, store=store)
        args = ["sh", "-c", "echo made > /made"]
        async with await AsyncContainer.run(
            place.token, bundle, root=place.root, args=args, stdin=DEVNULL
        ) as container:
            assert await container.wait(20) == 0
        assert {"kind": "A", "path": "/made"} in await images.changes(bundle)
        assert (await images.commit(bundle, f"{tmp_path}/image:new", timestamp=1)).startswith("sha256:")
        await images.unpack(f"{tmp_path}/image:new", tmp_path / "other", store=store, copy=True)
        assert (tmp_path / "other/rootfs/made").read_text() == "made\n"
        assert await images.prune(store) == []

    lived(life)


def test_failures(tmp_path: Path):
    """The errors are those of the other API."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image/index.json").write_text("{}")

    async def life() -> None:
        with pytest.raises(BadImage):
            await images.unpack(tmp_path / "image", tmp_path / "bundle", store=tmp_path / "store")
        with pytest.raises(OcirunError, match="knows its image"):
            await images.changes(tmp_path)

    lived(life)


def test_the_loop_goes_on(tmp_path: Path):
    """It never stalls for a quarter of the time that two images take, unpacked at once, and no thread is made.

    The disk is busy then, so that a start of a process may take longer than LONGEST.
    """
    source = many_files(tmp_path, 5000)
    late: list[float] = []

    async def life() -> None:
        ticker = asyncio.create_task(stalls(late))
        threads = threading.active_count()
        jobs = [images.unpack(source, tmp_path / f"bundle{one}", store=tmp_path / f"store{one}") for one in range(2)]
        began = time.monotonic()
        running = [asyncio.create_task(job) for job in jobs]
        await asyncio.sleep(0.3)
        assert threading.active_count() == threads
        await asyncio.gather(*running)
        ticker.cancel()
        assert max(late) < max(LONGEST, (time.monotonic() - began) / 4)

    lived(life)
    assert len(late) > 100
    assert (tmp_path / "bundle1/config.json").exists()


async def appears(path: Path) -> None:
    """Wait until the directory has something."""
    while not path.exists() or not os.listdir(path):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("copy", [False, True])
def test_cancelled(tmp_path: Path, copy: bool):
    """In the middle of its work it cleans up before it ends; the next call succeeds."""
    source, bundle, store = many_files(tmp_path, 20_000), tmp_path / "bundle", tmp_path / "store"

    async def life() -> None:
        if copy:
            await images.unpack(source, tmp_path / "first", store=store)
        task = asyncio.create_task(images.unpack(source, bundle, store=store, copy=copy))
        await appears(tmp_path / ".bundle.ocirun-partial" if copy else store / "tmp")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert os.listdir(store / "tmp") == []
        assert sorted(path.name for path in tmp_path.iterdir()) == [*(["first"] if copy else []), "many", "store"]
        assert len(os.listdir(store / "bundles")) == copy
        await images.unpack(source, bundle, store=store, copy=copy)
        assert (bundle / "config.json").exists()

    lived(life)


def test_a_timeout(tmp_path: Path):
    """asyncio.timeout ends one that waits for another's lock."""
    source, store = many_files(tmp_path, 1), tmp_path / "store"

    async def life() -> None:
        await images.unpack(source, tmp_path / "first", store=store)
        lock = os.open(store / "lock", os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await images.unpack(source, tmp_path / "second", store=store)
        assert time.monotonic() - began < 10
        os.close(lock)
        assert not (tmp_path / "second").exists()

    lived(life)


def test_cancelled_twice(tmp_path: Path):
    """The second time it is killed; the next call removes what it left."""
    source, bundle, store = many_files(tmp_path), tmp_path / "bundle", tmp_path / "store"

    async def life() -> None:
        task = asyncio.create_task(images.unpack(source, bundle, store=store))
        await appears(store / "tmp")
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not bundle.exists()
        await images.unpack(source, bundle, store=store)
        assert os.listdir(store / "tmp") == []

    lived(life)


def test_a_loop_that_is_closed_early(tmp_path: Path):
    """A coroutine that never goes on ends its process when it is collected."""
    source, store = many_files(tmp_path), tmp_path / "store"

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio tells that the task was pending
    task = loop.create_task(images.unpack(source, tmp_path / "bundle", store=store))
    loop.run_until_complete(appears(store / "tmp"))
    task.get_coro().close()  # type: ignore[union-attr]
    loop.close()
    del task
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert os.listdir(store / "tmp") == []
