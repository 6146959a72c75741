"""A running container held against its config.json, from outside: what `ocirun verify` shows. Cold.

`container` and `inside` read /proc, `tree` the container's files; each other module has one subject: what the config asks
for, by the same functions as `runtime.plan` and `runtime.cgroups`, and what there is.
"""

from runtime.errors import OcirunError

from . import attributes, cgroups, devices, entries, identity, mounts, namespaces, root, settings
from .check import Check, unknown, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runtime.shapes import Location

    from .container import Container


def checks(container: "Container") -> "list[Check]":
    """All comparisons, in the config's order of subjects. Reads only; raises nothing for what cannot be read."""
    places: list[Location] = []
    result: list[Check] = []
    try:
        places = cgroups.locations(container)
    except (OSError, OcirunError) as error:
        result.append(unknown("/linux/cgroupsPath", "cgroups", "", words(error)))
    wanted = entries.assigned(container)
    subjects: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("/linux/namespaces", lambda: namespaces.checks(container)),
        ("/root", lambda: root.checks(container)),
        ("/mounts", lambda: mounts.checks(container, wanted)),
        ("/mounts", lambda: mounts.unexpected(container, wanted)),
        ("/linux/devices", lambda: devices.checks(container)),
        ("/process", lambda: identity.checks(container)),
        ("/process", lambda: attributes.checks(container, places)),
        ("/linux", lambda: settings.checks(container)),
        ("/linux/resources", lambda: cgroups.checks(container, places)),
    )
    for pointer, subject in subjects:
        result += _all(pointer, subject)
    return result


def _all(pointer: str, subject: "Callable[[], Iterable[Check]]") -> "Iterator[Check]":
    """The comparisons of one subject; one that fails as a whole is unknown."""
    try:
        yield from subject()
    except (OSError, OcirunError) as error:
        yield unknown(pointer, "the rest of this section", "", words(error))
