"""What programs read, write and inherit with asyncio: text, descriptors, long lines, output that nobody reads."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ocirun import DEVNULL, PIPE, STDOUT, OcirunError, TimeoutExpired
from ocirun.aio import AsyncContainer

from runtime.api.aio.streams import TextReader
from tests.runtime.api.loop import lived, run
from tests.runtime.api.place import Place, on_real_containers

PIPES: dict[str, Any] = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}


@on_real_containers
def test_text(place: Place):
    """Lines, input and communicate are str, and line ends are line feeds."""

    async def life() -> None:
        script = "printf 'eins\\r\\nzw\\303\\266lf\\n'; read word; echo $word >&2; echo rest"
        async with await run(place, "sh", "-c", script, text=True, **PIPES) as container:
            assert await container.stdout.readline() == "eins\n"
            assert await container.stdout.readuntil("f") == "zwölf"
            container.stdin.write("wört\n")
            assert [line async for line in container.stdout] == ["\n", "rest\n"]
            assert await container.stderr.readexactly(4) == "wört"
            assert await container.stderr.read() == "\n"
            assert container.stdout.at_eof()
            assert await container.wait(20) == 0
        async with await run(place, "sh", "-c", "cat; echo end >&2", encoding="utf-16-le", **PIPES) as container:
            assert await container.communicate("zwölf\n") == ("zwölf\n", "湥\u0a64")
        async with await run(place, "printf", r"\377", stdout=PIPE, errors="replace") as container:
            assert await container.stdout.read() == "\ufffd"

    lived(life)


@on_real_containers
def test_text_of_exec(place: Place):
    """exec and popen have the same options as those of the other API."""

    async def life() -> None:
        async with await run(place) as container:
            done = await container.exec(["cat"], input="a\r\nä\n", capture_output=True, encoding="latin-1")
            assert (done.stdout, done.stderr) == ("a\nä\n", "")
            done = await container.exec(["printf", r"\377"], stdout=PIPE, errors="backslashreplace")
            assert done.stdout == "\\xff"
            async with await container.popen(["sh", "-c", "read a; echo got $a"], terminal=True, text=True) as program:
                program.stdin.write("x\n")
                assert await program.stdout.read() == "x\ngot x\n"
            with pytest.raises(UnicodeDecodeError):
                await container.exec(["printf", r"\377"], stdout=PIPE, text=True)
            assert await container.processes() == [container.pid]

    lived(life)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_text_reader(size: int):
    """However the bytes come, the text is the same; a line may be longer than asyncio's limit."""
    text = "eins\r\nzwölf\rdrei€\n" + "x" * 200_000 + "\nend"
    data = text.encode()
    lines = ["eins\n", "zwölf\n", "drei€\n", "x" * 200_000 + "\n", "end"]

    async def read() -> None:
        source = asyncio.StreamReader()
        for at in range(0, len(data), size):
            source.feed_data(data[at : at + size])
        source.feed_eof()
        reader = TextReader(source, {"encoding": "utf-8", "errors": "strict"})
        assert await reader.read(2) == "ei"
        assert await reader.readuntil("\n") == "ns\n"
        assert [line async for line in reader] == lines[1:]
        assert (await reader.read(), await reader.read(5), await reader.readline()) == ("", "", "")
        assert reader.at_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(1)

    asyncio.run(read())


@on_real_containers
def test_preserve_fds(place: Place):
    """A list of descriptors and files becomes 3, 4, …, for the container's program and for that of exec."""

    async def life() -> None:
        reading, writing = os.pipe()
        with tempfile.TemporaryFile() as file:
            file.write(b"from a file")
            file.flush()
            file.seek(0)
            script = "cat <&4; echo ' and a pipe' >&3; ls /proc/$$/fd; true"
            more = {"preserve_fds": [writing, file], "stdin": DEVNULL, "stdout": PIPE}
            async with await run(place, "sh", "-c", script, **more) as container:
                output, _ = await container.communicate()
            assert output.split() == [b"from", b"a", b"file0", b"1", b"2", b"3", b"4"]
            assert os.read(reading, 100) == b" and a pipe\n"
        async with await run(place) as container:
            done = await container.exec(["sh", "-c", "echo exec >&3"], preserve_fds=[writing])
            assert (done.returncode, os.read(reading, 100)) == (0, b"exec\n")
            with pytest.raises(OcirunError, match="preserve_fds: descriptor 987 is not open"):
                await container.exec(["true"], preserve_fds=[writing, 987])
            with pytest.raises(OcirunError, match="at most 250 more descriptors"):
                await container.exec(["true"], preserve_fds=[writing] * 251)
            done = await container.exec(["sh", "-c", "ls /proc/$$/fd; true"], preserve_fds=[writing] * 250, stdout=PIPE)
            assert len(done.stdout.split()) == 253
        os.close(reading)
        os.close(writing)

    lived(life)


