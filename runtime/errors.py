"""The errors that ocirun raises, and how each is worded.

A message is lower case without a full stop: what was tried, then what the system said, then what to do where that is
known. The place in config.json is kept apart, as an RFC 6901 pointer and a line, and put in front by ``str()``. No
catch-all error: what is none of the subclasses is a failure of the system underneath. Hot: imports only builtins.
"""

import posix


class OcirunError(Exception):
    """An operation failed; nothing else happened that the message does not say.

    ``message`` is the words without the place; ``pointer`` and ``line`` name the place in config.json (line counts
    from 1); ``errno`` is the system's number where a system call failed.
    """

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
        place = "config.json" if self.line is None else f"config.json:{self.line}"
        return f"{place}: {self.pointer}: {self.message}" if self.pointer else f"{place}: {self.message}"


class NotFound(OcirunError):
    """There is no container of this id."""


class WrongState(OcirunError):
    """The container exists, but its state does not allow the operation (runtime-spec, runtime.md "Operations")."""


class InvalidConfig(OcirunError):
    """config.json, or a process document, asks for something that is wrong or not supported; nothing was made."""


class Interrupted(OcirunError):
    """A signal has asked a command to end, while a hook was running."""


def system_words(number: int) -> str:
    """What the system says for errno ``number``; lower case, as the managers match it ("no such file or directory")."""
    return posix.strerror(number).lower()


def system_failure(tried: str, error: OSError, pointer: str | None = None) -> OcirunError:
    """The error for a system call that failed: ``tried`` says what was done and to what ("open /run/x")."""
    number = error.errno or 0
    return OcirunError(f"{tried}: {system_words(number)}", pointer, None, number)
