"""`AsyncContainer`: the verbs of `Container`, to be awaited."""

import asyncio
import os
from signal import SIGKILL

from runtime.api import arguments, streams
from runtime.api.aio.child import AsyncChild, AsyncProcess
from runtime.api.aio.client import GONE, of_loop
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
    from runtime.api.streams import Kept, Stream
    from runtime.cgroups.stats import Data
    from runtime.lifecycle.events import Event
    from runtime.shapes import StateDocument

LIMIT = 1 << 16


class AsyncContainer(Named, AsyncChild):
    """A container. Its methods are those of `Container`, to be awaited. In an ``async with`` statement it is deleted at the end."""

    def __init__(self, client: "Client", number: int, pid: int, id: str, root: str) -> None:
        AsyncChild.__init__(self, client, number, pid)
        Named.__init__(self, id, root)

    def __repr__(self) -> str:
        return f"AsyncContainer({self._id!r}, root={self._root!r}, pid={self._pid})"

    @classmethod
    async def create(cls, id: str, bundle: "Path", **options: "Any") -> "Self":
        """As `Container.create`, with its options. Pipes are asyncio's streams: of bytes, or of str with ``text``, ``encoding``
        or ``errors``. ``limit``: bytes of a line, as in asyncio.create_subprocess_exec; text has no such limit.

        If it is cancelled, nothing is left behind.
        """
        return await cls._make(id, bundle, options, run=False)

    @classmethod
    async def run(cls, id: str, bundle: "Path", **options: "Any") -> "Self":
        """`create` and `start`. Returns once the program runs."""
        return await cls._make(id, bundle, options, run=True)

    @classmethod
    async def _make(cls, id: str, bundle: "Path", given: "Message", run: bool) -> "Self":
        with _ends(**given) as ends:
            options = _sendable({name: value for name, value in given.items() if name not in OURS})
            request = {"call": "create", "id": id, "bundle": arguments.absolute(bundle), "options": options, "run": run}
            undo = _removal(id, options["root"])
            client = await of_loop()
            number, made, received = await client.call(request, (*ends.descriptors, *ends.kept), undo)
            container = cls(client, number, made["pid"], made["id"], made["root"])
            await container._adopt(ends, received, undo)
        return container

    @classmethod
    async def load(cls, id: str, root: "Path | None" = None) -> "Self":
        """The container with this id, whoever made it. `NotFound` if there is none."""
        return await cls._found({"call": "load", "id": id, "root": arguments.state_root(root)}, {"call": "forget"})

    @classmethod
    async def restore(cls, id: str, bundle: "Path", image_path: "Path", **options: "Any") -> "Self":
        """As `Container.restore`. If it is cancelled, nothing is left behind."""
        options = _sendable(options)
        places = {"bundle": arguments.absolute(bundle), "image_path": arguments.absolute(image_path)}
        request = {"call": "restore", "id": id, **places, "options": options}
        return await cls._found(request, _removal(id, options["root"]))

    @classmethod
    async def _found(cls, request: "Message", undo: "Message") -> "Self":
        client = await of_loop()
        number, made, _ = await client.call(request, undo=undo)
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
        text: bool = False,
        encoding: "str | None" = None,
        errors: "str | None" = None,
        terminal: bool = False,
        limit: int = LIMIT,
        **options: "Unpack[ProgramOptions]",
    ) -> AsyncProcess:
        """Start another program in the container; returns once it runs. If it is cancelled, the program is killed.

        The parameters are those of `Container.popen`, and ``limit`` of `create`.
        """
        words = arguments.words(program) if isinstance(program, (list, tuple, str, bytes)) else program
        arguments.document(words, "process")
        request = {"call": "popen", "child": self._number, "id": self._id, "root": self._root, "program": words}
        undo = {"call": "signal", "signal": int(SIGKILL)}
        streams.check_terminal(terminal, stdin, stdout, stderr)
        mode = streams.text_mode(text, encoding, errors)
        with Ends(stdin, stdout, stderr, mode, options.pop("preserve_fds", 0), limit) as ends:
            request["options"] = {**_program(options), "terminal": terminal}
            number, made, given = await self._client.call(request, (*ends.descriptors, *ends.kept), undo)
            process = AsyncProcess(self._client, number, made["pid"], made["args"])
            await process._adopt(ends, given, undo)
        return process

    async def exec(
        self,
        program: "Sequence[str] | Document",
        *,
        stdin: "Stream | str | bytes" = None,
        input: "str | bytes | None" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        capture_output: bool = False,
        timeout: "float | None" = None,
        check: bool = False,
        text: bool = False,
        encoding: "str | None" = None,
        errors: "str | None" = None,
        **options: "Unpack[ProgramOptions]",
    ) -> CompletedProcess:
        """Run another program in the container to its end. As `Container.exec`; if it is cancelled, the program is killed."""
        given, data = source(stdin, input)
        out, err = captured(capture_output, stdout, stderr)
        started = self.popen(
            program, stdin=given, stdout=out, stderr=err, text=text, encoding=encoding, errors=errors, **options
        )
        async with await started as process:
            try:
                first, second = await process.communicate(data, timeout)
            except TimeoutExpired as error:
                raise TimeoutExpired(process.args, error.timeout, error.output, error.stderr) from None
            status = await process.wait()
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
        arguments.document(resources, "resources")
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
        places = {name: arguments.absolute(options[name]) for name in PATHS if options.get(name) is not None}
        await self._verb("checkpoint", arguments.absolute(image_path), **{**options, **places})

    async def events(self, interval: float = 5.0) -> "AsyncIterator[Event]":
        """As `Container.events`."""
        request = {"call": "events", "child": self._number, "id": self._id, "root": self._root, "interval": interval}
        client = self._client
        client.check_loop()
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
        if event is None:
            raise OcirunError(GONE)
        if "error" in event["end"]:
            raise unpacked(event["end"]["error"])

    async def __aenter__(self) -> "Self":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()
        await self.delete(force=True)


