"""`AsyncContainer`: the verbs of `Container`, to be awaited."""

import asyncio
import os
from signal import SIGKILL

from runtime.api import arguments
from runtime.api.aio.child import AsyncChild, AsyncProcess
from runtime.api.aio.client import of_loop
from runtime.api.aio.link import unpacked
from runtime.api.aio.streams import Ends
from runtime.api.named import Named
from runtime.api.outcome import CompletedProcess, TimeoutExpired
from runtime.api.process import captured, source
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from typing import Any, Self, Unpack

    from oci_spec.types import JsonObject, LinuxIntelRdt
    from runtime.api.aio.client import Client
    from runtime.api.aio.link import Message
    from runtime.api.arguments import Document, Path, ProgramOptions
    from runtime.api.streams import Stream
    from runtime.cgroups.stats import Data
    from runtime.lifecycle.events import Event
    from runtime.shapes import StateDocument


class AsyncContainer(Named, AsyncChild):
    """A container. Its methods are those of `Container`, to be awaited. In an ``async with`` statement it is deleted at the end."""

    def __init__(self, client: "Client", number: int, pid: int, id: str, root: str) -> None:
        AsyncChild.__init__(self, client, number, pid)
        Named.__init__(self, id, root)

    def __repr__(self) -> str:
        return f"AsyncContainer({self._id!r}, root={self._root!r}, pid={self._pid})"

    @classmethod
    async def create(
        cls,
        id: str,
        bundle: "Path",
        *,
        stdin: "Stream" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        **options: "Any",
    ) -> "Self":
        """As `Container.create`, with its options but text, stdio and preserve_fds. Pipes carry bytes, as those of asyncio.

        If it is cancelled, nothing is left behind.
        """
        return await cls._make(id, bundle, (stdin, stdout, stderr), options, run=False)

    @classmethod
    async def run(
        cls,
        id: str,
        bundle: "Path",
        *,
        stdin: "Stream" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        **options: "Any",
    ) -> "Self":
        """`create` and `start`. Returns once the program runs."""
        return await cls._make(id, bundle, (stdin, stdout, stderr), options, run=True)

    @classmethod
    async def _make(
        cls, id: str, bundle: "Path", stdio: "tuple[Stream, Stream, Stream]", options: "Message", run: bool
    ) -> "Self":
        options = _sendable({**options, "root": arguments.state_root(options.get("root"))})
        request = {"call": "create", "id": id, "bundle": arguments.absolute(bundle), "options": options, "run": run}
        undo = {"call": "delete", "id": id, "root": options["root"], "options": {"force": True}}
        client = await of_loop()
        with Ends(*stdio) as ends:
            number, made, given = await client.call(request, ends.descriptors, undo)
            container = cls(client, number, made["pid"], made["id"], made["root"])
            await container._adopt(ends, given, undo)
        return container

    @classmethod
    async def load(cls, id: str, root: "Path | None" = None) -> "Self":
        """The container with this id, whoever made it. `NotFound` if there is none."""
        return await cls._found({"call": "load", "id": id, "root": arguments.state_root(root)})

    @classmethod
    async def restore(cls, id: str, bundle: "Path", image_path: "Path", **options: "Any") -> "Self":
        """As `Container.restore`."""
        options = _sendable({**options, "root": arguments.state_root(options.get("root"))})
        places = {"bundle": arguments.absolute(bundle), "image_path": arguments.absolute(image_path)}
        return await cls._found({"call": "restore", "id": id, **places, "options": options})

    @classmethod
    async def _found(cls, request: "Message") -> "Self":
        client = await of_loop()
        number, made, _ = await client.call(request)
        container = cls(client, number, made["pid"], made["id"], made["root"])
        if made.get("ended") and not container._end.done():
            container._end.set_result(None)
        return container

    async def _verb(self, name: str, *given: "Any", **options: "Any") -> "Any":
        request = {"call": name, "child": self._number, "id": self._id, "root": self._root}
        return (await self._client.call({**request, "arguments": given, "options": options}))[1]

    async def start(self) -> None:
        """Run the program; returns once it runs."""
        await self._verb("start")

    async def kill(self, signal: "str | int" = "TERM", all: bool = False) -> None:
        """Send a signal to init, or to ``all`` processes of the container."""
        await self._verb("kill", signal if isinstance(signal, str) else int(signal), all)

    async def delete(self, force: bool = False) -> None:
        """Remove a stopped container; ``force`` kills it first, and ignores one that does not exist."""
        await self._verb("delete", force)

    async def state(self) -> "StateDocument":
        """The state document."""
        found: StateDocument = await self._verb("state")
        return found

    async def wait(self, timeout: "float | None" = None) -> "int | None":
        """Wait until init has ended. Returns the exit status, 128 + N for a signal; None if it is not known (`Container.wait`)."""
        return await self._ended(timeout)

    async def popen(
        self,
        program: "Sequence[str] | Document",
        *,
        stdin: "Stream" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        terminal: bool = False,
        **options: "Unpack[ProgramOptions]",
    ) -> AsyncProcess:
        """Start another program in the container; returns once it runs. If it is cancelled, the program is killed."""
        words = arguments.words(program) if isinstance(program, (list, tuple, str, bytes)) else program
        request = {"call": "popen", "child": self._number, "id": self._id, "root": self._root, "program": words}
        request["options"] = _sendable({**options, "terminal": terminal})
        undo = {"call": "signal", "signal": int(SIGKILL)}
        with Ends(stdin, stdout, stderr) as ends:
            number, made, given = await self._client.call(request, ends.descriptors, undo)
            process = AsyncProcess(self._client, number, made["pid"], made["args"])
            await process._adopt(ends, given, undo)
        return process

    async def exec(
        self,
        program: "Sequence[str]",
        *,
        stdin: "Stream | str | bytes" = None,
        input: "str | bytes | None" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        capture_output: bool = False,
        timeout: "float | None" = None,
        check: bool = False,
        text: bool = False,
        **options: "Unpack[ProgramOptions]",
    ) -> CompletedProcess:
        """Run another program in the container to its end. As `Container.exec`; if it is cancelled, the program is killed."""
        given, data = source(stdin, input)
        out, err = captured(capture_output, stdout, stderr)
        async with await self.popen(program, stdin=given, stdout=out, stderr=err, **options) as process:
            try:
                read = await asyncio.wait_for(process.communicate(data), timeout)
            except TimeoutError:
                raise TimeoutExpired(process.args, timeout or 0) from None
            status = await process.wait()
        first, second = (one.decode() if text and one is not None else one for one in read)
        result = CompletedProcess(process.args, status, first, second)
        if check:
            result.check_returncode()
        return result

    async def pause(self) -> None:
        """Suspend all processes."""
        await self._verb("pause")

    async def resume(self) -> None:
        """Resume a paused container."""
        await self._verb("resume")

    async def update(self, resources: "Mapping[str, Any]", *, intel_rdt: "LinuxIntelRdt | None" = None) -> None:
        """Change the limits that ``resources`` names, and leave the others."""
        await self._verb("update", resources, intel_rdt=intel_rdt)

    async def stats(self) -> "Data":
        """What it uses."""
        found: Data = await self._verb("stats")
        return found

    async def processes(self) -> "list[int]":
        """The pids of its processes."""
        found: list[int] = await self._verb("processes")
        return found

    async def verify(self) -> "JsonObject":
        """What it has against what its config asks for."""
        found: JsonObject = await self._verb("verify")
        return found

    async def checkpoint(self, image_path: "Path", **options: "Any") -> None:
        """As `Container.checkpoint`."""
        await self._verb("checkpoint", arguments.absolute(image_path), **_sendable(options))

    async def events(self, interval: float = 5.0) -> "AsyncIterator[Event]":
        """As `Container.events`."""
        request = {"call": "events", "child": self._number, "id": self._id, "root": self._root, "interval": interval}
        client = self._client
        number = client.put(request)
        queue: asyncio.Queue[Any] = asyncio.Queue()
        client.events[number] = queue
        try:
            while (event := await queue.get()) is not None and "end" not in event:
                yield event
        finally:
            del client.events[number]
            if client.open:
                client.put({"call": "stop", "child": number})
        if event and "error" in event["end"]:
            raise unpacked(event["end"]["error"])

    async def __aenter__(self) -> "Self":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()
        await self.delete(force=True)


def _sendable(options: "Message") -> "Message":
    """The options, with paths as strings. OcirunError for what cannot go to another process."""
    for name in ("stdio", "preserve_fds", "text", "encoding", "errors"):
        if options.get(name):
            raise OcirunError(f"{name}: not with asyncio")
    found = {}
    for name, value in options.items():
        if hasattr(value, "__fspath__") or (name in ("root", "console_socket", "pid_file") and value):
            value = os.fspath(value) if name == "cwd" else arguments.absolute(value)
        found[name] = value
    arguments.document(found, "options")
    return found
