"""The standard streams of a program: where they come from, and pipes to them. The constants are those of `subprocess`."""

import errno
import fcntl
import posix
import select
import time

from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO, Any, Self

    Stream = int | IO[Any] | None
    Kept = int | Sequence[int | IO[Any]]  # how many from 3 on, or which

PIPE, STDOUT, DEVNULL = -1, -2, -3
SPARE = 24  # descriptors that making a container, and undoing it, need at most at a time
NAMES = ("stdin", "stdout", "stderr")
FIRST_KEPT = 3
CHUNK = 1 << 16


def checked(stdio: "tuple[int, int, int] | None") -> "tuple[int, int, int]":
    """The three descriptors, which must be open: a closed one could become a file of ours, and reach the program."""
    first, second, third = stdio or (0, 1, 2)
    for descriptor in (first, second, third):
        try:
            posix.fstat(descriptor)
        except OSError:
            raise OcirunError(f"stdio: descriptor {descriptor} is not open") from None
    return first, second, third


def require_spare() -> None:
    """OcirunError unless there are as many descriptors as a failure needs, too: without them nothing could be undone."""
    held: list[int] = []
    try:
        for _ in range(SPARE):
            held.append(posix.open("/", posix.O_PATH | posix.O_CLOEXEC))
    except OSError as error:
        failure = system_failure(f"open {SPARE} descriptors", error)
        failure.message += "; close some, or raise the limit (RLIMIT_NOFILE)"
        raise failure from None
    finally:
        for descriptor in held:
            posix.close(descriptor)


class Streams:
    """The program's ends, as long as it is started, and ours. A context manager: the program's ends are closed at its end.

    ``mode``: how ours are opened: {} for bytes, or encoding and errors for text. ``kept``: of the descriptors that the
    program has from 3 on, in this order.
    """

    def __init__(
        self, stdin: "Stream", stdout: "Stream", stderr: "Stream", mode: "dict[str, str]", preserve_fds: "Kept" = 0
    ) -> None:
        self.mode = mode
        self.theirs: list[int] = []  # those to close
        self.ours: dict[str, int] = {}
        ends: list[int] = []
        try:
            for number, given in enumerate((stdin, stdout, stderr)):
                ends.append(self._end(number, given, ends))
            self.kept = self._copies(preserve_fds) if preserve_fds else []
        except OSError as error:
            self.close()
            raise system_failure("make pipes for the program", error) from None
        except BaseException:
            self.close()
            raise
        self.descriptors: tuple[int, int, int] = (ends[0], ends[1], ends[2])

    def _end(self, number: int, given: "Stream", before: "list[int]") -> int:
        if given is None:
            given = number
        elif given == PIPE:
            return self._pipe(number)
        elif given == DEVNULL:
            self.theirs.append(posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC))
            return self.theirs[-1]
        elif given == STDOUT and number == 2:
            return before[1]
        return opened(NAMES[number], given, "; DEVNULL gives the program an empty stream")

    def _copies(self, preserve_fds: "Kept") -> "list[int]":
        """Copies of the descriptors, above the numbers that they will have: on its way there none overwrites another."""
        if isinstance(preserve_fds, int) and preserve_fds < 0:
            raise OcirunError(f"preserve_fds: {preserve_fds} is no number of descriptors")
        given = range(FIRST_KEPT, FIRST_KEPT + preserve_fds) if isinstance(preserve_fds, int) else list(preserve_fds)
        found: list[int] = []
        for one in given:
            found.append(fcntl.fcntl(opened("preserve_fds", one), fcntl.F_DUPFD_CLOEXEC, FIRST_KEPT + len(given)))
            self.theirs.append(found[-1])
        return found

    def _pipe(self, number: int) -> int:
        reading, writing = posix.pipe2(posix.O_CLOEXEC)
        theirs, ours = (reading, writing) if number == 0 else (writing, reading)
        self.theirs.append(theirs)
        self.ours[NAMES[number]] = ours
        return theirs

    def files(self) -> "dict[str, IO[Any]]":
        """Our ends as files, by name."""
        found: dict[str, IO[Any]] = {}
        for name in list(self.ours):
            kind = "w" if name == "stdin" else "r"
            descriptor = self.ours.pop(name)
            if self.mode:
                found[name] = open(descriptor, kind, encoding=self.mode["encoding"], errors=self.mode["errors"])
            else:
                found[name] = open(descriptor, f"{kind}b")
        return found

    def close(self) -> None:
        """Close what was not handed over."""
        for descriptor in (*self.theirs, *self.ours.values()):
            posix.close(descriptor)
        self.theirs, self.ours = [], {}

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def opened(name: str, given: "int | IO[Any]", remedy: str = "") -> int:
    """The descriptor of a caller's stream. OcirunError if it has none that is open."""
    try:
        descriptor = given if isinstance(given, int) else given.fileno()
    except (AttributeError, ValueError, OSError) as error:
        raise OcirunError(f"{name}: {given!r} has no descriptor that the program could get ({error})") from None
    try:
        posix.fstat(descriptor)
    except (OSError, OverflowError):
        raise OcirunError(f"{name}: descriptor {descriptor} is not open{remedy}") from None
    return descriptor


