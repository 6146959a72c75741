"""A program started in a container by exec: its names are those of `subprocess.Popen`."""

import posix
from _signal import SIGKILL, SIGTERM

from runtime.api import arguments, streams
from runtime.api.child import COLLECTED, Child
from runtime.api.outcome import CompletedProcess, TimeoutExpired
from runtime.api.taken import Taken
from runtime.errors import OcirunError, system_failure
from runtime.lifecycle import exec as joining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.api.arguments import Document, ProgramOptions
    from runtime.api.streams import Stream
    from runtime.shapes import ExecOptions


class Process(Child):
    """From `Container.popen`. In a ``with`` statement it is killed and reaped at the end, if it still runs.

    It is a child of this process. Its container cannot end while it is a zombie, so wait for it.
    """

    def __init__(self, args: "Sequence[str]", pid: int) -> None:
        super().__init__(pid)
        self.args = args

    def __repr__(self) -> str:
        return f"Process(pid={self._pid}, args={self.args!r}, returncode={self._status!r})"

    def wait(self, timeout: "float | None" = None) -> int:
        """Wait for the end. Returns the exit status. `TimeoutExpired` after ``timeout`` seconds.

        `OcirunError` if something else in this process has collected it, such as a handler of SIGCHLD.
        """
        status = self._await(timeout)
        if status is None:
            raise OcirunError(f"wait for process {self._pid}: {COLLECTED}")
        return status

    def send_signal(self, signal: int) -> None:
        """Send a signal; to one that has ended, nothing."""
        if self.poll() is not None or self._over:
            return
        try:
            posix.kill(self._pid, signal)  # not reaped: the pid is still its own
        except ProcessLookupError:
            return
        except OSError as error:
            raise system_failure(f"send signal {signal} to process {self._pid}", error) from None

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(SIGKILL)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._close_streams()
        if posix.getpid() == self._owner:
            self._finish()

    def _finish(self) -> None:
        """Kill and reap, whatever was before."""
        try:
            self.kill()
            self._await(None)
        except OcirunError:
            pass  # somebody else has collected it


def launch(
    root: str,
    id: str,
    program: "Sequence[str] | Document",
    ends: "streams.Streams",
    terminal: bool,
    options: "ProgramOptions",
) -> Process:
    """Start a program in a container. Raises OcirunError; then nothing is left."""
    given: ExecOptions
    if isinstance(program, (list, tuple, str, bytes)):
        args, given = arguments.words(program), arguments.exec_options(options)
        if not args:
            raise OcirunError("exec needs a program: the list is empty")
    else:
        if options:
            raise TypeError(f"{next(iter(options))} is a member of the process document")
        given = {"document": arguments.document(program, "process"), "activation": False}
        args = []
    streams.require_spare()
    taken = Taken(terminal, given)
    given["kept"] = ends.kept
    given["tty" if terminal else "detach"] = True  # detached, nobody would take a terminal
    try:
        pid = joining.launch(root, id, args, given, arguments.warn, ends.descriptors)
    except BaseException as error:
        taken.drop()
        if isinstance(error, OcirunError):
            arguments.complete(error, from_file=False)
        raise
    process = Process(args or list(program.get("args", ())), pid)  # type: ignore[union-attr]  # a list has args
    process._take(ends, taken)
    return process


def completed(process: Process, input: "str | bytes | None", timeout: "float | None", check: bool) -> CompletedProcess:
    """Run a program to its end, as `subprocess.run`: killed after ``timeout`` seconds."""
    with process:
        try:
            stdout, stderr = process.communicate(input, timeout)
            status = process.wait()
        except TimeoutExpired as error:
            raise TimeoutExpired(process.args, error.timeout, error.output, error.stderr) from None
    result = CompletedProcess(process.args, status, stdout, stderr)
    if check:
        result.check_returncode()
    return result


def source(stdin: "Stream | str | bytes", input: "str | bytes | None") -> "tuple[Stream, str | bytes | None]":
    """stdin and input of exec: bytes or str as ``stdin`` are input, and input comes through a pipe."""
    if isinstance(stdin, (str, bytes)):
        stdin, input = None, stdin
    if input is None:
        return stdin, None
    if stdin is not None:
        raise OcirunError("stdin and input cannot both be given")
    return streams.PIPE, input


def captured(capture: bool, stdout: "Stream", stderr: "Stream") -> "tuple[Stream, Stream]":
    """Where output goes."""
    if not capture:
        return stdout, stderr
    if stdout is not None or stderr is not None:
        raise OcirunError("capture_output and stdout or stderr cannot both be given")
    return streams.PIPE, streams.PIPE
