"""``ocirun explain POINTER|WORD``: what a property of config.json or a word in it means. Cold: a command for people."""

from runtime.cli import UsageError, shown, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = (
    (("--format",), "FORMAT", "format", '"text" (default) or "json"'),
    (("--bundle", "-b"), "DIR", "bundle", "also show what this bundle, or config.json, has there"),
)
OPERANDS = (1, 1, "POINTER|WORD")


def main(call: "Call") -> int:
    form = call.options.get("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f'--format "{form}": must be text or json')
    from runtime.reference import lookup

    asked = call.operands[0]
    entries = lookup.find(asked)
    if "bundle" in call.options:
        from runtime.reference.bundle import document, here

        data = document(call.options["bundle"])
        for entry in entries:
            if "kernel" in entry:  # not of a rule or an operation
                entry["here"] = here(entry, data)
    if form == "json":
        from json import dumps

        write(1, dumps({"asked": asked, "found": entries}, indent=2) + "\n")
        return 0
    from runtime.reference.text import text

    write(1, "\n".join(map(shown, text(entries).split("\n"))))
    return 0
