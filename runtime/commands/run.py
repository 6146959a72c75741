"""``ocirun run ID``: create and start a container; in the foreground, wait for it and pass on its exit status."""

from runtime.commands.create import OPTIONS as CREATE_OPTIONS
from runtime.commands.create import enter_bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    *CREATE_OPTIONS,
    (("--detach", "-d"), None, "detach", "return once the program runs; the container must be deleted by hand"),
    (("--seccomp-explain",), None, "seccomp_explain", "tell which system calls the seccomp filter refuses, and why"),
    (("--keep",), None, "keep", "do not delete the container when it has ended"),
)
OPERANDS = (1, 1, "CONTAINER")


def main(call: "Call") -> int:
    options = enter_bundle(call)
    if options.get("seccomp_explain"):
        from runtime.commands.seccomp_lines import explain

        explain(options)
    from runtime.lifecycle.run import run

    return run(call.root, call.operands[0], options, call.warn)
