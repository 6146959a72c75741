"""An event loop's side of the link to its worker: starting it, calls, and what it tells by itself."""

import asyncio
import atexit
import os
import socket
import subprocess
import sys
import weakref

from runtime.api import arguments
from runtime.api.aio import link
from runtime.api.aio.waiting import ended
from runtime.api.command import interpreter
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from typing import Any

    from runtime.api.aio.link import Message

ELSEWHERE = "this object belongs to another event loop; AsyncContainer.load finds the container in this one"
GONE = "the worker of runtime.api.aio has ended; the containers go on, and AsyncContainer.load finds them"
PATIENCE = 30  # seconds in which a worker finishes what it has begun


class Client:
    """The worker of one event loop. Made by `of_loop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise system_failure("make a socket to the worker", error) from None
        ours.setblocking(False)
        with theirs:
            try:
                command = [*interpreter("runtime.api.aio.worker"), str(theirs.fileno())]
                self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], process_group=0)
            except BaseException as error:
                ours.close()
                if isinstance(error, OSError):
                    raise OcirunError(f"start {sys.executable}: {(error.strerror or '').lower()}") from None
                raise
        self.channel = link.Channel(ours)
        self.number = 0
        self.calls: dict[int, asyncio.Future[Message]] = {}
        self.undoing: dict[int, Message] = {}  # what undoes a call that is cancelled
        self.ends: dict[int, asyncio.Future[int | None]] = {}
        self.events: dict[int, asyncio.Queue[Message | None]] = {}
        self.open = True
        self.owner = os.getpid()
        loop.add_reader(ours, self.receive)
        self.life = self.lifetime()

    async def lifetime(self) -> "AsyncGenerator[None, None]":
        """Closes the client when the loop shuts down its asynchronous generators, as `asyncio.run` does."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Let the worker finish, and reap it."""
        self.lose()
        try:
            if not await ended(self.process, PATIENCE):
                self.process.kill()
        finally:
            self.process.wait()

    def abandon(self, timeout: float) -> bool:
        """The loop was closed without shutting down its generators: let the worker finish. True once it is reaped.

        After ``timeout`` seconds above 0 it is killed.
        """
        if self.owner != os.getpid():  # a process that was forked has a copy, and no say
            return True
        self.open = False
        self.channel.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            if not timeout:
                return False
            self.process.kill()
            self.process.wait()
        return True

    def lose(self) -> None:
        """No more messages will come."""
        if not self.open:
            return
        self.open = False
        self.loop.remove_reader(self.channel.socket)
        self.loop.remove_writer(self.channel.socket)
        self.channel.close()
        waiting: list[asyncio.Future[Any]] = [*self.calls.values(), *self.ends.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(OcirunError(GONE))
                future.exception()  # retrieved: who does not wait for it need not hear of it
        for queue in self.events.values():
            queue.put_nowait(None)

    def put(self, message: "Message", descriptors: "Sequence[int]" = ()) -> int:
        """Send a request; what the socket does not take now follows when it does. Returns its number."""
        if not self.open:
            raise OcirunError(GONE)
        self.number += 1
        request = {
            "child": 0,
            "arguments": [],
            "options": {},
            **message,
            "number": self.number,
            "count": len(descriptors),
        }
        if len(descriptors) > link.DESCRIPTORS:
            raise OcirunError(
                f"preserve_fds: with asyncio a program can have at most {link.DESCRIPTORS - 3} more descriptors, as many"
                " as one message can have"
            )
        given = duplicates(descriptors)
        try:
            self.channel.put(request, given)
        except OSError:
            self.lose()
            raise OcirunError(GONE) from None
        self.watch_writing()
        return self.number

    def watch_writing(self) -> None:
        """Go on sending when the socket takes more."""
        try:
            if self.channel.flush():
                self.loop.remove_writer(self.channel.socket)
            else:
                self.loop.add_writer(self.channel.socket, self.watch_writing)
        except OSError:
            self.lose()

    async def call(
        self, message: "Message", descriptors: "Sequence[int]" = (), undo: "Message | None" = None
    ) -> "tuple[int, Any, list[int]]":
        """The request's number, its result and the descriptors that came with it. Raises OcirunError.

        ``undo``: the request that undoes it, if this is cancelled.
        """
        self.check_loop()
        number = self.put(message, descriptors)
        future = self.calls[number] = self.loop.create_future()
        if undo:
            self.undoing[number] = undo
        try:
            reply = await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.reply(number, future.result())
            raise  # otherwise its reply is to come, or came after the cancel
        finally:
            self.calls.pop(number, None)
        self.undoing.pop(number, None)
        for text in reply["warnings"]:
            arguments.warn(text)
        if "error" in reply:
            raise link.unpacked(reply["error"])
        return number, reply["result"], reply["descriptors"]

    def receive(self) -> None:
        """The socket is readable."""
        messages = self.channel.receive()
        if messages is None:
            self.lose()
            return
        for message in messages:
            self.take(message)

    def take(self, message: "Message") -> None:
        """One message of the worker."""
        if "ended" in message:
            if message["ended"] in self.ends or message["ended"] in self.calls:  # otherwise it was cancelled
                self.end(message["ended"]).set_result(message["status"])
        elif "event" in message:
            if message["of"] in self.events:
                self.events[message["of"]].put_nowait(message["event"])
        elif message["reply"] in self.events:
            self.events[message["reply"]].put_nowait({"end": message})
        else:
            self.reply(message["reply"], message)

    def reply(self, number: int, message: "Message") -> None:
        """The answer to a call, which may have been given up meanwhile; then it is undone, if there is anything to undo."""
        future = self.calls.get(number)
        if future and not future.done():
            future.set_result(message)
            return
        for descriptor in message["descriptors"]:
            os.close(descriptor)
        self.ends.pop(number, None)
        undo = self.undoing.pop(number, None)
        if undo and "result" in message:
            self.undo(number, undo)

    def undo(self, number: int, undo: "Message") -> None:
        """Send the request that undoes request ``number``. Without a worker nothing can be undone."""
        if self.open:
            self.put({**undo, "child": number, "last": True})

    def check_loop(self) -> None:
        """OcirunError in another event loop, where nothing of this one can be awaited."""
        if asyncio.get_running_loop() is not self.loop:
            raise OcirunError(ELSEWHERE)

    def end(self, number: int) -> "asyncio.Future[int | None]":
        """The future end of the child that request ``number`` made. Its message may come before whoever asked goes on."""
        if number not in self.ends:
            self.ends[number] = self.loop.create_future()
        return self.ends[number]

    def forget(self, number: int) -> None:
        """Nobody has the child of request ``number`` any more."""
        self.ends.pop(number, None)
        if self.open:
            self.put({"call": "forget", "child": number})

    def on_loss(self, owner: object, number: int) -> None:
        """Forget the child once ``owner`` is collected, in whichever thread."""
        weakref.finalize(owner, _later, self.loop, self.forget, number).atexit = False


def duplicates(descriptors: "Sequence[int]") -> "list[int]":
    """Descriptors of the same files, for a message. OcirunError when there are no more to be had."""
    made: list[int] = []
    try:
        for descriptor in descriptors:
            made.append(os.dup(descriptor))
    except OSError as error:
        for descriptor in made:
            os.close(descriptor)
        raise system_failure("send a descriptor to the worker", error) from None
    return made


def _later(loop: asyncio.AbstractEventLoop, act: "Callable[[int], None]", number: int) -> None:
    try:
        loop.call_soon_threadsafe(act, number)
    except RuntimeError:
        pass  # the loop is closed


_clients: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Client]" = weakref.WeakKeyDictionary()


async def of_loop() -> Client:
    """The client of the running loop. The first call starts the worker, which takes about a millisecond of the loop's time."""
    loop = asyncio.get_running_loop()
    _abandon_closed()
    client = _clients.get(loop)
    if client is None or not client.open:
        client = _clients[loop] = Client(loop)
        await anext(client.life)
    return client


def _abandon_closed() -> None:
    """End the workers of loops that were closed early."""
    for loop, client in list(_clients.items()):
        if loop.is_closed() and client.abandon(0):
            _clients.pop(loop, None)


def _abandon_all() -> None:
    """At the end of the program: no worker is left to itself."""
    for client in list(_clients.values()):
        client.abandon(PATIENCE)


atexit.register(_abandon_all)