@on_real_containers
def test_stdio(place: Place, tmp_path: Path):
    """Three descriptors in one."""

    async def life() -> None:
        with (tmp_path / "out").open("w") as out, open(os.devnull) as null:
            three = (null.fileno(), out.fileno(), out.fileno())
            async with await run(place, "sh", "-c", "echo out; echo err >&2", stdio=three) as container:
                assert await container.wait(20) == 0
        assert (tmp_path / "out").read_text() == "out\nerr\n"

    lived(life)


@on_real_containers
def test_what_is_refused(place: Place):
    """Before anything is made: options that are none, contradict or mean nothing to Python."""

    async def life() -> None:
        for options, kind, words in (
            ({"shop": 1}, TypeError, "unexpected keyword argument 'shop'"),
            ({"encoding": "nope", "stdout": PIPE}, OcirunError, "encoding 'nope': Python has none"),
            ({"errors": "nope", "stdout": PIPE}, OcirunError, "errors 'nope': Python has none"),
            ({"stdio": (0, 1, 987)}, OcirunError, "descriptor 987 is not open"),
            ({"preserve_fds": -1}, OcirunError, "preserve_fds: -1"),
            ({"terminal": True, "stdout": PIPE}, OcirunError, "terminal=True and PIPE"),
        ):
            with pytest.raises(kind, match=words):
                await run(place, **options)
        async with await run(place) as container:
            with pytest.raises(TypeError, match="no option 'shell'"):
                await container.exec(["ls"], shell=True)  # type: ignore[call-arg]
            with pytest.raises(TypeError, match="there is no shell"):
                await container.exec("ls -l")

    lived(life)


@on_real_containers
def test_arguments_of_other_kinds(place: Place):
    """What the other API takes: paths as words, a mapping that is no dict, a set, a generator."""

    async def life() -> None:
        options = {"stdin": DEVNULL, "stdout": PIPE}
        made = AsyncContainer.run(
            place.token, place.directory, root=place.root, args=[Path("/bin/sleep"), b"60"], **options
        )
        async with await made as container:
            done = await container.exec(
                ["sh", "-c", "id -G; pwd"], env=os.environ, additional_gids=(gid for gid in (7,)), cwd=Path("/bin"),
                capabilities={"CAP_SYS_TIME"}, stdout=PIPE,
            )  # fmt: skip
            assert done.stdout == b"0 7\n/bin\n"
            done = await container.exec(place.process("echo", "a process"), stdout=PIPE)
            assert (done.args, done.stdout) == (["echo", "a process"], b"a process\n")

    lived(life)


@on_real_containers
def test_output_that_nobody_reads(place: Place):
    """It stays in the pipe: the loop's memory does not grow, and the end of async with ends the program."""

    async def life() -> None:
        async with await run(place, "yes", "a line", stdout=PIPE) as container:
            assert await container.stdout.readline() == b"a line\n"
            await asyncio.sleep(0.3)
            assert len(container.stdout._buffer) < 1 << 18  # type: ignore[attr-defined]
        async with await run(place, "sh", "-c", "yes line | head -n 100000", stdout=PIPE, stderr=STDOUT) as container:
            assert len([line async for line in container.stdout]) == 100_000
            assert await container.wait(20) == 0

    lived(life)


@on_real_containers
def test_the_limit_of_a_line(place: Place):
    """limit is that of asyncio's streams."""
    args = ("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo")

    async def life() -> None:
        async with await run(place, *args, stdout=PIPE) as container:
            with pytest.raises(ValueError, match="limit"):
                await container.stdout.readline()
        async with await run(place, *args, stdout=PIPE, limit=1 << 20) as container:
            assert len(await container.stdout.readline()) == 100_001

    lived(life)


@on_real_containers
def test_communicate_goes_on(place: Place):
    """After a timeout or a cancel nothing is lost, and the error has what was read."""

    async def life() -> None:
        async with await run(place) as container:
            program = ["sh", "-c", "echo a; cat; sleep 4; echo b"]
            async with await container.popen(program, stdin=PIPE, stdout=PIPE, text=True) as one:
                with pytest.raises(TimeoutExpired) as caught:
                    await one.communicate("in\n", timeout=1.5)
                assert (caught.value.output, caught.value.stderr) == ("a\nin\n", None)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(one.stdout.readline(), 0.01)  # another may read
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await one.communicate()
                assert await one.communicate(timeout=20) == ("a\nin\nb\n", None)
            with pytest.raises(TimeoutExpired, match=r"^sh -c") as caught:
                await container.exec(["sh", "-c", "echo before; exec sleep 60"], stdout=PIPE, timeout=2)
            assert caught.value.stdout == b"before\n"
            done = await container.exec(["true"], input=b"x" * (1 << 20))
            assert done.returncode == 0
            async with await container.popen(["sh", "-c", "exec <&-; sleep 60 & wait"], stdin=PIPE) as one:
                one.stdin.write("x" * (1 << 20))

    lived(life)
