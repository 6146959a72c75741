"""The command line of ``ocirun ps ID [ARGUMENT OF ps ...]``: a container's processes, listed by the host's ps."""

from runtime.cli import UsageError, write
from runtime.errors import OcirunError
from runtime.lifecycle.processes import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.cli import Call

OPTIONS = ((("--format", "-f"), "FORMAT", "format", '"table" (default) or "json": an array of pids'),)
OPERANDS = (1, None, "CONTAINER [ARGUMENT OF ps ...]")


def main(call: "Call") -> int:
    form = call.options.get("format", "table")
    if form not in ("table", "json"):
        raise UsageError(f'--format "{form}": must be table or json')
    pids = processes(call.root, call.operands[0])
    if form == "json":
        from runtime.lifecycle.document import dumps

        write(1, dumps(pids) + "\n")
    else:
        write(1, table(_host_ps(call.operands[1:] or ["-ef"]), pids))
    return 0


def _host_ps(arguments: "Sequence[str]") -> str:
    import subprocess

    try:
        done = subprocess.run(["ps", *arguments], capture_output=True, check=False)
    except OSError as error:
        raise OcirunError(f"run ps: {(error.strerror or '').lower()}; install the package procps") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise OcirunError(f"ps {' '.join(arguments)}: {lines[0]}")
    return done.stdout.decode(errors="surrogateescape")


def table(text: str, pids: "Sequence[int]") -> str:
    """The heading and the lines for ``pids`` of ps's output ``text``. OcirunError without a column PID."""
    lines = text.splitlines()
    heading = lines[0].split() if lines else []
    if "PID" not in heading:
        raise OcirunError('ps prints no column PID; choose other arguments, or "--format json"')
    column, wanted = heading.index("PID"), {str(pid) for pid in pids}
    kept = [line for line in lines[1:] if _cell(line, column) in wanted]
    return "".join(f"{line}\n" for line in (lines[0], *kept))


def _cell(line: str, column: int) -> str:
    cells = line.split(None, column + 1)
    return cells[column] if column < len(cells) else ""
