"""The API for asyncio: the same life, and an event loop that never waits."""

import asyncio
import gc
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from ocirun import (
    DEVNULL,
    CalledProcessError,
    Container,
    InvalidConfig,
    NotFound,
    OcirunError,
    OcirunWarning,
    TimeoutExpired,
    WrongState,
    aio,
    list_containers,
)
from ocirun.aio import PIPE, AsyncContainer

from tests.conftest import TREE
from tests.integration import snapshot
from tests.integration.bundle import merge
from tests.runtime.api.loop import LONGEST, lived, run, stalls
from tests.runtime.api.place import DOUBTFUL, Place, on_real_containers

pytestmark = on_real_containers


def test_a_life(place: Place):
    """create, start, state, kill, wait, delete; load; each state's errors."""

    async def life() -> None:
        container = await AsyncContainer.create(place.token, place.directory, root=place.root, stdin=DEVNULL)
        assert (await container.state())["status"] == "created"
        await container.start()
        with pytest.raises(WrongState, match="already running"):
            await container.start()
        loaded = await AsyncContainer.load(place.token, place.root)
        assert loaded.pid == container.pid
        assert await aio.list_containers(place.root) == [await container.state()]
        await container.pause()
        assert (await container.state())["status"] == "paused"
        await container.resume()
        with pytest.raises(TimeoutExpired):
            await container.wait(0.1)
        await container.kill("KILL")
        assert await container.wait(20) == container.returncode == 137
        await container.delete()
        with pytest.raises(NotFound):
            await AsyncContainer.load(place.token, place.root)

    lived(life)
    assert list_containers(place.root) == []


def test_streams(place: Place):
    """Output by lines while it runs, input, and the end of async with."""

    async def life() -> None:
        script = "echo one; read word; echo $word; echo err >&2; exit 5"
        async with await run(place, "sh", "-c", script, stdin=PIPE, stdout=PIPE, stderr=PIPE) as container:
            assert await container.stdout.readline() == b"one\n"
            container.stdin.write(b"two\n")
            assert [line async for line in container.stdout] == [b"two\n"]
            assert await container.stderr.read() == b"err\n"
            assert await container.wait(20) == 5

    lived(life)


def test_exec(place: Place):
    """exec as the other API's: input, output, status, check, timeout; popen with a terminal."""

    async def life() -> None:
        async with await run(place) as container:
            done = await container.exec(
                ["sh", "-c", "cat; pwd; exit 4"], input="in\n", capture_output=True, text=True, cwd="/bin"
            )
            assert (done.returncode, done.stdout, done.stderr) == (4, "in\n/bin\n", "")
            data = os.urandom(1 << 20)
            assert (await container.exec(["cat"], input=data, stdout=PIPE)).stdout == data
            with pytest.raises(CalledProcessError):
                await container.exec(["false"], check=True)
            with pytest.raises(TimeoutExpired, match=r"0\.3 seconds"):
                await container.exec(["sleep", "60"], timeout=0.3)
            with pytest.raises(OcirunError, match="executable file not found"):
                await container.exec(["no-such-program"])
            async with await container.popen(["sh", "-c", "stty size; read a; tty"], terminal=True) as program:
                program.terminal.resize(91, 31)
                program.stdin.write(b"x\n")
                assert b"/dev/pts/0" in await program.stdout.read()
                assert await program.wait(20) == 0
            program = await container.popen(["sleep", "60"])
            with pytest.raises(OcirunError, match="send signal 999"):
                program.send_signal(999)
            program.send_signal(signal.SIGTERM)
            assert await program.wait(20) == 128 + signal.SIGTERM
            assert await container.processes() == [container.pid]

    lived(life)


def test_verbs_and_reports(place: Place):
    """update, stats, verify, events; validate, plan, features, doctor."""

    async def life() -> None:
        async with await run(place) as container:
            await container.update({"pids": {"limit": 9}})
            assert (await container.stats())["pids"]["limit"] == 9
            assert (await container.verify())["counts"]["differs"] == 0
            kinds = []
            async for event in container.events(0.1):
                kinds.append(event["type"])
                if len(kinds) == 2:
                    break
            assert kinds == ["stats", "stats"]
            with pytest.raises(OcirunError, match="above 0"):
                async for _ in container.events(0):
                    pass
        assert await aio.validate(place.directory) == []
        assert (await aio.plan(place.directory))["version"] == 1
        assert (await aio.features())["ociVersionMax"] == "1.3.0"
        assert (await aio.doctor())["rows"]

    lived(life)


