"""``ocirun validate``: every problem of a config.json, or of another document, with line and column. Cold: for people."""

import posix

from runtime.cli import UsageError, absolute, write
from runtime.commands import report_forms
from runtime.kernel import S_IFDIR, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Problem, Row
    from oci_spec.types import Config
    from runtime.cli import Call

OPTIONS = (
    (("--format",), "FORMAT", "format", '"text" (default), "json" or "sarif"'),
    (
        ("--kind",),
        "KIND",
        "kind",
        '"config" (default), "process" (of exec), "resources" (of update), "state" or "features"',
    ),
    (
        ("--no-host", "--host-independent"),
        None,
        "no_host",
        "check only the document, not the files and namespaces of this host",
    ),
)
OPERANDS = (0, 1, "[BUNDLE|FILE|-]")
USAGE_STATUS = 2

KINDS = ("config", "process", "resources", "state", "features")
STANDARD_INPUT = "-"
# A resources document is checked inside a config.
BEFORE, AFTER = b'{"ociVersion":"1.3.0","root":{"path":"/"},"linux":{"resources":', b"}}"
RESOURCES = "/linux/resources"


def main(call: "Call") -> int:
    form, kind = call.options.get("format", "text"), call.options.get("kind", "config")
    if form not in report_forms.FORMS:
        raise UsageError(f'--format "{form}": must be text, json or sarif')
    if kind not in KINDS:
        raise UsageError(f'--kind "{kind}": must be one of {", ".join(KINDS)}')
    manager = call.settings.get("cgroup_manager", "cgroupfs")
    path = (call.operands or ["."])[0]
    colour = form == "text" and posix.isatty(1) and not posix.environ.get(b"NO_COLOR")
    text, status = validate(path, form, bool(call.options.get("no_host")), manager, kind, colour)
    write(1, text)
    return status


def validate(
    path: str,
    form: str = "text",
    no_host: bool = False,
    manager: str = "cgroupfs",
    kind: str = "config",
    colour: bool = False,
) -> tuple[str, int]:
    """The report on a bundle or on a file, in one of report_forms.FORMS, and the exit status: 1 when there are errors.

    ``path``: "-" is standard input. ``manager``: the cgroup manager. ``kind``: one of KINDS.
    """
    file, data, found = problems(path, no_host, manager, kind)
    status = int(any(problem.severity == "error" for problem in found))
    if form == "json":
        return report_forms.document(found), status
    if form == "sarif":
        from runtime._build import VERSION

        return report_forms.sarif(file, found, VERSION), status
    return report_forms.text(file, data, found, colour), status


def problems(path: str, no_host: bool, manager: str, kind: str) -> "tuple[str, bytes, list[Problem]]":
    """The document's name, its content, and its problems."""
    import oci_spec

    file = path
    try:
        if path == STANDARD_INPUT:
            file, data = "<stdin>", _all_of(0)
        else:
            if posix.stat(path).st_mode & S_IFMT == S_IFDIR:
                file = "config.json" if path == "." else f"{path.rstrip('/')}/config.json"
            data = _content(file)
    except OSError as error:
        message = f"{file}: {posix.strerror(error.errno or 0).lower()}"
        return file, b"", [oci_spec.Problem("", 1, 1, "error", message, None, "host:config")]
    if kind == "config" and path != STANDARD_INPUT:
        return file, data, _of_config(file, data, no_host, manager, False)
    return file, data, problems_of(data, no_host, kind)


def problems_of(data: bytes, no_host: bool, kind: str) -> "list[Problem]":
    """The problems of a document in memory: a config's bundle is the working directory, and it is not planned."""
    import oci_spec

    if kind == "config":
        return _of_config(STANDARD_INPUT, data, no_host, "cgroupfs", True)
    return _of_resources(data) if kind == "resources" else oci_spec.check(data, kind)


def _of_config(file: str, data: bytes, no_host: bool, manager: str, piped: bool) -> "list[Problem]":
    """A config from standard input is that of a bundle in the working directory."""
    import oci_spec
    from runtime.cgroups import denied
    from runtime.host import checks, kernel_checks, program_file, unexpected
    from runtime.plan import contradictions, kernel_limits, mount_data

    bundle = absolute(".") if piped else absolute(file).rpartition("/")[0] or "/"

    def further(spec: "Config") -> "Iterator[Row]":
        if not spec.get("linux"):
            hint = 'add "linux": {"namespaces": [{"type": "mount"}]}, and the other namespaces that it shall have'
            yield "/linux", "error", "a container cannot be made without linux", hint, "section"
        yield from mount_data.rows(spec)
        yield from contradictions.rows(spec)
        yield from kernel_limits.rows(spec)
        yield from denied.rows(spec)
        if not no_host:
            yield from checks.rows(spec, bundle)
            yield from program_file.rows(spec, bundle)
            yield from kernel_checks.rows(spec, bundle)
            yield from unexpected.rows(spec, bundle)

    problems = oci_spec.check(data, "config", further)
    unplanned = ("host:", "kernel:")
    if piped or no_host or any(one.severity == "error" and not one.rule.startswith(unplanned) for one in problems):
        return problems
    return sorted([*problems, *_planned(file, data, problems, manager)], key=oci_spec.Problem.order)


def _of_resources(data: bytes) -> "list[Problem]":
    """The problems of a document of `update --resources`, with pointers into it."""
    import oci_spec
    from runtime.plan import kernel_limits

    try:
        oci_spec.load(data)
    except oci_spec.BadDocument:
        return oci_spec.check(data, "config")
    found = []
    for problem in oci_spec.check(BEFORE + data + AFTER, "config", kernel_limits.rows):
        if f"{problem.pointer}/".startswith(f"{RESOURCES}/"):
            problem.pointer = problem.pointer.removeprefix(RESOURCES)
            problem.column -= len(BEFORE) if problem.line == 1 else 0
            found.append(problem)
    return found


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
    descriptor = posix.open(file, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        if posix.fstat(descriptor).st_mode & S_IFMT != S_IFREG:
            raise OSError(22, "not a regular file")
        return _all_of(descriptor)
    finally:
        posix.close(descriptor)


def _all_of(descriptor: int) -> bytes:
    """All that can be read, or somewhat more than is allowed."""
    from oci_spec.document import SIZE_LIMIT

    data = b""
    while len(data) <= SIZE_LIMIT:
        part = posix.read(descriptor, 1 << 20)
        if not part:
            break
        data += part
    return data
