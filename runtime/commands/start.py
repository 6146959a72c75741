"""``ocirun start ID``: run the program of a created container."""

from runtime.lifecycle.start import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = ()
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    start(call.root, call.operands[0], call.warn, interruptible=True)
    return 0
