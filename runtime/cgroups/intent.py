"""A container's cgroups as its record lists them: one row for each hierarchy. Pure. Hot: imports nothing.

The rows are on disk before the first mkdir, so they say what was intended: `delete` removes what they name and nothing
else. `made` counts the last components of `path` that this container makes: 1 is the leaf alone, 2 the leaf and its
parent. The other values are the constants below.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import CgroupRow, Location

    Intent = list[CgroupRow]

POINTER = "/linux/cgroupsPath"
# Values of `made` for a leaf that the container does not make.
KEPT = 0  # it existed, without children: whatever is below it later belongs to the container
SHARED = -1  # it existed, with children: nothing is removed
NOT_OURS = -2  # the container never got into it


def entered(intent: "Intent") -> "list[CgroupRow]":
    """The rows of the cgroups that the container is in."""
    return [row for row in intent if row["made"] != NOT_OURS]


def placement_files(intent: "Intent") -> list[str]:
    """The files to which a process writes "0" to enter the container's cgroups.

    v1: `tasks`. Moving a single thread avoids the kernel's lock over all thread groups (a wait of 5 to 10 ms where no
    process was moved lately), and init has one thread. v2: cgroup.procs, which takes the lock; the quick way in is
    clone3 with CLONE_INTO_CGROUP on `unified_directory`.
    """
    return [f"{row['path']}/{'tasks' if row['version'] == 1 else 'cgroup.procs'}" for row in entered(intent)]


def unified_directory(intent: "Intent") -> str | None:
    """The container's directory in the v2 hierarchy, also that of a hybrid host; None where it has none."""
    for row in entered(intent):
        if row["version"] == 2:
            return row["path"]
    return None


def visible(locations: "list[Location]", intent: "Intent") -> "list[Location]":
    """What the container sees as its cgroups: the caller's own, where it could be given none."""
    return [
        {**location, "path": location["base"]} if row["made"] == NOT_OURS else location
        for location, row in zip(locations, intent, strict=True)
    ]
