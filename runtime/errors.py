"""The errors that ocirun raises, and their wording.

A message is lower case without a full stop: what was tried, what the system said, and what to do if that is known. The
position in config.json is separate, an RFC 6901 pointer and a line, and ``str()`` puts it in front. An OcirunError that is
none of the subclasses is a failure of the system. Hot: imports only builtins.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec import Problem

PROGRAM = "/process/args/0"  # the pointer of an error about the program that is executed
UNEXECUTED = (PROGRAM, "/linux/seccomp")  # of errors that `runtime.lifecycle.reasons` may explain


class OcirunError(Exception):
    """An operation failed.

    ``message``: without the position. ``pointer`` and ``line``: the position in config.json, lines counted from 1.
    ``errno``: the number of a system call that failed. ``code``: the class of error, for programs (docs/errors.md).
    """

    code = "system"

    def __init__(
        self, message: str, pointer: str | None = None, line: int | None = None, errno: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.line = line
        self.errno = errno

    def __str__(self) -> str:
        if self.pointer is None and self.line is None:
            return self.message
        file = "config.json" if self.line is None else f"config.json:{self.line}"
        return f"{file}: {self.pointer}: {self.message}" if self.pointer else f"{file}: {self.message}"


class NotFound(OcirunError):
    """There is no container with this id."""

    code = "not-found"


class WrongState(OcirunError):
    """The container exists, but its state does not allow the operation (runtime-spec, runtime.md "Operations")."""

    code = "wrong-state"


class Foreign(WrongState):
    """The container is another runtime's, which alone knows how to end it."""

    def __init__(self, id: str, runtime: str) -> None:
        super().__init__(
            f'container "{id}" was created by {runtime}, under the same --root: only {runtime} can control and delete it'
        )


class InvalidConfig(OcirunError):
    """config.json, or a process document, asks for something that is wrong or not supported; nothing was made.

    ``problems``: this one and whatever else was found, errors first (`oci_spec.Problem`). From the API never empty.
    """

    code = "invalid-config"
    problems: "Sequence[Problem]" = ()


class Interrupted(OcirunError):
    """A signal asked the command to end while it waited for a hook, or for the container."""

    code = "interrupted"


def system_words(number: int) -> str:
    """The system's text for errno ``number``, in lower case, as managers match it ("no such file or directory")."""
    return posix.strerror(number).lower()


def system_failure(tried: str, error: OSError, pointer: str | None = None) -> OcirunError:
    """The error for a system call that failed. ``tried``: what was done, and to what ("open /run/x")."""
    number = error.errno or 0
    return OcirunError(f"{tried}: {system_words(number)}", pointer, None, number)
