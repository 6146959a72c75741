"""config.json as `create` reads it: limited in size, checked, its problems worded. Hot for a valid config."""

import posix

from oci_spec import load_checked
from runtime.errors import InvalidConfig, OcirunError, system_failure
from runtime.host import checks
from runtime.kernel import S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec import Problem
    from oci_spec.types import Config, Linux, Resources

MAX_SIZE = 64 << 20  # bytes


def read(path: str, ordinary: bool = False) -> bytes:
    """The file's content; "-" is standard input. Raises OcirunError.

    ``ordinary``: the file must be a regular one. A config.json that is a fifo or a device could block us forever.
    """
    try:
        flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOCTTY | (posix.O_NONBLOCK if ordinary else 0)
        descriptor = posix.dup(0) if path == "-" else posix.open(path, flags)
        try:
            status = posix.fstat(descriptor)
            if ordinary and status.st_mode & S_IFMT != S_IFREG:
                raise InvalidConfig(f"{path} is not a regular file")
            size = status.st_size
            data = b""
            # st_size says nothing of a device: --config can be /dev/zero.
            while max(size, len(data)) <= MAX_SIZE and (
                piece := posix.read(descriptor, size + 1 - len(data) if len(data) <= size else 8 << 20)
            ):
                data += piece
            if max(size, len(data)) > MAX_SIZE:
                raise InvalidConfig(f"{path}: more than {MAX_SIZE} bytes")
            return data
        finally:
            posix.close(descriptor)
    except OSError as error:
        raise system_failure(f"open {path}", error) from None


def of_bundle(bundle: str, file: str | None) -> bytes:
    """The text of the bundle's config.json, or of ``file`` instead."""
    return read(file) if file else read(f"{bundle}/config.json", ordinary=True)


def message(problem: "Problem") -> str:
    """What is wrong and, where it is known, what to do."""
    return f"{problem.message}; {problem.hint}" if problem.hint else problem.message


def checked(data: bytes, bundle: str, warn: "Callable[[Problem], None]") -> "Config":
    """The config, if `create` accepts it. InvalidConfig with the pointer and line of the first error."""
    spec: Config
    spec, problems = load_checked(data, "config", lambda value: checks.rows(value, bundle))
    for problem in problems:
        if problem.severity != "error":
            warn(problem)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more: see ocirun validate)" if len(errors) > 1 else ""
        failure = InvalidConfig(message(errors[0]) + more, errors[0].pointer, errors[0].line)
        failure.problems = problems
        raise failure
    for section in ("linux", "root"):
        if not spec.get(section):
            raise locate(InvalidConfig(f"a container cannot be made without {section}", f"/{section}"), data)
    return spec


def locate(error: OcirunError, data: bytes) -> OcirunError:
    """The same error, with the line of its pointer in the text of the config."""
    if error.pointer and error.line is None:
        from oci_spec.positions import read as read_positions

        error.line = read_positions(data)[1].find(error.pointer)[0]
    return error


def resources(data: bytes) -> "Resources":
    """/linux/resources of a config that was checked before; {} without one."""
    from oci_spec import load_accepted

    linux: Linux = load_accepted(data).get("linux", {})
    return linux.get("resources", {})
