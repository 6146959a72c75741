"""``ocirun validate``: every problem of a config.json, with line and column. Cold: a command for people."""

import json
import posix

from runtime.cli import UsageError, absolute, write
from runtime.commands.log import printable
from runtime.kernel import S_IFDIR, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Problem, Row
    from oci_spec.types import Config
    from runtime.cli import Call

OPTIONS = (
    (("--format",), "FORMAT", "format", '"text" (default) or "json"'),
    (("--no-host",), None, "no_host", "check only the document, not the files and namespaces of this host"),
)
OPERANDS = (0, 1, "[BUNDLE|FILE]")
USAGE_STATUS = 2

WINDOW = 100  # characters shown of a long line, around the column


def main(call: "Call") -> int:
    form = call.options.get("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f'--format "{form}": must be text or json')
    manager = call.settings.get("cgroup_manager", "cgroupfs")
    text, status = validate((call.operands or ["."])[0], form, bool(call.options.get("no_host")), manager)
    write(1, text)
    return status


def validate(path: str, form: str = "text", no_host: bool = False, manager: str = "cgroupfs") -> tuple[str, int]:
    """The report on a bundle or on a file, as "text" or "json", and the exit status: 1 when there are errors.

    ``manager``: the cgroup manager.
    """
    file, data, problems = _problems(path, no_host, manager)
    document = {"problems": [problem.as_dict() for problem in problems]}
    report = json.dumps(document, indent=2) + "\n" if form == "json" else _text(file, data, problems)
    return report, int(any(problem.severity == "error" for problem in problems))


def _problems(path: str, no_host: bool, manager: str) -> "tuple[str, bytes, list[Problem]]":
    """The file's name, its content, and its problems."""
    import oci_spec
    from runtime.host import checks, kernel_checks, program_file
    from runtime.plan import kernel_limits, mount_data

    file = path
    try:
        if posix.stat(path).st_mode & S_IFMT == S_IFDIR:
            file = "config.json" if path == "." else f"{path.rstrip('/')}/config.json"
        data = _content(file)
    except OSError as error:
        message = f"{file}: {posix.strerror(error.errno or 0).lower()}"
        return file, b"", [oci_spec.Problem("", 1, 1, "error", message, None, "host:config")]
    bundle = absolute(file).rpartition("/")[0] or "/"

    def further(spec: "Config") -> "Iterator[Row]":
        yield from mount_data.rows(spec)
        yield from kernel_limits.rows(spec)
        if not no_host:
            yield from checks.rows(spec, bundle)
            yield from program_file.rows(spec, bundle)
            yield from kernel_checks.rows(spec, bundle)

    problems = oci_spec.check(data, "config", further)
    if not no_host and not any(
        known.severity == "error" and not known.rule.startswith(("host:", "kernel:")) for known in problems
    ):
        problems = sorted([*problems, *_planned(file, data, problems, manager)], key=oci_spec.Problem.order)
    return file, data, problems


def _planned(file: str, data: bytes, known: "list[Problem]", manager: str) -> "list[Problem]":
    """The problems that only planning finds, without those whose pointer has a known problem."""
    from runtime.lifecycle.planning import findings

    errors = {problem.pointer for problem in known if problem.severity == "error"}
    pointers = {problem.pointer for problem in known}
    return [
        problem
        for problem in findings(file, data, manager)
        if problem.pointer not in (errors if problem.severity == "error" else pointers)
    ]


def _content(file: str) -> bytes:
    """The content of a regular file. Reading a fifo or a device might never end."""
    from oci_spec.document import SIZE_LIMIT

    descriptor = posix.open(file, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        if posix.fstat(descriptor).st_mode & S_IFMT != S_IFREG:
            raise OSError(22, "not a regular file")
        data = b""
        while len(data) <= SIZE_LIMIT:
            part = posix.read(descriptor, 1 << 20)
            if not part:
                break
            data += part
        return data
    finally:
        posix.close(descriptor)


def _text(file: str, data: bytes, problems: "list[Problem]") -> str:
    """For people: each problem with its line and a caret under its column, then the counts."""
    lines = data.decode(errors="replace").split("\n")
    width = len(str(max((problem.line for problem in problems), default=1)))
    parts = [_shown(file, lines, width, problem) for problem in problems]
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [_count(errors, "error"), _count(len(problems) - errors, "warning")]
    summary = ", ".join(count for count in counts if count)
    return "\n".join([*parts, f"{printable(file)}: {summary or 'no problems'}\n"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}" if number else ""


def _shown(file: str, lines: list[str], width: int, problem: "Problem") -> str:
    pointer = f"{problem.pointer}: " if problem.pointer else ""
    head = f"{file}:{problem.line}:{problem.column}: {problem.severity}: {pointer}{problem.message}"
    parts = [f"{printable(head)} [{problem.rule}]"]
    line = lines[problem.line - 1].rstrip("\r") if problem.line <= len(lines) else ""
    if line.strip():
        excerpt, caret = _excerpt(line, problem.column - 1)
        parts += [f"  {problem.line:>{width}} | {excerpt}", f"  {'':>{width}} | {' ' * caret}^"]
    if problem.hint:
        parts.append(f"  {'':>{width}} = {printable(problem.hint)}")
    return "\n".join(parts) + "\n"


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """The part of the line to show, and the caret's offset in it."""
    start = 0 if len(line) <= WINDOW else max(0, min(column - WINDOW // 2, len(line) - WINDOW))
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + WINDOW])
    left, right = "…" * (start > 0), "…" * (start + WINDOW < len(line))
    return left + shown + right, len(left) + column - start
