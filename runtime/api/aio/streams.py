"""Pipes and terminals of programs as asyncio's streams, of bytes or of text."""

import asyncio
import codecs
import errno
import io
import os

from runtime.api import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

    from runtime.api.streams import Kept, Stream

    class Reader(asyncio.StreamReader):
        """What a program's output is: asyncio's reader, or one whose methods return str."""

        async def read(self, n: int = -1) -> Any: ...
        async def readline(self) -> Any: ...
        async def readexactly(self, n: int) -> Any: ...
        async def readuntil(self, separator: Any = b"\n") -> Any: ...
        async def __anext__(self) -> Any: ...


class Ends(streams.Streams):
    """The same, and our ends become streams of the event loop. ``limit``: bytes of a line, as asyncio's streams have it."""

    def __init__(
        self,
        stdin: "Stream",
        stdout: "Stream",
        stderr: "Stream",
        mode: "dict[str, str]",
        preserve_fds: "Kept" = 0,
        limit: int = 1 << 16,
    ) -> None:
        super().__init__(stdin, stdout, stderr, mode, preserve_fds)
        self.limit = limit

    async def connected(self) -> "dict[str, Reader | Writer]":
        """Our ends, by name; stdin is one to write to. When it fails or is cancelled, they are closed."""
        ours, self.ours = self.ours, {}
        connecting = asyncio.ensure_future(self._connected(ours))
        try:
            return await asyncio.shield(connecting)  # uvloop closes a descriptor twice where it is cancelled
        except asyncio.CancelledError:
            connecting.add_done_callback(_close_all)
            raise

    async def _connected(self, ours: "dict[str, int]") -> "dict[str, Reader | Writer]":
        found: dict[str, Reader | Writer] = {}
        try:
            for name in list(ours):
                found[name] = await self._stream(name, ours.pop(name))
        except BaseException:
            for stream in found.values():
                close(stream)
            for descriptor in ours.values():
                os.close(descriptor)
            raise
        return found

    async def _stream(self, name: str, descriptor: int) -> "Reader | Writer":
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(self.limit)
        file = os.fdopen(descriptor, "wb" if name == "stdin" else "rb", 0)
        if name == "stdin":
            transport, protocol = await loop.connect_write_pipe(lambda: Protocol(reader), file)
            return Writer(transport, protocol, reader, loop, self.mode)
        await loop.connect_read_pipe(lambda: Protocol(reader), file)
        return TextReader(reader, self.mode) if self.mode else reader  # type: ignore[return-value]  # see Reader


class Protocol(asyncio.StreamReaderProtocol):
    """A terminal that nobody has open any more has ended, as a pipe does."""

    def eof_received(self) -> bool:
        """The end of what can be read. False: uvloop would keep the pipe open otherwise."""
        super().eof_received()
        return False

    def connection_lost(self, exc: "Exception | None") -> None:
        """The end."""
        super().connection_lost(None if isinstance(exc, OSError) and exc.errno == errno.EIO else exc)


class Writer(asyncio.StreamWriter):
    """asyncio's writer, which also takes str. ``mode``: its encoding and errors; {}: UTF-8."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        protocol: asyncio.BaseProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
        mode: "dict[str, str]",
    ) -> None:
        super().__init__(transport, protocol, reader, loop)
        self._encoder = codecs.getincrementalencoder(mode.get("encoding", "utf-8"))(mode.get("errors", "strict"))

    def write(self, data: "Any") -> None:
        """Write bytes or str; `drain` waits until the program has read most of it."""
        super().write(self._encoder.encode(data) if isinstance(data, str) else data)

    def writelines(self, data: "Iterable[Any]") -> None:
        """Write each of them."""
        for one in data:
            self.write(one)


class TextReader:
    """A reader of str with the methods of asyncio's. Every line end becomes a line feed; a line may have any length."""

    def __init__(self, source: asyncio.StreamReader, mode: "dict[str, str]") -> None:
        decoder = codecs.getincrementaldecoder(mode["encoding"])(mode["errors"])
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self.source = source
        self._text = ""  # what was decoded,
        self._at = 0  # and how much of it was read
        self._over = False

    async def _more(self) -> bool:
        """Decode more; False at the end. What was read so far stays when it is cancelled."""
        if self._over:
            return False
        data = await self.source.read(streams.CHUNK)
        self._over = not data
        self._text, self._at = self._text[self._at :] + self._decoder.decode(data, final=not data), 0
        return True

    def _take(self, count: int) -> str:
        found = self._text[self._at : self._at + count]
        self._at += len(found)
        return found

    def at_eof(self) -> bool:
        """Whether all was read, and nothing more will come."""
        return self._at == len(self._text) and (self._over or self.source.at_eof())

    async def read(self, n: int = -1) -> str:
        """All to the end; or at most ``n`` characters, as soon as there are some, "" at the end."""
        if n < 0:
            while await self._more():
                pass
            return self._take(len(self._text))
        while n and self._at == len(self._text) and await self._more():
            pass
        return self._take(n)

    async def readexactly(self, n: int) -> str:
        """``n`` characters. asyncio.IncompleteReadError if there are fewer."""
        while len(self._text) - self._at < n:
            if not await self._more():
                raise asyncio.IncompleteReadError(self._take(n), n)  # type: ignore[arg-type]  # str for bytes
        return self._take(n)

    async def readuntil(self, separator: str = "\n") -> str:
        """To the separator, which is part of it. asyncio.IncompleteReadError if it does not come."""
        seen = 0  # characters in which it is not
        while (at := self._text.find(separator, self._at + seen)) < 0:
            seen = max(0, len(self._text) - self._at - len(separator) + 1)
            if not await self._more():
                raise asyncio.IncompleteReadError(self._take(len(self._text)), None)  # type: ignore[arg-type]
        return self._take(at + len(separator) - self._at)

    async def readline(self) -> str:
        """One line with its line feed, which the last may lack; "" at the end."""
        try:
            return await self.readuntil()
        except asyncio.IncompleteReadError as error:
            rest: str = error.partial  # type: ignore[assignment]
            return rest

    def __aiter__(self) -> "Self":
        return self

    async def __anext__(self) -> str:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line


def close(stream: "Reader | Writer") -> None:
    """Close at once: what is not yet written or read is lost."""
    if isinstance(stream, Writer):
        if not stream.is_closing() or stream.transport.get_write_buffer_size():  # a second abort would fail
            stream.transport.abort()
    else:
        source = stream.source if isinstance(stream, TextReader) else stream
        source._transport.close()  # type: ignore[attr-defined]  # a reader of a pipe has no other way


def _close_all(connecting: "asyncio.Future[dict[str, Reader | Writer]]") -> None:
    """Nobody takes the streams any more."""
    if not connecting.cancelled() and not connecting.exception():
        for stream in connecting.result().values():
            close(stream)
