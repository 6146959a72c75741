"""The directories of a container's cgroups: made and removed. `members` knows the processes in them.

Acts on the intent (see `intent`), which is on disk before the first mkdir. Removal follows the intent alone, so it never
removes what existed before. `make` may change a row to NOT_OURS: write the intent again with the next state.

A parent that two containers share is removed with the last of them. The container that made the parent marks it with an
extended attribute when it finds it still in use, and marks the parents that it made above, too. Whoever leaves a marked
parent tries to remove it. The mark is set before a last rmdir, and read after the other container's rmdir, so one of the
two always sees the other's step.

Knows nothing of resources: `apply` writes those.
"""

import errno
import posix
import time

from runtime import files
from runtime.cgroups.intent import KEPT, NOT_OURS, POINTER, SHARED
from runtime.errors import OcirunError, system_failure, system_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.intent import Intent
    from runtime.shapes import CgroupRow, Location

MARK = "user.ocirun"

# Attempts of a make that races with removals of a shared parent; each one lost means that another removal succeeded.
MAKE_ROUNDS = 100
# How long a directory may stay busy while the kernel ends killed processes; the first and longest pause. Seconds.
BUSY_LIMIT, BUSY_FIRST, BUSY_LONGEST = 10.0, 0.0005, 0.05


def survey(locations: "list[Location]") -> "Intent":
    """What `make` will have to make, as the disk is now. Changes nothing.

    Raises OcirunError (config-linux.md#control-groups) where a leaf exists and has processes in it or is frozen: the
    container would be limited, killed or suspended together with strangers.
    """
    intent: Intent = []
    for location in locations:
        path, version = location["path"], location["hierarchy"]["version"]
        if posix.access(path, posix.F_OK):
            made = _fit(path, version)
        else:
            made, parent = 1, path.rpartition("/")[0]
            while len(parent) > len(location["base"]) and not posix.access(parent, posix.F_OK):
                made, parent = made + 1, parent.rpartition("/")[0]
        intent.append({"path": path, "made": made, "version": version})
    return intent


def _fit(path: str, version: int) -> int:
    """`made` of a leaf that exists. OcirunError where a container may not use it."""
    from runtime.cgroups import members

    if pids := members.processes_below(path):
        raise OcirunError(f"cgroup {path} is in use: it has {len(pids)} processes", POINTER, None, errno.EBUSY)
    name = "freezer.state" if version == 1 else "cgroup.freeze"
    if files.read_or_empty(f"{path}/{name}").strip() in (b"FROZEN", b"FREEZING", b"1"):
        raise OcirunError(f"cgroup {path} is frozen: thaw it first", POINTER, None, errno.EBUSY)
    return SHARED if has_children(path) else KEPT


def make(intent: "Intent", tolerate: bool = False) -> dict[str, OcirunError]:
    """Make the directories that the intent says are missing. Returns {}; with ``tolerate``, the failures by path.

    ``tolerate`` is for callers without rights over the hierarchies (rootless): a row whose directory may not be made
    becomes NOT_OURS. So does a row whose leaf somebody else has made meanwhile, before the error is raised: the clean-up
    that follows must not touch it.
    """
    failed: dict[str, OcirunError] = {}
    for row in intent:
        if row["made"] < 1:
            continue
        try:
            _make_leaf(row)
        except OSError as error:
            forbidden = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            if error.errno == errno.EEXIST or (forbidden and tolerate):
                row["made"] = NOT_OURS
            failure = system_failure(f"make cgroup {row['path']}", error, POINTER)
            if forbidden:
                failure.message += "; a caller that is not root needs a cgroup delegated to it"
            if not (forbidden and tolerate):
                raise failure from None
            failed[row["path"]] = failure
    return failed


def _make_leaf(row: "CgroupRow") -> None:
    path = row["path"]
    for _ in range(MAKE_ROUNDS):
        try:
            posix.mkdir(path, 0o755)
            return
        except FileNotFoundError:
            _make_parents(path.rpartition("/")[0], row["made"] - 1)
    posix.mkdir(path, 0o755)


def _make_parents(path: str, intended: int) -> None:
    """Make ``path`` and what is missing above it. The intent names ``intended`` of them, counted from below.

    A parent beyond those existed when the intent was written and has been removed since. No intent names it, so it is
    marked as one to remove when it is empty.
    """
    if not posix.access(path.rpartition("/")[0], posix.F_OK):
        _make_parents(path.rpartition("/")[0], intended - 1)
    try:
        posix.mkdir(path, 0o755)
    except (FileExistsError, FileNotFoundError):
        return  # Another process made or removed it meanwhile: the caller tries again.
    if intended < 1:
        _mark(path)


