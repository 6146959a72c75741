"""The output of hooks: appended to a file of the host if an annotation names one, else kept to be quoted in errors.

A hook in the container writes to pipes, whose other ends init sends us. So a program of the image never gets a file of
the host, and the file's path is resolved on the host, not from the container's root.
"""

import posix
import select

from runtime.errors import system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import Record, StateDocument

KEPT = 4096  # bytes, the last ones of each stream, that an error may quote
PIPE = 65536  # bytes that a pipe holds
ANNOTATIONS = {1: "run.oci.hooks.stdout", 2: "run.oci.hooks.stderr"}  # crun's


def open_file(state: "Record | StateDocument", stream: int) -> int:
    """Open the file for the hooks' standard output (``stream`` 1) or error (2); -1 without one.

    A missing file is made with mode 0600; a relative path counts from the bundle. Raises OcirunError.
    """
    name = ANNOTATIONS[stream]
    path = (state.get("annotations") or {}).get(name)
    if path is None:
        return -1
    path = path if path.startswith("/") else f"{state['bundle']}/{path}"
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOCTTY
    try:
        descriptor = posix.open(path, flags | posix.O_NONBLOCK, 0o600)  # fails on a fifo without a reader
    except OSError as error:
        raise system_failure(f"open {path} for what hooks write", error, f"/annotations/{name}") from None
    posix.set_blocking(descriptor, True)
    return descriptor


def check(state: "Record | StateDocument") -> None:
    """Raise OcirunError if a file cannot be opened: once init goes on, the program may run before init can be stopped."""
    for stream in ANNOTATIONS:
        descriptor = open_file(state, stream)
        if descriptor >= 0:
            posix.close(descriptor)


def write_all(descriptor: int, data: bytes, stream: int) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[posix.write(descriptor, rest) :]
    except OSError as error:
        name = ANNOTATIONS[stream]
        raise system_failure("write what a hook has written", error, f"/annotations/{name}") from None


class Output:
    """The output of the hooks that one init runs, one after another. ``state`` as for `open_file`."""

    __slots__ = ("files", "index", "kept", "pipes", "state")

    def __init__(self, state: "Record | StateDocument") -> None:
        self.state = state
        self.index = -1  # the hook's operation
        self.pipes: dict[int, int] = {}  # by stream
        self.files: dict[int, int] = {}
        self.kept: dict[int, bytes] = {}

    def has(self, index: int, stream: int) -> bool:
        return index == self.index and stream in self.pipes

    def add(self, index: int, stream: int, pipe: int) -> None:
        """Take over ``pipe``, the standard output (1) or error (2) of operation ``index``."""
        if index != self.index:
            self.finish()
            self.index, self.kept = index, {}
        self.pipes[stream] = pipe
        posix.set_blocking(pipe, False)
        file = open_file(self.state, stream)
        if file >= 0:
            self.files[stream] = file

    def relay(self, channel: int) -> None:
        """Read the pipes until init sends something on ``channel``, or is gone."""
        waiting = select.poll()
        waiting.register(channel, select.POLLIN)
        for pipe in self.pipes.values():
            waiting.register(pipe, select.POLLIN)
        ready = {-1} if self.pipes else {channel}
        while channel not in ready:  # not the end of the pipes: descendants of the hook may keep them open
            ready = {descriptor for descriptor, _ in waiting.poll()}
            for stream, pipe in self.pipes.items():
                if pipe in ready and not self._take(stream, pipe):
                    waiting.unregister(pipe)

    def _take(self, stream: int, pipe: int) -> bool:
        """Read once. False at the end of the pipe."""
        try:
            data = posix.read(pipe, PIPE)
        except BlockingIOError:
            return True
        if stream in self.files:
            write_all(self.files[stream], data, stream)
        else:
            self.kept[stream] = (self.kept.get(stream, b"") + data)[-KEPT:]
        return bool(data)

    def finish(self) -> None:
        """The hook has ended: read the rest, and close everything."""
        try:
            for stream, pipe in self.pipes.items():
                self._take(stream, pipe)
        finally:
            self.close()

    def close(self) -> None:
        for descriptor in (*self.pipes.values(), *self.files.values()):
            posix.close(descriptor)
        self.pipes, self.files = {}, {}

    def said(self, index: int) -> bytes:
        """The last output of the hook of operation ``index``; b"" for another."""
        return b" ".join(self.kept[stream] for stream in sorted(self.kept)) if index == self.index else b""
