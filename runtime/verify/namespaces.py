"""linux.namespaces, uidMappings, gidMappings and timeOffsets against /proc/PID."""

import posix

from runtime.kernel import NAMESPACE_FILES
from runtime.plan.namespaces import CLOCKS, kinds

from .check import Check, equal, judge, unknown, words

SECOND = 1_000_000_000  # in nanoseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import IdMapping

    from .container import Container


def checks(container: "Container") -> "Iterator[Check]":
    """Each type of namespace, then the maps and the offsets."""
    listed = kinds(container.spec)
    for kind in NAMESPACE_FILES:
        yield from _namespace(container, kind, listed.get(kind))
    linux = container.spec["linux"]
    if listed.get("user", ("", ""))[1] is None:  # a new one: the maps are the config's
        yield _maps("uidMappings", linux.get("uidMappings", []), container.uids)
        yield _maps("gidMappings", linux.get("gidMappings", []), container.gids)
    yield from _offsets(container)


def _namespace(container: "Container", kind: str, listed: "tuple[str, str | None] | None") -> "Iterator[Check]":
    pointer, path = listed or ("/linux/namespaces", None)
    what, file = f"{kind} namespace", NAMESPACE_FILES[kind]
    expected = "a new one" if listed else "the host's"
    if path:
        expected = path
    try:
        own, actual = posix.readlink(f"/proc/self/ns/{file}"), container.namespace(kind)
    except FileNotFoundError as error:
        if listed:  # otherwise a type that this kernel lacks
            yield unknown(pointer, what, expected, words(error))
        return
    except OSError as error:
        yield unknown(pointer, what, expected, words(error))
        return
    if path:
        yield _joined(f"{pointer}/path", what, path, actual)
    elif listed:
        yield judge(pointer, what, expected, f"the host's, {actual}" if actual == own else actual, actual != own)
    else:
        yield judge(pointer, what, f"the host's, {own}", actual, actual == own)


def _joined(pointer: str, what: str, path: str, actual: str) -> Check:
    """A joined namespace: its number is that of the path's file."""
    try:
        inode = posix.stat(path).st_ino
    except OSError as error:
        return unknown(pointer, what, path, f"{path}: {words(error)}")
    expected = f"{actual.partition(':')[0]}:[{inode}]"
    return judge(pointer, what, f"{path}, {expected}", actual, actual == expected)


def _maps(name: str, wanted: "list[IdMapping]", actual: "list[tuple[int, int, int]]") -> Check:
    rows = sorted((row["containerID"], row["hostID"], row["size"]) for row in wanted)
    expected, present = (", ".join(" ".join(map(str, row)) for row in table) for table in (rows, actual))
    return equal(f"/linux/{name}", name, expected, present)


def _offsets(container: "Container") -> "Iterator[Check]":
    wanted = container.spec["linux"].get("timeOffsets", {})
    for clock in CLOCKS:
        if row := wanted.get(clock):
            seconds, rest = divmod(row.get("secs", 0) * SECOND + row.get("nanosecs", 0), SECOND)
            pointer, what, expected = f"/linux/timeOffsets/{clock}", f"offset of {clock}", f"{seconds}.{rest:09d} s"
            yield _offset(container, pointer, what, expected, clock)


def _offset(container: "Container", pointer: str, what: str, expected: str, clock: str) -> Check:
    try:
        rows = [line.split() for line in container.text("timens_offsets").splitlines()]
    except OSError as error:
        return unknown(pointer, what, expected, words(error))
    actual = next((f"{seconds}.{int(rest):09d} s" for name, seconds, rest in rows if name == clock), "")
    return equal(pointer, what, expected, actual)
