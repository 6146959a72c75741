"""What init leaves when a seccomp filter may forbid it to speak (csrc/last_word.c), read after the end of file. Hot."""

import posix
from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.errors import OcirunError
    from runtime.plan.ops import Operation

ERROR = 65536  # WORD_ERROR of csrc/plan.h
MAX_ERRNO = 4095


def failure(word: int, operations: "Sequence[Operation]") -> "OcirunError | None":
    """Why the program did not run; None when it did. ``word``: the descriptor; the last of ``operations`` is the execve."""
    passed, error = False, 0
    try:
        error = int.from_bytes(posix.pread(word, 4, ERROR), byteorder) & MAX_ERRNO
        passed = posix.lseek(word, 0, posix.SEEK_DATA) == 0
    except OSError:  # no page at all
        pass
    if passed and not error:
        return None
    from runtime.plan.failures import unspoken

    return unspoken(operations[-1], passed, error)
