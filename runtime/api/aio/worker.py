"""The process that makes the calls of `runtime.api.aio`, so that the caller's event loop never waits for the kernel.

A call has a thread of its own here, since a hook or another process's lock may keep it for long; the ends of containers and
programs, which are children of this process, are waited for in one place, by pidfd. It ends when its socket is closed: the
containers go on, as those of any process that has ended.
"""

import os
import select
import signal
import socket
import sys
import threading
import warnings

from runtime.api.aio import link
from runtime.api.arguments import OcirunWarning
from runtime.api.container import Container
from runtime.api.streams import NAMES
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.api.aio.link import Message
    from runtime.api.child import Child

CALLS = ("start", "kill", "delete", "pause", "resume", "update", "stats", "processes", "verify", "checkpoint", "state")


class Worker:
    """Serves one socket."""

    def __init__(self, end: socket.socket) -> None:
        self.channel = link.Channel(end)
        self.lock = threading.Lock()  # for the channel, and for what follows
        self.children: dict[int, Child] = {}  # by the number of the request that made it
        self.watched: dict[int, tuple[int, Child]] = {}  # pidfd → that number, and the same
        self.threads: set[threading.Thread] = set()  # of calls that have an end of their own
        self.stopped: set[int] = set()  # events that nobody wants any more
        self.poll = select.epoll()
        self.poll.register(end, select.EPOLLIN)

    def serve(self) -> None:
        """Until the socket is closed."""
        while True:
            for descriptor, events in self.poll.poll():
                if descriptor in self.watched:
                    self.ended(descriptor)
                    continue
                if events & select.EPOLLOUT:
                    self.send()
                if events & ~select.EPOLLOUT:
                    messages = self.channel.receive()
                    if messages is None:
                        return
                    for message in messages:
                        self.take(message)

    def take(self, message: "Message") -> None:
        """Begin a call."""
        if message["call"] == "stop":
            self.stopped.add(message["child"])
            return
        thread = threading.Thread(target=self.answer, args=(message,), daemon=True)
        if message["call"] != "events":
            self.threads = {one for one in self.threads if one.is_alive()} | {thread}
        thread.start()

    def finish(self) -> None:
        """The caller is gone: finish what was begun. What it will never hear of is undone."""
        for thread in self.threads:
            thread.join()

    def send(self, message: "Message | None" = None, descriptors: "tuple[int, ...]" = ()) -> bool:
        """Send, or go on sending when the socket takes more. False if nobody is there."""
        with self.lock:
            try:
                if message is not None:
                    self.channel.put(message, descriptors)
                done = self.channel.flush()
            except OSError:
                return False
            self.poll.modify(self.channel.socket, select.EPOLLIN | (0 if done else select.EPOLLOUT))
        return True

    def answer(self, message: "Message") -> None:
        """One call, in its thread."""
        number = message["number"]
        told: list[str] = []
        reply: Message = {"reply": number}
        given: tuple[int, ...] = ()
        result: Any = None
        heard.listener = told.append
        try:
            call: Callable[[int, Message], Any] = getattr(self, f"do_{message['call']}", self.do_verb)
            result = call(number, message)
            if isinstance(result, Made):
                result, given = result.members, result.descriptors
            reply["result"], reply["count"] = result, len(given)
        except (OcirunError, TypeError) as error:
            reply["error"] = link.packed(error)
        except Exception as error:
            reply["error"] = link.packed(OcirunError(f"{message['call']}: {type(error).__name__}: {error}"))
        finally:
            for descriptor in message["descriptors"]:
                os.close(descriptor)
        if message.get("last"):
            self.do_forget(number, message)
        reply["warnings"] = told
        if not self.send(reply, given) and message["call"] in ("create", "popen") and "result" in reply:
            self.undo(self.children[number])

    def undo(self, child: "Child") -> None:
        """Remove what nobody will ever know of."""
        try:
            child._remove() if isinstance(child, Container) else child._finish()  # type: ignore[attr-defined]
        except OcirunError:
            pass  # there is nobody to tell

    def container(self, message: "Message") -> Container:
        """The container that a call is about: one made here, or any."""
        child = self.children.get(message["child"])
        return child if isinstance(child, Container) else Container.load(message["id"], message["root"])

    def do_create(self, number: int, message: "Message") -> "Made":
        """create and run; the streams are the message's descriptors."""
        make = Container.run if message["run"] else Container.create
        container = make(message["id"], message["bundle"], **streams_of(message), **message["options"])
        return self.made(number, container, {"id": container.id, "root": container.root})

    def do_restore(self, number: int, message: "Message") -> "Made":
        """restore."""
        container = Container.restore(message["id"], message["bundle"], message["image_path"], **message["options"])
        return self.made(number, container, {"id": container.id, "root": container.root})

    def do_load(self, number: int, message: "Message") -> "Made":
        """load."""
        container = Container.load(message["id"], message["root"])
        with self.lock:  # the one made here knows the exit status, which is told once
            known = [one for one in self.children.values() if isinstance(one, Container) and one.pid == container.pid]
        container = next((one for one in known if (one.id, one.root) == (container.id, container.root)), container)
        return self.made(number, container, {"id": container.id, "root": container.root})

    def do_popen(self, number: int, message: "Message") -> "Made":
        """popen; the streams are the message's descriptors."""
        process = self.container(message).popen(message["program"], **streams_of(message), **message["options"])
        return self.made(number, process, {"args": list(process.args)})

    def made(self, number: int, child: "Child", members: "Message") -> "Made":
        """Watch it. Its terminal goes to the caller."""
        given = (os.dup(child._terminal.fd),) if child._terminal else ()
        if child._terminal:
            child._terminal.close()
        with self.lock:
            self.children[number] = child
            try:
                descriptor = child.pidfd()
                self.watched[descriptor] = number, child
                self.poll.register(descriptor, select.EPOLLIN)
            except OcirunError:  # it has ended, and is not ours
                members["ended"] = True
        return Made({**members, "pid": child.pid}, given)

    def ended(self, descriptor: int) -> None:
        """A child has ended: tell its status."""
        with self.lock:
            number, child = self.watched.pop(descriptor)
            self.poll.unregister(descriptor)
        os.close(descriptor)
        try:
            status = child.poll()
        except OcirunError:
            status = None
        self.send({"ended": number, "status": status})

    def do_forget(self, number: int, message: "Message") -> None:  # noqa: ARG002 - the signature of a call
        """The caller's object is gone."""
        with self.lock:
            self.children.pop(message["child"], None)

    def do_signal(self, number: int, message: "Message") -> None:  # noqa: ARG002
        """A signal to a program of exec."""
        child = self.children.get(message["child"])
        if child is not None and not isinstance(child, Container):
            child.send_signal(message["signal"])  # type: ignore[attr-defined]  # a Process

    def do_events(self, number: int, message: "Message") -> None:
        """Each event is a message, until the container ends or the caller wants no more."""
        for event in self.container(message).events(message["interval"]):
            if number in self.stopped:
                return
            self.send({"event": event, "of": number})

    def do_report(self, number: int, message: "Message") -> "Any":  # noqa: ARG002
        """A function of `runtime.api.reports`."""
        from runtime.api import reports

        function: Callable[..., Any] = getattr(reports, message["name"])
        result = function(*message["arguments"], **message["options"])
        return [problem.as_dict() for problem in result] if message["name"] == "validate" else result

    def do_verb(self, number: int, message: "Message") -> "Any":  # noqa: ARG002
        """A method of `Container`."""
        name = message["call"]
        if name not in CALLS:
            raise OcirunError(f"the worker has no call {name!r}")
        return getattr(self.container(message), name)(*message["arguments"], **message["options"])


