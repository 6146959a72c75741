"""``ocirun plan BUNDLE|FILE``: what create would do, operation by operation. Makes nothing and needs no privilege."""

import posix

from runtime.cli import UsageError, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    (("--format",), "FORMAT", "format", '"text" (default) or "json"'),
    (("--json",), None, "json", "the same as --format json"),
    (("--diff",), "OTHER", "diff", "another bundle or file: show what differs, and exit with 1 if anything does"),
)
OPERANDS = (0, 1, "[BUNDLE|FILE]")


def main(call: "Call") -> int:
    form = "json" if call.options.get("json") else call.options.get("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f'--format "{form}": must be text or json')
    from runtime.lifecycle.planning import difference, report

    bundle, manager = (call.operands or ["."])[0], call.settings.get("cgroup_manager", "cgroupfs")
    if "diff" in call.options:
        if form == "json":
            raise UsageError("--diff has no JSON form")
        changes = difference(bundle, call.options["diff"], manager)
        write(1, changes)
        return int(bool(changes))
    text, refusal = report(bundle, form, manager)
    if form == "text" and posix.isatty(1) and not posix.environ.get(b"NO_COLOR"):
        from runtime.lifecycle.plan_text import coloured

        text = coloured(text)
    write(1, text)
    if refusal:
        raise refusal
    return 0
