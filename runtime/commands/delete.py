"""``ocirun delete ID``: remove a container and everything that was made for it."""

from runtime.lifecycle.delete import delete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    (("--force", "-f"), None, "force", "kill a container that is not stopped; none of that id is no error"),
    (
        ("--regex", "-r"),
        None,
        "regex",
        "the id is a regular expression: delete every container that it matches as a whole",
    ),
)
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    force = call.options.get("force", False)
    if not call.options.get("regex"):
        delete(call.root, call.operands[0], force, call.warn, interruptible=True)
        return 0
    from runtime.commands.matching import for_each

    return for_each(call, call.operands[0], lambda each: delete(call.root, each, force, call.warn, interruptible=True))
