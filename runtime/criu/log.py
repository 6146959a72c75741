"""What CRIU's log says about a failure."""

import posix

READ = 1 << 20  # bytes of the log's end
KEPT = 3  # lines that are quoted
ERROR = b"Error ("


def errors(directory: int, name: str) -> "list[str]":
    """The last error lines of the log ``name`` in the open ``directory``, without their time stamps; [] without a log."""
    try:
        log = posix.open(name, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return []
    try:
        size = posix.fstat(log).st_size
        text = posix.pread(log, READ, max(0, size - READ))
    except OSError:
        return []
    finally:
        posix.close(log)
    return quoted(text)


def quoted(text: bytes) -> "list[str]":
    """The last error lines of CRIU's messages, oldest first."""
    lines = [line[line.index(ERROR) :] for line in text.split(b"\n") if ERROR in line]
    return [line.decode(errors="replace") for line in lines[-KEPT:]]
