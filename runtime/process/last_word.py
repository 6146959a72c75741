"""The failure that init leaves in a memfd when a seccomp filter may forbid a report (csrc/last_word.c). Hot."""

import posix
from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.errors import OcirunError
    from runtime.plan.ops import Operation

ERROR = 65536  # WORD_ERROR of csrc/plan.h
MAX_ERRNO = 4095


def failure(word: int, execve: "Callable[[], Operation | None]") -> "OcirunError | None":
    """Why the program did not run; None if it did. ``word``: the memfd. ``execve`` returns the operation, None if unknown."""
    passed, error = False, 0
    try:
        error = int.from_bytes(posix.pread(word, 4, ERROR), byteorder) & MAX_ERRNO
        passed = posix.lseek(word, 0, posix.SEEK_DATA) == 0
    except OSError:  # no page at all
        pass
    if passed and not error:
        return None
    from runtime.plan.failures import unspoken

    return unspoken(execve(), passed, error)
