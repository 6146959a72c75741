"""What an event loop has of a container's init and of a program of exec: an end, and streams."""

import asyncio
import os
import signal as signals

from runtime.api.aio.client import Client
from runtime.api.aio.streams import Ends, connect
from runtime.api.outcome import TimeoutExpired
from runtime.api.terminal import Terminal
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from runtime.api.aio.link import Message


class AsyncChild:
    """What a container and a program of exec have in common."""

    def __init__(self, client: Client, number: int, pid: int) -> None:
        self._client = client
        self._number = number
        self._pid = pid
        self._end = client.end(number)
        self._streams: dict[str, asyncio.StreamReader | asyncio.StreamWriter] = {}
        self._terminal: Terminal | None = None
        client.on_loss(self, number)

    @property
    def pid(self) -> int:
        """The pid in this process's pid namespace; 0 if it had ended before `AsyncContainer.load`."""
        return self._pid

    @property
    def returncode(self) -> "int | None":
        """The exit status, 128 + N for a signal; None before the end, or if it is not known."""
        ended = self._end.done() and not self._end.cancelled() and not self._end.exception()
        return self._end.result() if ended else None

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Writes to the program. OcirunError unless ``stdin=PIPE`` or ``terminal=True`` was given; likewise the next two."""
        found = self._stream("stdin")
        assert isinstance(found, asyncio.StreamWriter)
        return found

    @property
    def stdout(self) -> asyncio.StreamReader:
        """Its output, in bytes. Iterate over it for lines as they come."""
        found = self._stream("stdout")
        assert isinstance(found, asyncio.StreamReader)
        return found

    @property
    def stderr(self) -> asyncio.StreamReader:
        """Its standard error."""
        found = self._stream("stderr")
        assert isinstance(found, asyncio.StreamReader)
        return found

    @property
    def terminal(self) -> Terminal:
        """Its terminal, for `resize` and `size`; what it reads and writes are stdin and stdout here."""
        if self._terminal is None:
            raise OcirunError("the program has no terminal here; give terminal=True")
        return self._terminal

    def _stream(self, name: str) -> "asyncio.StreamReader | asyncio.StreamWriter":
        if name not in self._streams:
            raise OcirunError(f"{name} of the program is not a pipe; give {name}=PIPE")
        return self._streams[name]

    def _what(self) -> str:
        return f"process {self._pid}"

    async def _adopt(self, ends: Ends, descriptors: "Sequence[int]", undo: "Message") -> None:
        """Take our ends of the pipes, or the terminal. ``undo``: the request to send when that fails."""
        try:
            self._streams = await ends.connected()
            if descriptors:
                self._terminal = Terminal(descriptors[0])
                self._streams |= await connect({"stdin": os.dup(descriptors[0]), "stdout": os.dup(descriptors[0])})
        except BaseException:
            self._close()
            self._client.undo(self._number, undo)
            raise

    async def _ended(self, timeout: "float | None") -> "int | None":
        try:
            return await asyncio.wait_for(asyncio.shield(self._end), timeout)
        except TimeoutError:
            raise TimeoutExpired(self._what(), timeout or 0) from None

    async def communicate(self, input: "str | bytes | None" = None) -> "tuple[bytes | None, bytes | None]":
        """Write ``input``, read stdout and stderr to their ends, and wait. Returns both; None for what is not a pipe."""
        tasks = [self._read("stdout"), self._read("stderr"), self._write(input)]
        stdout, stderr, _ = await asyncio.gather(*tasks)
        await self._ended(None)
        return stdout, stderr

    async def _read(self, name: str) -> "bytes | None":
        found = self._streams.get(name)
        return await found.read() if isinstance(found, asyncio.StreamReader) else None

    async def _write(self, input: "str | bytes | None") -> None:
        if "stdin" not in self._streams:
            if input:
                raise OcirunError("input: the program's stdin is not a pipe; give stdin=PIPE")
            return
        try:
            self.stdin.write(input.encode() if isinstance(input, str) else input or b"")
            await self.stdin.drain()
            self.stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it does not read the rest

    def _close(self) -> None:
        for found in self._streams.values():
            if isinstance(found, asyncio.StreamWriter):
                found.close()
            else:
                found._transport.close()  # type: ignore[attr-defined]  # a reader of a pipe has no other way
        if self._terminal:
            self._terminal.close()


class AsyncProcess(AsyncChild):
    """From `AsyncContainer.popen`. In an ``async with`` statement it is killed at the end, if it still runs."""

    def __init__(self, client: Client, number: int, pid: int, args: "Sequence[str]") -> None:
        super().__init__(client, number, pid)
        self.args = args

    def __repr__(self) -> str:
        return f"AsyncProcess(pid={self._pid}, args={self.args!r}, returncode={self.returncode!r})"

    async def wait(self, timeout: "float | None" = None) -> int:
        """Wait for the end. Returns the exit status. `TimeoutExpired` after ``timeout`` seconds."""
        status = await self._ended(timeout)
        if status is None:
            raise OcirunError(f"the exit status of process {self._pid} is not known")
        return status

    def send_signal(self, signal: int) -> None:
        """Send a signal; to one that has ended, nothing. Does not wait until it is sent."""
        self._client.put({"call": "signal", "child": self._number, "signal": int(signal)})

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signals.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signals.SIGKILL)

    async def __aenter__(self) -> "Self":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()
        if not self._end.done():
            self.kill()
            await self._ended(None)
