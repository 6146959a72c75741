"""The caller's descriptors that the program gets, and its environment: a service manager's variables, and a hook's. Hot."""

import posix
import sys

from runtime.errors import system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import PublishOptions

FIRST_KEPT = 3
MAX_DIGITS = 10  # of LISTEN_FDS


def activation(options: "PublishOptions", variable: bytes) -> bytes:
    """A service manager's variable, to pass on. Empty when not set, or for the caller (``options["activation"]`` False)."""
    value: bytes = posix.environ.get(variable, b"") if options.get("activation", True) else b""
    return value


def listen_count(options: "PublishOptions") -> int:
    """LISTEN_FDS, when LISTEN_PID says that it is meant for us and not for whoever started us (sd_listen_fds(3))."""
    count = activation(options, b"LISTEN_FDS")
    ours = count and posix.environ.get(b"LISTEN_PID") == b"%d" % posix.getpid()
    return int(count) if ours and count.isdigit() and len(count) < MAX_DIGITS else 0


def kept_descriptors(options: "PublishOptions") -> "list[int]":
    """The caller's descriptors that the program gets: 3 and on, as many as asked for and as LISTEN_FDS says."""
    listen = listen_count(options)
    kept: list[int] = []
    for descriptor in range(FIRST_KEPT, FIRST_KEPT + listen + options.get("preserve_fds", 0)):
        try:
            posix.fstat(descriptor)
        except OSError as error:
            name = "LISTEN_FDS" if descriptor < FIRST_KEPT + listen else "--preserve-fds"
            raise system_failure(f"{name}: descriptor {descriptor}", error) from None
        kept.append(descriptor)
    return kept


def listen_environment(options: "PublishOptions") -> "list[str]":
    """Socket activation (sd_listen_fds(3)): the program is pid 1 of its own namespace."""
    count = listen_count(options)
    return [f"LISTEN_FDS={count}", "LISTEN_PID=1"] if count else []


def caller_environment() -> "list[str]":
    """The caller's whole environment, as it stands now: `os`, where somebody uses it, knows of changes."""
    os = sys.modules.get("os")
    variables = os.environb if os else posix.environ
    return [(b"%b=%b" % pair).decode("utf-8", "surrogateescape") for pair in variables.items()]
