"""Records of other releases: an older one takes the form of this release's, a newer one is refused by name. Pure and cold.

The rules for changing RECORD of `runtime.lifecycle.store`:

- A member that an older release may ignore, and that it keeps when it writes the record again, needs no new version. Anything
  else raises VERSION, gets a function in OLDER, and leaves the records in tests/runtime/lifecycle/older/ as they are.
- The members in `document.MEMBERS` mean the same in every version, so that any release can end the container and remove its
  cgroups.
- Nothing is named by a number that this project chooses. On start.sock, where init uses such numbers, they are only ever
  added to: tests/runtime/lifecycle/test_versions.py has those of each release.

Versions:

    1   the first with "version"; the operations of "tail" by names
    -   without "version", from before 0.1.0: operations by the numbers of NUMBERED; before that, cgroups as lists
"""

from runtime.errors import OcirunError
from runtime.lifecycle.document import MEMBERS, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import Json, JsonObject
    from runtime.shapes import Record, TailRow

# Members besides MEMBERS that name nothing which delete would have to remove.
NOT_REMOVED = {"version", "ociVersion", "annotations", "chroot", "notify", "resources", "tail"}
# The operations that a record without "version" can have, with its numbers.
NUMBERED: "dict[int, tuple[str, tuple[str, ...], tuple[str, ...]]]" = {
    38: ("run_hook", ("timeout", "state", "inherit", "filtered"), ("path",)),
    61: ("wait_start", (), ()),
    62: ("place_descriptors", ("count",), ()),
    63: ("seccomp", ("flags",), ()),
    64: ("seccomp_notify", ("flags",), ("program", "listener_path", "listener_metadata")),
    65: ("exec", (), ("name",)),
}
CGROUP = ("path", "made", "version")


def converted(record: "JsonObject", id: str, force: bool) -> "JsonObject":
    """The record in the form of this release; with ``force`` a newer one as it is.

    ValueError if it is damaged. OcirunError for a newer one without ``force``.
    """
    version = record.get("version", 0)
    if type(version) is not int or version < 0:
        raise ValueError('its "version" is wrong')
    if version > VERSION:
        if force:
            return record
        raise OcirunError(
            f"{_newer(id, version)}, this one knows up to {VERSION}): use that one;"
            ' "ocirun delete --force" ends the container and removes what this one knows of'
        )
    try:
        for convert in OLDER[version:]:
            record = convert(record)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ValueError(f"it is not what ocirun writes in state version {version}") from None
    return record


def _newer(id: str, version: "Json") -> str:
    return f'container "{id}" was made by a newer ocirun (state version {version}'


def kept(record: "Record", warn: "Callable[[str], None]") -> "Record":
    """Of a newer record, what `delete --force` may rely on. Warns about the rest."""
    others = ", ".join(sorted(set(record) - set(MEMBERS) - NOT_REMOVED))
    what = f"what its record calls {others}" if others else "whatever only a newer one knows of"
    warn(f"{_newer(record['id'], record['version'])}), and is removed without {what}")
    return {member: value for member, value in record.items() if member in MEMBERS}  # type: ignore[return-value]  # a part of it


def _without_version(record: "JsonObject") -> "JsonObject":
    rows = [dict(zip(CGROUP, row, strict=True)) if isinstance(row, list) else row for row in record["cgroups"]]
    result = {**record, "version": 1, "cgroups": rows}
    if "tail" in record:
        first, operations = record["tail"]
        result["tail"] = {"first": first, "operations": [_named(operation) for operation in operations]}
    return result


def _named(operation: "Json") -> "TailRow":
    code, _, origin, numbers, strings = operation
    name, number_names, string_names = NUMBERED[code]
    arguments = {**dict(zip(number_names, numbers, strict=False)), **dict(zip(string_names, strings, strict=False))}
    return (
        {"name": name, "arguments": arguments}
        if origin is None
        else {"name": name, "origin": origin, "arguments": arguments}
    )


OLDER: "tuple[Callable[[JsonObject], JsonObject], ...]" = (_without_version,)  # by the version that each takes
