"""--trace FILE: when each operation started and ended; and the lines of --debug. Cold."""

import posix

from runtime.errors import system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.plan import ops
    from runtime.shim import Report


def write(path: str, operations: "Sequence[ops.Operation]", reports: "Sequence[Report]") -> None:
    """Write when each operation started and ended, in the form that the file's name asks for (`trace_forms.form`)."""
    from runtime.lifecycle.trace_forms import form

    text = form(path, operations, reports)
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK
    try:
        # Not by a link, which others can leave in /tmp; nor does a fifo hold us up.
        with open(posix.open(path, flags, 0o644), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as error:
        raise system_failure(f"write the trace {path}", error) from None


def teller(operations: "Sequence[ops.Operation]", debug: "Callable[[str], None]") -> "Callable[[int, int], None]":
    """A value for `Handshake.tell`: describes each operation, with its pointer and its time, to ``debug``."""
    from runtime.plan.explain import sentence

    def tell(index: int, nanoseconds: int) -> None:
        operation = operations[index]
        pointer = f"{operation[2]}: " if operation[2] else ""
        took = f" ({nanoseconds / 1e6:.3f} ms)" if nanoseconds else ""
        debug(f"{pointer}{sentence(operation)}{took}")

    return tell
