"""A command of ocirun in a process of its own. What it writes goes to files in memory, so nobody has to read while it runs."""

import posix

from runtime.api import arguments
from runtime.api.outcome import ERRORS
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from subprocess import Popen
    from typing import Any, Self

START = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); importlib.import_module(sys.argv[2]).main()"
)
FILES = ("log", "stdout", "stderr")
NOT_PYTHON = "sys.executable names no program; set it to a Python interpreter"


def interpreter(module: str) -> "list[str]":
    """The words that run ``main`` of a module in another process; its own arguments follow. OcirunError without an interpreter."""
    import json
    import sys

    if not sys.executable:
        raise OcirunError(f"start Python: {NOT_PYTHON}")
    return [sys.executable, "-I", "-c", START, json.dumps(sys.path), module]


class Command:
    """One that runs. A context manager, at whose end it has ended: it is asked to, and cleans up first.

    It leads a process group, so that a terminal's keys do not reach it: the caller decides what they mean. ``words``: those of
    the command line after the global options.
    """

    def __init__(self, words: "Sequence[str]") -> None:
        import subprocess
        import sys

        self.name = " ".join(words[:2])
        self.asked = False  # to end
        self.files: dict[str, int] = {}
        self.process: Popen[Any]
        try:
            for name in FILES:
                self.files[name] = posix.memfd_create(f"ocirun-{name}", posix.MFD_CLOEXEC)
            log = self.files["log"]
            self.process = subprocess.Popen(
                [*interpreter(__name__), str(log), *words],
                stdin=subprocess.DEVNULL,
                stdout=self.files["stdout"],
                stderr=self.files["stderr"],
                pass_fds=[log],
                process_group=0,
            )
        except BaseException as error:
            self._close()
            if isinstance(error, OSError):
                raise OcirunError(f"{self.name}: start {sys.executable}: {(error.strerror or '').lower()}") from None
            raise

    def end(self) -> None:
        """Ask it to end; kill it when it is asked again."""
        from signal import SIGKILL, SIGTERM

        if self.process.returncode is None:
            try:
                posix.killpg(self.process.pid, SIGKILL if self.asked else SIGTERM)  # not reaped: the pid is its own
            except ProcessLookupError:
                pass  # it has ended, and the kernel has reaped it
        self.asked = True

    def wait(self) -> None:
        """Wait for its end, and reap it."""
        self.process.wait()

    def result(self) -> str:
        """What it has printed, once it has ended. Its warnings become ours, its error an OcirunError."""
        import json

        told = [json.loads(line) for line in self._read("log").splitlines()]
        for one in told:
            if one.get("level") == "warning":
                arguments.warn(one["msg"])
        errors = [one for one in told if one.get("level") == "error"]
        if errors:
            raise _failure(errors[-1])
        if told[-1:] != [{"done": True}]:
            raise OcirunError(f"{self.name}: {self._end()}")
        return self._read("stdout")

    def _end(self) -> str:
        """How it ended without a word of its own."""
        lines = self._read("stderr").strip().splitlines()
        status = self.process.returncode or 0
        if status < 0:
            from runtime.plan.failures import signal_words

            how = f"its process was {signal_words(-status)}"
        else:
            how = "its process ended before it was done"
        return f"{how}: {lines[-1]}" if lines else how

    def _read(self, name: str) -> str:
        descriptor = self.files[name]
        return posix.pread(descriptor, posix.fstat(descriptor).st_size, 0).decode("utf-8", "surrogateescape")

    def _close(self) -> None:
        for descriptor in self.files.values():
            posix.close(descriptor)
        self.files = {}

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process.poll() is None:
                self.end()
                self.wait()
        except BaseException:  # interrupted again
            self.end()
            self.wait()
            raise
        finally:
            self._close()


def _failure(told: "Mapping[str, str]") -> OcirunError:
    """``told``: the error's line in the log."""
    import errno

    number = getattr(errno, told.get("errno", ""), None)
    return ERRORS.get(told.get("code", ""), OcirunError)(told["msg"], told.get("pointer"), None, number)


def main() -> None:
    """In the new process: descriptor of the log, and the command's words are the last arguments."""
    import json
    import os
    import signal
    import sys

    from runtime import cli

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # KeyboardInterrupt: the command cleans up
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    log, words = int(sys.argv[3]), sys.argv[4:]
    status = cli.main([f"--log=/proc/self/fd/{log}", "--log-format=json", *words])
    if not status:
        os.lseek(log, 0, os.SEEK_END)
        os.write(log, json.dumps({"done": True}).encode())  # where SIGCHLD is ignored, nobody learns the exit status
    os._exit(status)