def test_errors_and_warnings(place: Place):
    """They are those of the other API, with all that they have."""

    async def life() -> None:
        wrong = merge(place.bundle.config, {"process": {"cwd": 1}})
        with pytest.raises(InvalidConfig) as caught:
            await AsyncContainer.create(place.token, place.directory, root=place.root, config=wrong)
        assert [one.pointer for one in caught.value.problems] == [caught.value.pointer] == ["/process/cwd"]
        config = merge(place.bundle.config, DOUBTFUL)
        with pytest.warns(OcirunWarning, match=r"1\.99\.0"):
            container = await AsyncContainer.create(place.token, place.directory, root=place.root, config=config)
        await container.delete(force=True)
        with pytest.raises(TypeError, match="unexpected keyword"):
            await AsyncContainer.create(place.token, place.directory, root=place.root, shop=1)

    lived(life)


def test_another_process_container(place: Place):
    """A container that the worker did not make can be waited for."""
    with place.create("sh", "-c", "sleep 1; exit 3") as made:
        made.start()

        async def life() -> None:
            loaded = await AsyncContainer.load(place.token, place.root)
            with pytest.raises(TimeoutExpired):
                await loaded.wait(0.1)
            assert await loaded.wait(20) is None  # nobody has collected it

        before = snapshot.descriptors()
        asyncio.run(life())
        assert snapshot.descriptors() == before
        assert made.wait() == 3


SLOW = {"hooks": {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "1"]}]}}


def test_cancelled(place: Place):
    """A create that is cancelled, also late or by the end of the loop, leaves no container; an exec no program."""
    place.configure(SLOW)

    async def creation() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run(place), 0.5)
        await asyncio.sleep(1.5)
        assert await aio.list_containers(place.root) == []

    lived(creation)

    async def abandoned() -> None:
        asyncio.get_running_loop().create_task(run(place))
        await asyncio.sleep(0.5)

    lived(abandoned)
    assert list_containers(place.root) == []
    place.configure({})

    async def program() -> None:
        async with await run(place) as container:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(container.exec(["sleep", "60"]), 0.3)
            await asyncio.sleep(0.3)
            assert await container.processes() == [container.pid]

    lived(program)


def test_cancelled_as_it_succeeds(place: Place):
    """A container whose reply comes after the cancel, but before whoever asked goes on, is removed too."""

    async def life() -> None:
        await aio.list_containers(place.root)  # starts the worker
        task = asyncio.create_task(run(place, stdout=PIPE))
        await asyncio.sleep(0)
        while not any(one["status"] == "running" for one in list_containers(place.root)):
            time.sleep(0.01)
        time.sleep(0.2)  # the reply is in the socket: in the loop's next round it is read, after this goes on
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while await aio.list_containers(place.root):
            await asyncio.sleep(0.05)

    lived(life)


