"""What the program inherits from the caller: descriptors, and the variables of a service manager. Hot."""

import posix
import sys

from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import PublishOptions

FIRST_KEPT = 3
MAX_KEPT = 1024  # as in csrc/program.c
MAX_DIGITS = 10  # of LISTEN_FDS


def activation(options: "PublishOptions", variable: bytes) -> bytes:
    """A service manager's variable, to pass on. b"" if it is not set, or meant for the caller (``options["activation"]`` False)."""
    value: bytes = posix.environ.get(variable, b"") if options.get("activation", True) else b""
    return value


def listen_count(options: "PublishOptions") -> int:
    """LISTEN_FDS, if LISTEN_PID says that it is meant for this process and not its parent (sd_listen_fds(3)); else 0."""
    count = activation(options, b"LISTEN_FDS")
    ours = count and posix.environ.get(b"LISTEN_PID") == b"%d" % posix.getpid()
    return int(count) if ours and count.isdigit() and len(count) < MAX_DIGITS else 0


def _fault(descriptor: int) -> "OSError | None":
    """Why it cannot be inherited."""
    try:
        posix.fstat(descriptor)
    except OSError as error:
        return error
    return None


def kept_descriptors(options: "PublishOptions") -> "list[int]":
    """The caller's descriptors that the program inherits: from 3 on, LISTEN_FDS plus ``preserve_fds`` of them, or ``kept``.

    -1 for one that is not open, where a later one of ``preserve_fds`` is: Podman gives the highest number that is to be passed.
    """
    if "kept" in options:
        return list(options["kept"])
    first = FIRST_KEPT + listen_count(options)  # of --preserve-fds
    end = first + options.get("preserve_fds", 0)
    has_gaps = first < end and _fault(end - 1) is None
    if has_gaps and end - FIRST_KEPT > MAX_KEPT:
        raise OcirunError(f"--preserve-fds {end - first}: a program can be given at most {MAX_KEPT} descriptors")
    kept: list[int] = []
    for descriptor in range(FIRST_KEPT, end):
        error = _fault(descriptor)
        if error and (descriptor < first or not has_gaps):
            name = "LISTEN_FDS" if descriptor < first else "--preserve-fds"
            raise system_failure(f"{name}: descriptor {descriptor}", error)
        kept.append(-1 if error else descriptor)
    return kept


def listen_environment(options: "PublishOptions") -> "list[str]":
    """The variables of socket activation (sd_listen_fds(3)). The program is pid 1 in its own namespace."""
    count = listen_count(options)
    return [f"LISTEN_FDS={count}", "LISTEN_PID=1"] if count else []


def caller_environment() -> "list[str]":
    """The caller's whole environment, as NAME=value. `os.environb`, if imported, is current; `posix.environ` is not."""
    os = sys.modules.get("os")
    variables = os.environb if os else posix.environ
    return [(b"%b=%b" % pair).decode("utf-8", "surrogateescape") for pair in variables.items()]
