"""``ocirun state ID``: the state document of a container."""

from runtime.cli import write
from runtime.lifecycle.document import indented
from runtime.lifecycle.state import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = ()
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    write(1, indented(query(call.root, call.operands[0], why=True)) + "\n")
    return 0
