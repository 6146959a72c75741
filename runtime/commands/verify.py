"""``ocirun verify``: what a running container has, against what its config.json asks for. Cold: a command for people."""

import posix

from runtime.cli import UsageError, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    (("--bundle", "-b"), "DIR", "bundle", "with --pid: the bundle, or the config file, of a container of any runtime"),
    (("--pid",), "N", "pid", "with --bundle: the first process of that container"),
    (("--all", "-a"), None, "all", "also show what is as the config says"),
    (("--format",), "FORMAT", "format", '"text" (default) or "json"'),
)
OPERANDS = (0, 1, "CONTAINER, or --bundle DIR --pid N")
FAILURE_STATUS = USAGE_STATUS = 2


def main(call: "Call") -> int:
    options = call.options
    form = options.get("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f'--format "{form}": must be text or json')
    from runtime.lifecycle.verification import of_container, of_process

    foreign = {"bundle", "pid"} & options.keys()
    if len(call.operands) + bool(foreign) != 1 or len(foreign) == 1:
        raise UsageError(f"verify needs {OPERANDS[2]}")
    report = of_process(options["bundle"], options["pid"]) if foreign else of_container(call.root, call.operands[0])
    if form == "json":
        import json

        write(1, json.dumps(report.document(), indent=2) + "\n")
    else:
        colour = posix.isatty(1) and not posix.environ.get(b"NO_COLOR")
        write(1, report.text(bool(options.get("all")), colour))
    return int(report.differs)