# Options of create that stay on this side; the worker gets descriptors.
OURS = ("stdio", "stdin", "stdout", "stderr", "text", "encoding", "errors", "preserve_fds", "limit")
PATHS = ("console_socket", "pid_file", "work_path")


def _ends(
    *,
    stdio: "tuple[int, int, int] | None" = None,
    stdin: "Stream" = None,
    stdout: "Stream" = None,
    stderr: "Stream" = None,
    text: bool = False,
    encoding: "str | None" = None,
    errors: "str | None" = None,
    preserve_fds: "Kept" = 0,
    limit: int = LIMIT,
    terminal: "bool | None" = None,
    **_: "Any",
) -> Ends:
    """The streams that the options of create ask for. Raises OcirunError."""
    streams.check_terminal(terminal, stdin, stdout, stderr)
    first, second, third = streams.checked(stdio) if stdio else (stdin, stdout, stderr)
    return Ends(first, second, third, streams.text_mode(text, encoding, errors), preserve_fds, limit)


def _removal(id: str, root: str) -> "Message":
    """The request that undoes the making of a container."""
    return {"call": "delete", "id": id, "root": root, "options": {"force": True}}


def _sendable(options: "Message") -> "Message":
    """The options of create and restore for the worker, with "root". InvalidConfig for a config that is no JSON."""
    found = {**options, "root": arguments.state_root(options.get("root"))}
    for name in PATHS:
        if found.get(name) is not None:
            found[name] = arguments.absolute(found[name])
    if found.get("args") is not None:
        found["args"] = arguments.words(found["args"])
    config = found.get("config")
    if config is not None:
        found["config"] = arguments.absolute(config) if arguments.is_path(config) else config
    for name, value in found.items():
        arguments.document(value, name)
    return found


def _program(options: "ProgramOptions") -> "Message":
    """The options of a program for the worker."""
    found: Message = dict(options)
    for name, kind in (("env", dict), ("additional_gids", list), ("capabilities", list), ("cwd", os.fspath)):
        if name in found:
            found[name] = kind(found[name])
    arguments.document(found, "options")
    return found
