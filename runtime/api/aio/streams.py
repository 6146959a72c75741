"""Pipes and terminals of programs as asyncio's streams."""

import asyncio
import errno
import os

from runtime.api import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.api.streams import Stream


class Ends(streams.Streams):
    """The same, and our ends become streams of the event loop."""

    def __init__(self, stdin: "Stream", stdout: "Stream", stderr: "Stream") -> None:
        super().__init__(stdin, stdout, stderr, {})

    async def connected(self) -> "dict[str, asyncio.StreamReader | asyncio.StreamWriter]":
        """Our ends, by name."""
        ours, self.ours = self.ours, {}
        return await connect(ours)


class Protocol(asyncio.StreamReaderProtocol):
    """A terminal that nobody has open any more has ended, as a pipe does."""

    def connection_lost(self, exc: "Exception | None") -> None:
        """The end."""
        super().connection_lost(None if isinstance(exc, OSError) and exc.errno == errno.EIO else exc)


async def connect(descriptors: "dict[str, int]") -> "dict[str, asyncio.StreamReader | asyncio.StreamWriter]":
    """Streams of these descriptors, by name; stdin is one to write to. They own the descriptors."""
    loop = asyncio.get_running_loop()
    found: dict[str, asyncio.StreamReader | asyncio.StreamWriter] = {}
    for name, descriptor in descriptors.items():
        reader = asyncio.StreamReader()
        file = os.fdopen(descriptor, "wb" if name == "stdin" else "rb", 0)
        if name == "stdin":
            transport, protocol = await loop.connect_write_pipe(lambda r=reader: Protocol(r), file)  # type: ignore[misc]
            found[name] = asyncio.StreamWriter(transport, protocol, reader, loop)
        else:
            await loop.connect_read_pipe(lambda r=reader: Protocol(r), file)  # type: ignore[misc]
            found[name] = reader
    return found
