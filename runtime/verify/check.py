"""One comparison of a running container with its config, and its verdict. Pure."""

from runtime.errors import OcirunError, system_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import JsonObject

# UNKNOWN: it could not be read, and the note says why.
OK, DIFFERS, GONE, UNKNOWN = "ok", "differs", "gone", "unknown"
VERDICTS = (DIFFERS, GONE, UNKNOWN, OK)
ITSELF = "the program may have changed it itself"
NOT_STARTED = "the program has not started"


class Check:
    """``what`` is compared: ``expected`` by the config at ``pointer``, and ``actual`` ("" if there is nothing to show)."""

    __slots__ = ("actual", "expected", "note", "pointer", "verdict", "what")

    def __init__(self, pointer: str, what: str, expected: str, actual: str, verdict: str, note: str = "") -> None:
        self.pointer = pointer
        self.what = what
        self.expected = expected
        self.actual = actual
        self.verdict = verdict
        self.note = note

    def as_dict(self, line: int | None) -> "JsonObject":
        """The members of `ocirun verify --format json`."""
        return {
            "pointer": self.pointer,
            "line": line,
            "what": self.what,
            "expected": self.expected,
            "actual": self.actual,
            "verdict": self.verdict,
            "note": self.note,
        }


def judge(pointer: str, what: str, expected: str, actual: str, same: bool, note: str = "") -> Check:
    """ok or differs; the note belongs to a difference."""
    return Check(pointer, what, expected, actual, OK if same else DIFFERS, "" if same else note)


def equal(pointer: str, what: str, expected: str, actual: str, note: str = "") -> Check:
    """ok if both texts are the same."""
    return judge(pointer, what, expected, actual, expected == actual, note)


def gone(pointer: str, what: str, expected: str, note: str = "") -> Check:
    """What the config asks for is not there."""
    return Check(pointer, what, expected, "nothing", GONE, note)


def unknown(pointer: str, what: str, expected: str, reason: str) -> Check:
    """It cannot be told."""
    return Check(pointer, what, expected, "", UNKNOWN, reason)


def words(error: "OSError | OcirunError") -> str:
    """Why something cannot be read."""
    if isinstance(error, OcirunError):
        return error.message
    return system_words(error.errno or 0)


def read(pointer: str, what: str, expected: str, actual: "Callable[[], str]", note: str = "") -> Check:
    """`equal` with what ``actual`` returns; unknown if it raises OSError."""
    try:
        return equal(pointer, what, expected, actual(), note)
    except OSError as error:
        return unknown(pointer, what, expected, words(error))
