"""zstd by the program zstd(1): Python has it only from 3.14 on, and few machines lack the program."""

import posix
import select

from runtime.images.errors import BadImage
from runtime.process.id_tools import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WINDOW = "--memory=128MB"  # what RFC 8878 and Go's reader allow
_PIECE = 1 << 16


class _Program:
    """A running zstd. ``into`` and ``out``: its standard input and output, -1 when closed."""

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        theirs_in, self.into = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self.out, theirs_out = posix.pipe2(posix.O_CLOEXEC)
        posix.set_blocking(theirs_in, True)
        null = posix.open("/dev/null", posix.O_WRONLY | posix.O_CLOEXEC)
        actions = [(posix.POSIX_SPAWN_DUP2, theirs_in, 0), (posix.POSIX_SPAWN_DUP2, theirs_out, 1)]
        actions.append((posix.POSIX_SPAWN_DUP2, null, 2))
        try:
            self.pid = posix.posix_spawn(path, ["zstd", "-dcq", _WINDOW], {}, file_actions=actions)
        finally:
            for descriptor in (theirs_in, theirs_out, null):
                posix.close(descriptor)

    def close_input(self) -> None:
        if self.into >= 0:
            posix.close(self.into)
            self.into = -1

    def exchange(self, waiting: bytes) -> "tuple[bytes, bytes | None]":
        """What of ``waiting`` it did not take, and what it gave: b"" for nothing yet, None for no more."""
        poll = select.poll()
        poll.register(self.out, select.POLLIN)
        if waiting and self.into >= 0:
            poll.register(self.into, select.POLLOUT)
        for descriptor, _ in poll.poll():
            if descriptor == self.out:
                return waiting, posix.read(self.out, _PIECE) or None
            try:
                return waiting[posix.write(self.into, waiting) :], b""
            except BrokenPipeError:  # it has found an error, which its status tells
                self.close_input()
        return waiting if self.into >= 0 else b"", b""

    def end(self) -> int:
        """Its exit status."""
        self.close_input()
        posix.close(self.out)
        return posix.waitstatus_to_exitcode(posix.waitpid(self.pid, 0)[1])


def decompress(pieces: "Iterator[bytes]", name: str) -> "Iterator[bytes]":
    """The decompressed bytes. BadImage if it is damaged, or the program is missing."""
    path = find("zstd")
    if path is None:
        raise BadImage(
            f"{name} is compressed with zstd, and the program zstd is not installed: install the package zstd"
        )
    program = _Program(path, name)
    status: int | None = None
    try:
        waiting, more = b"", True
        while True:
            if not waiting and more:
                waiting = next(pieces, b"")
                more = bool(waiting)
                if not more:
                    program.close_input()
            waiting, made = program.exchange(waiting)
            if made is None:
                break
            if made:
                yield made
        status = program.end()
        for _ in pieces:  # to the blob's end, where its digest is verified
            pass
    finally:
        if status is None:
            program.end()
    if status or waiting:
        raise BadImage(f"{name} is not whole zstd data")
