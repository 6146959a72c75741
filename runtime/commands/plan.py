"""``ocirun plan BUNDLE|FILE``: what create would do, operation by operation. Makes nothing and needs no privilege."""

from runtime.cli import UsageError, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = ((("--format",), "FORMAT", "format", '"text" (default) or "json"'),)
OPERANDS = (0, 1, "[BUNDLE|FILE]")


def main(call: "Call") -> int:
    form = call.options.get("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f'--format "{form}": must be text or json')
    from runtime.lifecycle.planning import report

    text, refusal = report((call.operands or ["."])[0], form, call.settings.get("cgroup_manager", "cgroupfs"))
    write(1, text)
    if refusal:
        raise refusal
    return 0
