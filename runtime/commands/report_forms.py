"""The forms of validate's report: text for people, JSON, and SARIF 2.1.0 for editors and CI. Cold."""

import json

from runtime.commands.log import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec import Problem
    from oci_spec.types import JsonObject

FORMS = ("text", "json", "sarif")
WINDOW = 100  # characters shown of a long line, around the column
RED, YELLOW, GREEN, BOLD, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def document(problems: "list[Problem]") -> str:
    """The report as JSON."""
    return json.dumps({"problems": [problem.as_dict() for problem in problems]}, indent=2) + "\n"


def sarif(file: str, problems: "list[Problem]", version: str) -> str:
    """The report as a SARIF log with one run. ``file``: the document's path, as the caller gave it."""
    rules = sorted({problem.rule for problem in problems})
    results = [_result(file, problem, rules.index(problem.rule)) for problem in problems]
    driver = {"name": "ocirun", "version": version, "rules": [{"id": rule} for rule in rules]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(file: str, problem: "Problem", rule: int) -> "JsonObject":
    text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    place = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(file)},
            "region": {"startLine": problem.line, "startColumn": problem.column},
        },
        "logicalLocations": [{"fullyQualifiedName": problem.pointer, "kind": "member"}],
    }
    return {
        "ruleId": problem.rule,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": text},
        "locations": [place],
    }


def _uri(file: str) -> str:
    """A path as a URI reference (RFC 3986)."""
    from urllib.parse import quote

    path = quote(file.encode(errors="surrogateescape"))
    return f"file://{path}" if path[:1] == "/" else path


def text(file: str, data: bytes, problems: "list[Problem]", colour: bool = False) -> str:
    """For people: each problem with its line and a caret under its column, then the counts."""
    lines = data.decode(errors="replace").split("\n")
    width = len(str(max((problem.line for problem in problems), default=1)))
    parts = [_shown(file, lines, width, problem, colour) for problem in problems]
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [_count(errors, "error"), _count(len(problems) - errors, "warning")]
    summary = ", ".join(count for count in counts if count)
    return "\n".join([*parts, f"{printable(file)}: {summary or 'no problems'}\n"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}" if number else ""


def _shown(file: str, lines: list[str], width: int, problem: "Problem", colour: bool) -> str:
    paint = RED if problem.severity == "error" else YELLOW
    pointer = f"{problem.pointer}: " if problem.pointer else ""
    place = printable(f"{file}:{problem.line}:{problem.column}:")
    severity = _painted(f"{problem.severity}:", BOLD + paint, colour)
    parts = [f"{place} {severity} {printable(pointer + problem.message)} [{problem.rule}]"]
    line = lines[problem.line - 1].rstrip("\r") if problem.line <= len(lines) else ""
    if line.strip():
        excerpt, caret = _excerpt(line, problem.column - 1)
        mark = _painted("^", BOLD + paint, colour)
        parts += [f"  {problem.line:>{width}} | {excerpt}", f"  {'':>{width}} | {' ' * caret}{mark}"]
    if problem.hint:
        parts.append(f"  {'':>{width}} = {_painted(printable(problem.hint), GREEN, colour)}")
    return "\n".join(parts) + "\n"


def _painted(words: str, colour: str, wanted: bool) -> str:
    return f"{colour}{words}{PLAIN}" if wanted else words


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """The part of the line to show, and the caret's offset in it."""
    start = 0 if len(line) <= WINDOW else max(0, min(column - WINDOW // 2, len(line) - WINDOW))
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + WINDOW])
    left, right = "…" * (start > 0), "…" * (start + WINDOW < len(line))
    return left + shown + right, len(left) + column - start
