"""The container under examination: its config, its first process, and what /proc says about it. Reads, decides nothing."""

import posix

from runtime import files
from runtime.host import facts as host
from runtime.host import mountinfo
from runtime.kernel import NAMESPACE_FILES

from .tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Config, Resources
    from runtime.shapes import CgroupRow, Facts, ResctrlRow

FULL_MAP = [(0, 0, 4294967295)]


class Container:
    """``pid``: its first process, as we see it. ``started``: that process is the config's program already.

    ``rows``: its cgroups, if ocirun made it, else None. ``resources``: its limits, those of `update` included.
    """

    def __init__(
        self,
        spec: "Config",
        bundle: str,
        pid: int,
        *,
        id: str = "",
        started: bool = True,
        rows: "Sequence[CgroupRow] | None" = None,
        resources: "Resources | None" = None,
        resctrl: "ResctrlRow | None" = None,
    ) -> None:
        """Raises OSError if the process is gone or may not be read."""
        self.spec = spec
        self.bundle = bundle
        self.pid = pid
        self.id = id
        self.started = started
        self.rows = rows
        self.resources: Resources = spec["linux"].get("resources", {}) if resources is None else resources
        self.resctrl = resctrl
        self.facts: Facts = host.read(spec, bundle)
        self.status = dict(_fields(self.text("status")))
        self.mounts = mountinfo.of_process(pid)
        self.host_mounts = mountinfo.of_process()
        self.tree = Tree(pid)
        self.uids, self.gids = self.map("uid"), self.map("gid")
        self.new_user_namespace = self.namespace("user") != posix.readlink("/proc/self/ns/user")

    def text(self, name: str) -> str:
        """A file of /proc/PID. Raises OSError."""
        return files.read(f"/proc/{self.pid}/{name}").decode(errors="surrogateescape")

    def namespace(self, kind: str) -> str:
        """The first process's namespace of a type of the spec: "net:[4026531840]". Raises OSError."""
        return posix.readlink(f"/proc/{self.pid}/ns/{NAMESPACE_FILES[kind]}")

    def map(self, kind: str) -> "list[tuple[int, int, int]]":
        """uid_map or gid_map, as (first id inside, first id as we see it, how many), sorted."""
        try:
            rows = [tuple(map(int, line.split())) for line in self.text(f"{kind}_map").splitlines()]
        except FileNotFoundError:  # a kernel without user namespaces
            return FULL_MAP
        return sorted((first, outside, size) for first, outside, size in rows)

    @property
    def own_mounts(self) -> bool:
        """Whether the config has a mount namespace: without one nothing is mounted."""
        return any(entry["type"] == "mount" for entry in self.spec["linux"].get("namespaces", ()))

    @property
    def joined_mounts(self) -> bool:
        """Whether the mount namespace is one that was there before, with its own mounts and sources."""
        listed = self.spec["linux"].get("namespaces", ())
        return any(entry["type"] == "mount" and entry.get("path") for entry in listed)


def outside(number: int, mappings: "list[tuple[int, int, int]]") -> "int | None":
    """An id of the container as we see it; None if it is not mapped."""
    for first, other, size in mappings:
        if first <= number < first + size:
            return other + number - first
    return None


def _fields(status: str) -> "list[tuple[str, str]]":
    """The lines of /proc/PID/status."""
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in status.splitlines())]
