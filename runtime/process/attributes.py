"""Scheduling, resctrl and clocks, on the host's side because init may not set them. Imported only for a plan that has them."""

from runtime import shim
from runtime.errors import OcirunError, system_failure

from .host_side import write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.ops import Operation

    from .handshake import Handshake


def failed(operation: "Operation", error: OSError) -> OcirunError:
    """The error, worded as if init had failed with the operation."""
    from runtime.plan.failures import failure

    return failure(operation, error.errno or 0, 0)


def scheduler(handshake: "Handshake", operation: "Operation") -> None:
    """sched_setattr(2) for init. Raises OcirunError."""
    _, _, _, numbers, _ = operation
    try:
        shim.scheduler(handshake.pid, numbers)
    except OSError as error:
        raise failed(operation, error) from None


def io_priority(handshake: "Handshake", operation: "Operation") -> None:
    """ioprio_set(2) for init. Raises OcirunError."""
    _, _, _, (value,), _ = operation
    try:
        shim.io_priority(handshake.pid, value)
    except OSError as error:
        raise failed(operation, error) from None


def resctrl(handshake: "Handshake", operation: "Operation") -> None:
    """Write init's pid to the files. The group's comes first: a monitoring group takes only tasks of its own group.

    Raises OcirunError.
    """
    _, _, origin, _, (files,) = operation
    for path in files or ():
        try:
            write_file(str(path), str(handshake.pid))
        except OSError as error:
            raise system_failure(f"write {handshake.pid} to {path}", error, origin) from None


def time_offsets(handshake: "Handshake", operation: "Operation") -> None:
    """Set the clocks of the time namespace that init's children will be in. Raises OcirunError."""
    _, _, origin, _, (offsets,) = operation
    try:
        write_file(f"/proc/{handshake.pid}/timens_offsets", str(offsets))
    except OSError as error:
        raise system_failure("set the clock offsets", error, origin) from None