def test_cancelled_at_any_moment(place: Place):
    """Whatever is done then, nothing is left, neither here nor in the worker."""

    async def one(number: int) -> None:
        async with await run(place, "sh", "-c", "echo a; sleep 60", name=f"-{number}", stdout=PIPE) as container:
            await container.stdout.readline()
            async with await container.popen(["cat"], stdin=PIPE, stdout=PIPE, text=True) as program:
                program.stdin.write("x\n")
                await program.stdout.readline()
            loaded = await AsyncContainer.load(container.id, container.root)
            await loaded.stats()

    async def life() -> None:
        from runtime.api.aio import client

        here = await client.of_loop()
        await here.call({"call": "report", "name": "list_containers", "arguments": [str(place.root)]})
        began = time.monotonic()
        await one(-1)
        whole = time.monotonic() - began
        for number in range(20):
            task = asyncio.create_task(one(number))
            await asyncio.sleep(number * whole / 20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled() or not task.exception()
        while await aio.list_containers(place.root) or here.undoing:
            await asyncio.sleep(0.05)
        del task  # its exception keeps what it had
        gc.collect()
        await asyncio.sleep(0.2)
        assert not any((here.calls, here.ends, here.events))
        assert len(os.listdir(f"/proc/{here.process.pid}/fd")) == len([0, 1, 2, "epoll", "socket"])

    lived(life)


def test_a_loop_that_is_closed_early(place: Place):
    """Its worker ends when the next loop starts one, and at the latest with the program; Python has nothing to warn of."""
    code = (
        "import asyncio, os, pathlib, sys; from ocirun import aio\n"
        "def children(): return pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()\n"
        "for _ in range(2):\n"
        "    loop = asyncio.new_event_loop(); loop.run_until_complete(aio.list_containers(sys.argv[1])); loop.close()\n"
        "async def last():\n"
        "    await aio.list_containers(sys.argv[1])\n"
        "    while len(children()) > 1: await asyncio.sleep(0.1); await aio.list_containers(sys.argv[1])\n"
        "loop = asyncio.new_event_loop(); loop.run_until_complete(last()); print(len(children())); loop.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code, str(place.root)],
        env={**os.environ, "PYTHONPATH": f"{TREE}:{TREE / 'runtime/import'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_another_loop(place: Place):
    """An object of one loop cannot be awaited in another, which is told before anything is asked."""

    async def life() -> None:
        container = await run(place)

        async def elsewhere() -> None:
            for what in (container.state, container.wait, lambda: anext(aiter(container.events()))):
                with pytest.raises(OcirunError, match="belongs to another event loop"):
                    await what()

        await asyncio.to_thread(asyncio.run, elsewhere())
        await container.delete(force=True)

    lived(life)


def test_control_c(place: Place):
    """KeyboardInterrupt ends the loop, and async with has removed the container."""
    before = snapshot.descriptors()

    async def life() -> None:
        async with await run(place) as container:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            await container.wait()

    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(life())
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert list_containers(place.root) == []
    assert snapshot.descriptors() == before


def test_a_worker_that_dies(place: Place):
    """Who waits gets an error, the container goes on, and the next call starts another worker."""

    async def life() -> None:
        from runtime.api.aio import client

        container = await run(place)
        worker = (await client.of_loop()).process
        worker.kill()
        with pytest.raises(OcirunError, match="the worker"):
            async for _ in container.events(30):
                pass
        with pytest.raises(OcirunError, match="the worker"):
            await container.wait(20)
        worker.wait(20)
        loaded = await AsyncContainer.load(place.token, place.root)
        assert (await loaded.state())["status"] == "running"
        await loaded.delete(force=True)

    asyncio.run(life())


def test_no_descriptors_to_be_had(place: Place):
    """OcirunError, and the worker is still there afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def life() -> None:
        await aio.list_containers(place.root)
        highest = max(int(number) for number in os.listdir("/proc/self/fd"))
        held = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)]
        while held[-1] < highest:
            held.append(os.dup(held[0]))  # no gaps below the highest
        failures = []
        for more in range(1, 9):
            resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + more, hard))
            try:
                async with await run(place, stdout=PIPE):
                    pass
            except Exception as error:
                failures.append(error)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)
        assert {type(error) for error in failures} == {OcirunError}, failures
        async with await run(place) as container:
            assert (await container.state())["status"] == "running"

    lived(life)


def test_fifty_at_once(place: Place):
    """Fifty containers with a hook of a second, exec and output: the loop stalls for no longer than LONGEST."""
    place.configure(SLOW)
    late: list[float] = []

    async def one(number: int) -> tuple[int | None, bytes, str]:
        script = "echo ready; sleep 30 & trap 'exit 6' TERM; wait"
        async with await run(place, "sh", "-c", script, name=f"-{number}", stdin=DEVNULL, stdout=PIPE) as container:
            first = await container.stdout.readline()
            done = await container.exec(["echo", str(number)], capture_output=True, text=True)
            await container.kill("TERM")
            return await container.wait(60), first, done.stdout

    async def life() -> None:
        await aio.list_containers(place.root)  # starts the worker
        ticker = asyncio.create_task(stalls(late))
        began = time.monotonic()
        found = await asyncio.gather(*(one(number) for number in range(50)))
        took = time.monotonic() - began
        ticker.cancel()
        assert found == [(6, b"ready\n", f"{number}\n") for number in range(50)]
        assert took < 25, "one after another their hooks would take 50 seconds"

    lived(life)
    assert len(late) > 100
    assert max(late) < LONGEST


def test_the_loop_does_stall_without_the_worker(place: Place):
    """The other API in the loop exceeds the bound, so the measurement above can fail."""
    place.configure(SLOW)
    late: list[float] = []

    async def life() -> None:
        ticker = asyncio.create_task(stalls(late))
        await asyncio.sleep(0.01)
        with Container.run(place.token, place.directory, root=place.root):
            pass
        await asyncio.sleep(0.01)
        ticker.cancel()

    lived(life)
    assert max(late) > 5 * LONGEST
