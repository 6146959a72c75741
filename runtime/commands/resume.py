"""The command line of ``ocirun resume ID``: resume the processes of a paused container."""

from runtime.lifecycle.pause import resume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call
    from runtime.commands import Option

OPTIONS: "tuple[Option, ...]" = ()
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    resume(call.root, call.operands[0])
    return 0
