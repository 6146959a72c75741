"""A row of the report. Pure and cold."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject

OK, LIMITED, MISSING = "ok", "limited", "missing"


class Row:
    """One subject.

    status   OK; LIMITED: something does not work, or only for some; MISSING
    found    what was found on this host
    means    what does not work for containers, with the properties of config.json; "" if nothing
    remedy   the command, or kernel option; "" if nothing is missing
    needed   whether no container can be run without it
    """

    __slots__ = ("found", "means", "needed", "remedy", "status", "subject")

    def __init__(
        self, subject: str, status: str, found: str, means: str = "", remedy: str = "", needed: bool = False
    ) -> None:
        self.subject = subject
        self.status = status
        self.found = found
        self.means = means
        self.remedy = remedy
        self.needed = needed

    def as_dict(self) -> "JsonObject":
        return {name: getattr(self, name) for name in ("subject", "status", "found", "means", "remedy", "needed")}


def ok(subject: str, found: str, means: str = "", remedy: str = "") -> Row:
    return Row(subject, OK, found, means, remedy)


def limited(subject: str, found: str, means: str, remedy: str) -> Row:
    return Row(subject, LIMITED, found, means, remedy)


def missing(subject: str, found: str, means: str, remedy: str, needed: bool = False) -> Row:
    return Row(subject, MISSING, found, means, remedy, needed)
