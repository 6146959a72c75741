"""What an event loop has of a container's init and of a program of exec: an end, and streams."""

import asyncio
import os
import signal as signals

from runtime.api import streams
from runtime.api.aio.client import Client
from runtime.api.aio.streams import Ends, Writer, close
from runtime.api.outcome import TimeoutExpired
from runtime.api.terminal import Terminal
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from runtime.api.aio.link import Message
    from runtime.api.aio.streams import Reader


class AsyncChild:
    """What a container and a program of exec have in common."""

    def __init__(self, client: Client, number: int, pid: int) -> None:
        self._client = client
        self._number = number
        self._pid = pid
        self._end = client.end(number)
        self._streams: dict[str, Reader | Writer] = {}
        self._mode: dict[str, str] = {}
        self._said: dict[str, list[Any]] = {}  # what `communicate` has read
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
    def stdin(self) -> Writer:
        """Writes to the program. OcirunError unless ``stdin=PIPE`` or ``terminal=True`` was given; likewise the next two."""
        found = self._stream("stdin")
        assert isinstance(found, Writer)
        return found

    @property
    def stdout(self) -> "Reader":
        """Its output: bytes, or text with ``text=True``. Iterate over it for lines as they come."""
        found: Reader = self._stream("stdout")
        return found

    @property
    def stderr(self) -> "Reader":
        """Its standard error."""
        found: Reader = self._stream("stderr")
        return found

    @property
    def terminal(self) -> Terminal:
        """Its terminal, for `resize` and `size`; what it reads and writes are stdin and stdout here."""
        if self._terminal is None:
            raise OcirunError("the program has no terminal here; give terminal=True")
        return self._terminal

    def _stream(self, name: str) -> "Any":
        if name not in self._streams:
            raise OcirunError(f"{name} of the program is not a pipe; give {name}=PIPE")
        return self._streams[name]

    def _what(self) -> str:
        return f"process {self._pid}"

    async def _adopt(self, ends: Ends, descriptors: "Sequence[int]", undo: "Message") -> None:
        """Take our ends of the pipes, or the terminal. ``undo``: the request to send when that fails."""
        try:
            self._mode = ends.mode
            if descriptors:
                self._terminal = Terminal(descriptors[0])
                for name in ("stdin", "stdout"):
                    ends.ours[name] = os.dup(descriptors[0])
            self._streams = await ends.connected()
        except BaseException:
            self._close()
            self._client.undo(self._number, undo)
            raise

    async def _ended(self, timeout: "float | None") -> "int | None":
        self._client.check_loop()
        if not self._end.done():
            await asyncio.wait([self._end], timeout=timeout)
        if not self._end.done():
            raise TimeoutExpired(self._what(), timeout or 0)
        return self._end.result()

    async def communicate(
        self, input: "str | bytes | None" = None, timeout: "float | None" = None
    ) -> "tuple[Any, Any]":
        """Write ``input``, read stdout and stderr to their ends, and wait. Returns both; None for what is not a pipe.

        `TimeoutExpired` after ``timeout`` seconds: the program goes on, nothing is lost, and the call may be repeated. So it may
        after it was cancelled.
        """
        self._client.check_loop()
        self._give(input)
        readers = [asyncio.ensure_future(self._hear(name)) for name in ("stdout", "stderr") if name in self._streams]
        all_of_it: list[asyncio.Future[Any]] = [*readers, self._end]
        try:
            done, left = await asyncio.wait(all_of_it, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION)
            for one in done:
                one.result()
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)  # then another may read
        if left:
            raise TimeoutExpired(self._what(), timeout or 0, self._heard("stdout"), self._heard("stderr"))
        return self._heard("stdout"), self._heard("stderr")

    def _give(self, input: "str | bytes | None") -> None:
        """Write it all; the pipe is closed once the program has read it."""
        if "stdin" not in self._streams:
            if input:
                raise OcirunError("input: the program's stdin is not a pipe; give stdin=PIPE")
            return
        if not self.stdin.is_closing():
            if input:
                self.stdin.write(input)
            self.stdin.close()

    async def _hear(self, name: str) -> None:
        said = self._said.setdefault(name, [])
        while data := await self._stream(name).read(streams.CHUNK):
            said.append(data)

    def _heard(self, name: str) -> "Any":
        """What `communicate` has read: bytes or str; None if it is not a pipe."""
        return ("" if self._mode else b"").join(self._said[name]) if name in self._said else None

    def _close(self) -> None:
        for stream in self._streams.values():
            close(stream)
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
        if not 0 <= signal < signals.NSIG:
            raise OcirunError(f"send signal {signal} to process {self._pid}: there is no such signal")
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