def text_mode(text: bool, encoding: "str | None", errors: "str | None") -> "dict[str, str]":
    """How streams are opened: {} for bytes. OcirunError for what Python does not know: once the program runs it is too late."""
    if not (text or encoding or errors):
        return {}
    import codecs

    mode = {"encoding": encoding or "utf-8", "errors": errors or "strict"}
    for (name, value), look_up in zip(mode.items(), (codecs.lookup, codecs.lookup_error), strict=True):
        try:
            look_up(value)
        except LookupError:
            raise OcirunError(f"{name} {value!r}: Python has none of this name") from None
    return mode


def check_terminal(terminal: "bool | None", *streams: "Stream") -> None:
    """OcirunError for a pipe beside a terminal, which is all three streams."""
    if terminal and PIPE in streams:
        raise OcirunError("terminal=True and PIPE cannot both be given: the terminal is the program's streams")


class Conversation:
    """Writing to a program's input while its output is read, so that neither waits for the other. May be continued."""

    def __init__(self, files: "dict[str, IO[Any]]", mode: "dict[str, str]") -> None:
        self.files = files
        self.mode = mode
        self.input = memoryview(b"")
        self.read: dict[str, list[bytes]] = {name: [] for name in ("stdout", "stderr") if name in files}
        self.open: dict[int, str] = {
            file.fileno(): name for name, file in files.items() if name != "stdin" and not file.closed
        }

    def give(self, text: "str | bytes | None") -> None:
        """What is to be written; then the input ends."""
        file = self.files.get("stdin")
        if file is None:
            if text:
                raise OcirunError("input: the program's stdin is not a pipe; give stdin=PIPE")
            return
        if file.closed:
            return
        try:
            file.flush()
        except BrokenPipeError:
            pass
        data = text.encode(**self.mode) if isinstance(text, str) else text or b""
        self.input = memoryview(data)
        self.open[file.fileno()] = "stdin"
        posix.set_blocking(file.fileno(), False)
        if not data:
            self._finish(file.fileno())

    def carry_on(self, timeout: "float | None") -> bool:
        """Read and write until all is closed; False after ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.open:
            poll = select.poll()
            for descriptor, name in self.open.items():
                poll.register(descriptor, select.POLLOUT if name == "stdin" else select.POLLIN)
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = poll.poll(left)
            if not ready and deadline is not None and time.monotonic() >= deadline:
                return False
            for descriptor, _ in ready:
                self._write(descriptor) if self.open[descriptor] == "stdin" else self._read(descriptor)
        return True

    def _write(self, descriptor: int) -> None:
        try:
            self.input = self.input[posix.write(descriptor, self.input[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise system_failure("write to the program", error) from None
            self.input = memoryview(b"")  # it does not read the rest
        if not self.input:
            self._finish(descriptor)

    def _read(self, descriptor: int) -> None:
        data = posix.read(descriptor, CHUNK)
        if data:
            self.read[self.open[descriptor]].append(data)
        else:
            self._finish(descriptor)

    def _finish(self, descriptor: int) -> None:
        quietly_close(self.files[self.open.pop(descriptor)])

    def result(self, name: str) -> "Any":
        """What was read: bytes or str; None if it is not a pipe."""
        if name not in self.read:
            return None
        data = b"".join(self.read[name])
        if not self.mode:
            return data
        text = data.decode(self.mode["encoding"], self.mode["errors"])
        return text.replace("\r\n", "\n").replace("\r", "\n")


def quietly_close(file: "IO[Any]") -> None:
    """Close; what was written but not read by the program is lost, as it wanted."""
    try:
        file.close()
    except BrokenPipeError:
        pass


def until(timeout: "float | None") -> "Callable[[], float | None]":
    """A function for how many seconds are left."""
    if timeout is None:
        return lambda: None
    deadline = time.monotonic() + timeout
    return lambda: max(0.0, deadline - time.monotonic())
