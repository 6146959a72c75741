"""The command line of ``ocirun pause ID``: suspend all processes of a container."""

from runtime.lifecycle.pause import pause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call
    from runtime.commands import Option

OPTIONS: "tuple[Option, ...]" = ()
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    pause(call.root, call.operands[0])
    return 0