def seed_cpusets(locations: "list[Location]", intent: "Intent", given: set[str]) -> None:
    """Give a new v1 cpuset its parent's cpus and mems, except for the files (``given``) that a setting writes.

    An empty cpuset refuses every process (ENOSPC). Parents that are empty too are filled first, from the top down. A leaf
    that existed keeps its values.
    """
    for location, row in zip(locations, intent, strict=True):
        controllers = location["hierarchy"]["controllers"]
        if row["version"] == 2 or row["made"] == NOT_OURS or "cpuset" not in controllers:
            continue
        path = row["path"]
        for name in ("cpuset.cpus", "cpuset.mems"):
            try:
                inherited = _inherited(path.rpartition("/")[0], name)
                if name not in given and (row["made"] > 0 or not files.read_or_empty(f"{path}/{name}").strip()):
                    files.write(f"{path}/{name}", inherited)
            except OSError as error:
                raise system_failure(f"give cgroup {path} the {name} of its parent", error, POINTER) from None


def _inherited(path: str, name: str) -> bytes:
    """The value of a cpuset file; an empty one is filled from its parent first. The root's is never empty."""
    value = files.read_or_empty(f"{path}/{name}").strip()
    if value or not posix.access(f"{path}/../{name}", posix.F_OK):
        return value
    value = _inherited(path.rpartition("/")[0], name)
    files.write(f"{path}/{name}", value)
    return value


def remove(intent: "Intent") -> None:
    """Remove everything that the intent says the container made, with what has appeared below it.

    Kills what is still in a leaf that the container made: init has ended before, so it is the container's. A directory
    that is gone is no failure. Tries every row, waits (bounded) for processes that the kernel is still ending, and raises
    OcirunError for the first directory that stays.
    """
    failure = None
    for row in intent:
        path = row["path"]
        try:
            if row["made"] >= 1:
                _remove_leaf(path, row["version"])
                _remove_parents(path, row["made"] - 1)
            elif row["made"] == KEPT and has_children(path):
                from runtime.host.walk import children

                for child in children(path):
                    _remove_leaf(f"{path}/{child}", row["version"])
        except OSError as error:
            failure = failure or _stays(path, error)
        except OcirunError as error:
            failure = failure or error
    if failure:
        raise failure


def _stays(path: str, error: OSError) -> OcirunError:
    """The error for a cgroup that cannot be removed. It names the processes in it."""
    from runtime.cgroups import members

    pids = members.processes_below(path)
    who = f" (processes: {' '.join(str(pid) for pid in pids[:8])})" if pids else ""
    return OcirunError(f"remove cgroup {path}: {system_words(error.errno or 0)}{who}", None, None, error.errno)


def _remove_leaf(path: str, version: int) -> None:
    try:
        posix.rmdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        _remove_busy(path, version)


def _remove_busy(path: str, version: int) -> None:
    from runtime.cgroups import members

    end, pause = time.monotonic() + BUSY_LIMIT, BUSY_FIRST
    while True:
        members.kill_all([{"path": path, "made": 1, "version": version}])
        try:
            members.remove_below(path)
            return
        except FileNotFoundError:
            # Another process removes the same tree: look again at what is left.
            if not posix.access(path, posix.F_OK):
                return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ESTALE) or time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(pause * 2, BUSY_LONGEST)


def _remove_parents(leaf: str, made: int) -> None:
    """Remove the ``made`` parents of a leaf that the intent names, then the marked ones above, while they are empty."""
    path = leaf.rpartition("/")[0]
    while made > 0 or _marked(path):
        if not _remove_unused(path):
            above = path
            for _ in range(made):
                _mark(above)
                above = above.rpartition("/")[0]
            if made <= 0 or not _remove_unused(path):
                return
        path, made = path.rpartition("/")[0], made - 1


def _remove_unused(path: str) -> bool:
    """Whether the directory is gone afterwards."""
    try:
        posix.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _mark(path: str) -> None:
    try:
        posix.setxattr(path, MARK, b"1")
    except OSError:
        pass  # Gone, or this kernel has no attributes here: at worst an empty parent stays, as with runc and crun.


def _marked(path: str) -> bool:
    try:
        return posix.getxattr(path, MARK) == b"1"
    except OSError:
        return False


def has_children(path: str) -> bool:
    """Whether a cgroup has others below it: a kernfs directory's link count is 2 plus its subdirectories."""
    try:
        return posix.stat(path).st_nlink > 2
    except FileNotFoundError:
        return False
