"""How a program ended, and which error a class of errors is: the names of programs' ends are those of `subprocess`."""

from runtime.errors import Interrupted, InvalidConfig, NotFound, OcirunError, WrongState
from runtime.images.errors import BadImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# By their codes (docs/errors.md), as other processes tell them.
ERRORS = {one.code: one for one in (OcirunError, NotFound, InvalidConfig, WrongState, Interrupted, BadImage)}


class TimeoutExpired(OcirunError):
    """What was waited for did not end in time. ``output`` (also ``stdout``) and ``stderr``: what was read until then."""

    code = "timeout"

    def __init__(self, cmd: "str | Sequence[str]", timeout: float, output: "Any" = None, stderr: "Any" = None) -> None:
        words = cmd if isinstance(cmd, str) else " ".join(cmd)
        super().__init__(f"{words}: did not end within {timeout:g} seconds")
        self.cmd = cmd
        self.timeout = timeout
        self.output = output
        self.stderr = stderr

    @property
    def stdout(self) -> "Any":
        """The same as ``output``."""
        return self.output


class CalledProcessError(OcirunError):
    """A program ended with a status other than 0, and ``check`` was asked for."""

    code = "exit-status"

    def __init__(self, returncode: int, cmd: "Sequence[str]", output: "Any" = None, stderr: "Any" = None) -> None:
        super().__init__(f"{' '.join(cmd)}: ended with status {returncode}")
        self.returncode = returncode
        self.cmd = cmd
        self.output = output
        self.stderr = stderr

    @property
    def stdout(self) -> "Any":
        """The same as ``output``."""
        return self.output


class CompletedProcess:
    """A program that has ended. ``returncode``: its exit status, 128 + N for a signal.

    ``stdout`` and ``stderr``: bytes, or str with ``text``; None where they were not captured.
    """

    def __init__(self, args: "Sequence[str]", returncode: int, stdout: "Any" = None, stderr: "Any" = None) -> None:
        self.args = args
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        shown = f"args={self.args!r}, returncode={self.returncode!r}"
        shown += f", stdout={self.stdout!r}" if self.stdout is not None else ""
        return f"CompletedProcess({shown}{f', stderr={self.stderr!r}' if self.stderr is not None else ''})"

    def check_returncode(self) -> None:
        """CalledProcessError unless it is 0."""
        if self.returncode:
            raise CalledProcessError(self.returncode, self.args, self.stdout, self.stderr)
