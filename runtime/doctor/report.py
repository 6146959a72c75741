"""The whole report, and its two forms. Cold."""

from textwrap import wrap

from runtime.doctor import caller, cgroups, kernel, limits, namespaces, programs, seccomp
from runtime.doctor.row import LIMITED, MISSING, OK, missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import JsonObject
    from runtime.doctor.row import Row

    Groups = dict[str, list[Row]]

COLOURS = {OK: "\x1b[32m", LIMITED: "\x1b[33m", MISSING: "\x1b[31m"}
PLAIN = "\x1b[0m"
STATUS = 9  # columns of a status
SUBJECT = 32  # columns of a subject at most


def groups(library: str) -> "Groups":
    """Title → rows. ``library``: the version of libseccomp, "" without one."""
    who = caller.Caller()
    return {
        "caller": _complete(caller.rows(who)),
        "kernel": _complete(kernel.rows()),
        "namespaces and mounts": _complete(namespaces.rows(who)),
        "seccomp and memory files": _complete(seccomp.rows(library)),
        "cgroups and systemd": _complete(cgroups.rows(who)),
        "security modules and limits": _complete(limits.rows(who)),
        "programs": _complete(programs.rows(who)),
    }


def _complete(rows: "Iterator[Row]") -> "list[Row]":
    """The rows; what the system refuses on the way is a row too, so that the others are shown."""
    found: list[Row] = []
    try:
        for row in rows:
            found.append(row)
    except OSError as error:
        path = f"{error.filename}: " if error.filename else ""
        found.append(missing("the rest", f"{path}{error.strerror}", "what is not listed here", "give access to it"))
    return found


def usable(found: "Groups") -> bool:
    """Whether the caller can run any container."""
    return not any(row.needed and row.status == MISSING for rows in found.values() for row in rows)


def document(found: "Groups") -> "JsonObject":
    """{"usable": bool, "rows": [{"group", "subject", "status", "found", "means", "remedy", "needed"}]}"""
    rows = [{"group": group, **row.as_dict()} for group, rows in found.items() for row in rows]
    return {"usable": usable(found), "rows": rows}


def text(found: "Groups", colour: bool, columns: int) -> str:
    """For people: a line each, and below it what it means and the remedy."""
    lines: list[str] = []
    for group, rows in found.items():
        lines += [group, *(line for row in rows for line in _lines(row, colour, columns)), ""]
    counts = {status: sum(row.status == status for rows in found.values() for row in rows) for status in COLOURS}
    lines.append(", ".join(f"{count} {status}" for status, count in counts.items()))
    lines.append(f"containers can{'' if usable(found) else 'not'} be run by this caller")
    return "\n".join(lines) + "\n"


def _lines(row: "Row", colour: bool, columns: int) -> "Iterator[str]":
    status = f"{row.status:{STATUS}}"
    status = f"{COLOURS[row.status]}{status}{PLAIN}" if colour else status
    indent = 2 + STATUS
    found = wrap(row.found, max(20, columns - indent - SUBJECT), break_on_hyphens=False) or [""]
    subject = f"{row.subject:{SUBJECT}}"
    yield (
        f"  {status}{subject}{found[0]}".rstrip()
        if len(row.subject) < SUBJECT
        else f"  {status}{row.subject} {found[0]}"
    )
    for line in found[1:]:
        yield " " * (indent + SUBJECT) + line
    for name, said in (("means", row.means), ("remedy", row.remedy)):
        first, *rest = wrap(said, max(20, columns - indent - 10), break_on_hyphens=False, break_long_words=False) or [
            ""
        ]
        if first:
            yield f"{' ' * indent}{name + ':':8}{first}"
        for line in rest:
            yield f"{' ' * (indent + 8)}{line}"
