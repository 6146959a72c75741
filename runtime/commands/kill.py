"""The command line of ``ocirun kill ID [SIGNAL]``: send a signal to a container's init, or to all of its processes."""

from runtime.lifecycle.kill import kill, parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    (("--all", "-a"), None, "all", "signal every process of the container"),
    (
        ("--regex", "-r"),
        None,
        "regex",
        "the id is a regular expression: signal every container that it matches as a whole",
    ),
)
OPERANDS = (1, 2, "CONTAINER [SIGNAL]")


def main(call: "Call") -> int:
    target, signal = (*call.operands, "TERM")[:2]
    everything = call.options.get("all", False)
    if not call.options.get("regex"):
        kill(call.root, target, signal, everything)
        return 0
    from runtime.commands.matching import for_each

    parse_signal(signal)  # a wrong one is one error, not one a container
    return for_each(call, target, lambda each: kill(call.root, each, signal, everything))
