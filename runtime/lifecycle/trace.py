"""--trace FILE: when each operation started and ended, as JSON lines; and the lines of --debug. Cold."""

from runtime.errors import system_failure
from runtime.lifecycle.document import dumps
from runtime.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.shim import Report


def write(path: str, operations: "Sequence[ops.Operation]", reports: "Sequence[Report]") -> None:
    """Write one line per operation: index, op, start_ns and end_ns (CLOCK_MONOTONIC), errno (0: done)."""
    rows = [
        {
            "index": r.index,
            "op": ops.TABLE[operations[r.index][0]][0],
            "start_ns": r.start,
            "end_ns": r.end,
            "errno": r.error,
        }
        for r in reports
    ]
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(dumps(row) + "\n" for row in rows)
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
