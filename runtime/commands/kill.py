"""The command line of ``ocirun kill ID [SIGNAL]``: signal a container's init, or all of its processes."""

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
        "signal every container whose whole id matches the regular expression CONTAINER",
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

    parse_signal(signal)  # report a bad signal once, not once per container
    return for_each(call, target, lambda each: kill(call.root, each, signal, everything))
