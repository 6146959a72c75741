"""``ocirun plan BUNDLE|FILE``: what create would do, operation by operation. Needs no privilege and makes nothing."""

from runtime.cli import UsageError, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = ((("--format",), "FORMAT", "format", '"text" (default) or "json"'),)
OPERANDS = (0, 1, "[BUNDLE|FILE]")


def main(call: "Call") -> int:
    form = call.options.get("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f'--format "{form}": one of text, json is needed')
    from runtime.lifecycle.planning import report

    words, refusal = report((call.operands or ["."])[0], form, call.settings.get("cgroup_manager", "cgroupfs"))
    write(1, words)
    if refusal:
        raise refusal
    return 0
