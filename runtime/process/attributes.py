"""Scheduling, resctrl, clocks and device nodes on the host's side: what init may not do itself. Imported only for a plan that has it."""

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.plan import ops

from .host_side import write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .handshake import Handshake


def failed(operation: "ops.Operation", error: OSError) -> OcirunError:
    from runtime.plan.failures import failure

    return failure(operation, error.errno or 0, 0)


def scheduler(handshake: "Handshake", operation: "ops.Operation") -> None:
    _, _, _, numbers, _ = operation
    try:
        shim.scheduler(handshake.pid, numbers)
    except OSError as error:
        raise failed(operation, error) from None


def io_priority(handshake: "Handshake", operation: "ops.Operation") -> None:
    _, _, _, (value,), _ = operation
    try:
        shim.io_priority(handshake.pid, value)
    except OSError as error:
        raise failed(operation, error) from None


def resctrl(handshake: "Handshake", operation: "ops.Operation") -> None:
    """The group first: a task can be in a monitoring group of its own group only."""
    _, _, origin, _, (files,) = operation
    for path in files or ():
        try:
            write_file(str(path), str(handshake.pid))
        except OSError as error:
            raise system_failure(f"write {handshake.pid} to {path}", error, origin) from None


def time_offsets(handshake: "Handshake", operation: "ops.Operation") -> None:
    _, _, origin, _, (offsets,) = operation
    try:
        write_file(f"/proc/{handshake.pid}/timens_offsets", str(offsets))
    except OSError as error:
        raise system_failure("set the clock offsets", error, origin) from None


def device_tree(handshake: "Handshake", operation: "ops.Operation") -> None:
    from .trees import send_node

    send_node(handshake, operation)


PERFORM: "dict[int, Callable[[Handshake, ops.Operation], None]]" = {
    ops.OP_SCHEDULER: scheduler,
    ops.OP_IO_PRIORITY: io_priority,
    ops.OP_RESCTRL: resctrl,
    ops.OP_TIME_OFFSETS: time_offsets,
    ops.OP_DEVICE_TREE: device_tree,
}
