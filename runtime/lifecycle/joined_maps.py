"""Id maps of a config that joins a user namespace. Cold.

CRI-O and containerd repeat the maps of the pod's namespace, whose path does not tell them. Only a process in it does.
"""

from runtime.host.facts import own_map
from runtime.plan.properties import JOINED_MAPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, IdMapping
    from runtime.lifecycle.assembly import WarnAt


def rows(maps: "list[IdMapping]") -> "list[tuple[int, int, int]]":
    """In order; adjoining rows are one."""
    joined: list[tuple[int, int, int]] = []
    for inside, outside, size in sorted((row["containerID"], row["hostID"], row["size"]) for row in maps):
        first, host, before = joined[-1] if joined else (0, 0, 0)
        if joined and (inside, outside) == (first + before, host + before):
            joined[-1] = first, host, before + size
        else:
            joined.append((inside, outside, size))
    return joined


def check(spec: "Config", pid: int, warn_at: "WarnAt") -> None:
    """Warn of maps that are not those of the namespace of init, which has joined it."""
    linux = spec["linux"]
    try:
        found = {"uidMappings": own_map("uid", pid), "gidMappings": own_map("gid", pid)}
    except OSError:  # init has ended, which the caller finds out
        return
    given = {"uidMappings": linux.get("uidMappings", []), "gidMappings": linux.get("gidMappings", [])}
    for name, maps in given.items():
        if maps and rows(maps) != rows(found[name]):
            warn_at(f"/linux/{name}", JOINED_MAPS)
