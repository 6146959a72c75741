"""The command line of ``ocirun delete ID``: remove a container and everything made for it."""

from runtime.lifecycle.delete import delete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    (("--force", "-f"), None, "force", "kill the container first if it is not stopped; ignore a missing one"),
    (
        ("--regex", "-r"),
        None,
        "regex",
        "delete every container whose whole id matches the regular expression CONTAINER",
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