def streams_of(message: "Message") -> "Message":
    """The descriptors that came with it, as options. OcirunError if not all have come."""
    descriptors = message["descriptors"]
    if len(descriptors) < message["count"]:
        raise OcirunError("the worker of runtime.api.aio has no more descriptors; raise the limit (RLIMIT_NOFILE)")
    return {**dict(zip(NAMES, descriptors, strict=False)), "preserve_fds": descriptors[len(NAMES) :]}


class Made:
    """A result with descriptors."""

    def __init__(self, members: "Message", descriptors: "tuple[int, ...]") -> None:
        self.members = members
        self.descriptors = descriptors


heard = threading.local()


def show(message: "Warning | str", category: type, *_: "Any", **__: "Any") -> None:
    """In the place of warnings.showwarning: the caller's process warns."""
    listener = getattr(heard, "listener", None)
    if listener and issubclass(category, OcirunWarning):
        listener(str(message))


def main() -> None:
    """``descriptor``: of the socket, the last argument."""
    for number in (signal.SIGINT, signal.SIGQUIT):  # a terminal's keys are for the caller
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    warnings.simplefilter("always")
    warnings.showwarning = show
    end = socket.socket(fileno=int(sys.argv[-1]))
    end.setblocking(False)
    os.set_inheritable(end.fileno(), False)
    worker = Worker(end)
    worker.serve()
    worker.finish()
    os._exit(0)
