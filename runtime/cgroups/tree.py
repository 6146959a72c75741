"""The directories of a container's cgroups: made and removed. `members` knows the processes in them, and what is below.

Owns the intent, which is on disk before the first mkdir: a list of `[path, made, version]`, one for each hierarchy.
`made` counts the path's last components that this container makes: 1 is the leaf alone, 2 the leaf and its parent.
KEPT is a leaf that was there and had no children (what is below it later is the container's), SHARED one that had some,
where nothing is removed, NOT_OURS one that the container never got into. Removal follows the intent alone, so that it
never takes what was there before. `make` may change an entry to NOT_OURS: write the intent again with the next state.

A parent that two containers share goes with the last of them. The one that made it, when it finds it in use, marks it
and those that it made above (an extended attribute); whoever leaves a marked parent tries to remove it. The mark is set before a last try of rmdir,
and read after the other's rmdir, so that one of the two sees the other's step.

Does not know resources: `apply` writes those.
"""

import errno
import posix
import time

from runtime.errors import OcirunError, system_failure, system_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.layout import Place

    # [path, made, version]: a list, since it goes to JSON and back.
    Entry = list[str | int]
    Intent = list[list[str | int]]

POINTER = "/linux/cgroupsPath"
KEPT, SHARED, NOT_OURS = 0, -1, -2
MARK = "user.ocirun"

# A make that races with removals of a shared parent tries again; each round means that another removal succeeded.
MAKE_ROUNDS = 100
# How long a directory may stay busy while the kernel ends killed processes; the first and longest pause. Seconds.
BUSY_LIMIT, BUSY_FIRST, BUSY_LONGEST = 10.0, 0.0005, 0.05


def survey(places: "list[Place]") -> "Intent":
    """What `make` will have to make, looked up now. Changes nothing.

    Raises OcirunError (runtime-spec config-linux.md#control-groups) where a leaf that is there has processes in it
    or is frozen: the container would be limited, killed or stuck together with strangers.
    """
    intent: Intent = []
    for path, base, hierarchy in places:
        if posix.access(path, posix.F_OK):
            made = _fit(path, hierarchy["version"])
        else:
            made, parent = 1, path.rpartition("/")[0]
            while len(parent) > len(base) and not posix.access(parent, posix.F_OK):
                made, parent = made + 1, parent.rpartition("/")[0]
        intent.append([path, made, hierarchy["version"]])
    return intent


def _fit(path: str, version: int) -> int:
    """`made` of a leaf that exists, when a container may use it."""
    from runtime.cgroups import members

    if pids := members.below(path):
        raise OcirunError(f"cgroup {path} is in use: it has {len(pids)} processes", POINTER, None, errno.EBUSY)
    name = "freezer.state" if version == 1 else "cgroup.freeze"
    if read(f"{path}/{name}").strip() in (b"FROZEN", b"FREEZING", b"1"):
        raise OcirunError(f"cgroup {path} is frozen: thaw it first", POINTER, None, errno.EBUSY)
    return SHARED if has_children(path) else KEPT


def make(intent: "Intent", tolerate: bool = False) -> dict[int, OcirunError]:
    """Make what the intent says is missing. Returns {}; with `tolerate`, the failures by index of the intent.

    `tolerate` is for callers without rights over the hierarchies (rootless): a place that may not be written becomes
    NOT_OURS. So does an entry whose leaf somebody else has made meanwhile, before the error is raised: the clean-up
    that follows must not touch it.
    """
    failed: dict[int, OcirunError] = {}
    for index, entry in enumerate(intent):
        if int(entry[1]) < 1:
            continue
        try:
            _make_leaf(entry)
        except OSError as error:
            forbidden = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            if error.errno == errno.EEXIST or (forbidden and tolerate):
                entry[1] = NOT_OURS
            failure = system_failure(f"make cgroup {entry[0]}", error, POINTER)
            if forbidden:
                failure.message += "; a caller that is not root needs a cgroup delegated to it"
            if not (forbidden and tolerate):
                raise failure from None
            failed[index] = failure
    return failed


def _make_leaf(entry: "Entry") -> None:
    path = str(entry[0])
    for _ in range(MAKE_ROUNDS):
        try:
            posix.mkdir(path, 0o755)
            return
        except FileNotFoundError:
            _make_parents(path.rpartition("/")[0], int(entry[1]) - 1)
    posix.mkdir(path, 0o755)


def _make_parents(path: str, intended: int) -> None:
    """Make `path` and what is missing above it. `intended` of them, counted from below, are in the intent.

    A parent beyond those was there when the intent was written and has been removed since: no intent names it, so it
    is marked as one to remove when it is empty.
    """
    if not posix.access(path.rpartition("/")[0], posix.F_OK):
        _make_parents(path.rpartition("/")[0], intended - 1)
    try:
        posix.mkdir(path, 0o755)
    except (FileExistsError, FileNotFoundError):
        return  # Made or removed by another meanwhile: the caller comes round again.
    if intended < 1:
        _mark(path)


def seed_cpusets(places: "list[Place]", intent: "Intent", given: set[str]) -> None:
    """Give a new v1 cpuset its parent's cpus and mems, but for those (`given`, file names) that a setting gives.

    Empty ones refuse every process (ENOSPC). Parents that are empty too are filled first, from the top down. A leaf
    that was there keeps the values that it has.
    """
    for (_, _, hierarchy), (where, made, version) in zip(places, intent, strict=True):
        if version == 2 or made == NOT_OURS or "cpuset" not in hierarchy["controllers"]:
            continue
        path = str(where)
        for name in ("cpuset.cpus", "cpuset.mems"):
            try:
                parents = _inherited(path.rpartition("/")[0], name)
                if name not in given and (int(made) > 0 or not read(f"{path}/{name}").strip()):
                    write(f"{path}/{name}", parents)
            except OSError as error:
                raise system_failure(f"give cgroup {path} the {name} of its parent", error, POINTER) from None


def _inherited(path: str, name: str) -> bytes:
    """The value of a cpuset file, after filling it from above where it is empty. The root's is never empty."""
    value = read(f"{path}/{name}").strip()
    if value or not posix.access(f"{path}/../{name}", posix.F_OK):
        return value
    value = _inherited(path.rpartition("/")[0], name)
    write(f"{path}/{name}", value)
    return value


def remove(intent: "Intent") -> None:
    """Remove everything that the intent says the container made, with what has appeared below it.

    Kills what is still in a leaf that the container made: it is the container's, whose init has ended before. A
    directory that is gone is no failure. Tries every entry, waits (bounded) for processes that the kernel is still
    ending, and raises OcirunError for the first that stays.
    """
    failure = None
    for path, made, version in intent:
        try:
            if int(made) >= 1:
                _remove_leaf(str(path), int(version))
                _remove_parents(str(path), int(made) - 1)
            elif made == KEPT and has_children(str(path)):
                from runtime.host.walk import children

                for child in children(str(path)):
                    _remove_leaf(f"{path}/{child}", int(version))
        except OSError as error:
            failure = failure or _stays(str(path), error)
        except OcirunError as error:
            failure = failure or error
    if failure:
        raise failure


def _stays(path: str, error: OSError) -> OcirunError:
    from runtime.cgroups import members

    words = system_words(error.errno or 0)
    pids = members.below(path)
    who = f" (processes: {' '.join(str(pid) for pid in pids[:8])})" if pids else ""
    return OcirunError(f"remove cgroup {path}: {words}{who}", None, None, error.errno)


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
        members.kill_all([[path, 1, version]])
        try:
            members.remove_below(path)
            return
        except FileNotFoundError:
            # Somebody else removes the same tree: go round again and see what is left.
            if not posix.access(path, posix.F_OK):
                return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ESTALE) or time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(pause * 2, BUSY_LONGEST)


def _remove_parents(leaf: str, made: int) -> None:
    """Remove the `made` parents of a leaf that the intent names, then the marked ones above, while they are empty."""
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
    """True when the directory is gone."""
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
        pass  # Gone, or a kernel without attributes here: at worst an empty parent stays, as with the peers.


def _marked(path: str) -> bool:
    try:
        return posix.getxattr(path, MARK) == b"1"
    except OSError:
        return False


def placement_files(intent: "Intent") -> list[str]:
    """The files that a process writes "0" to, to enter the container's cgroups.

    v1: `tasks`, since moving one thread skips the kernel's lock over every thread group (a wait of 5 to 10 ms where
    nobody moved a process lately), and init has one thread. v2 has only cgroup.procs, which takes the lock: there,
    clone3 with CLONE_INTO_CGROUP on `unified_directory` is the quick way in.
    """
    return [
        f"{path}/{'tasks' if version == 1 else 'cgroup.procs'}" for path, made, version in intent if made != NOT_OURS
    ]


def visible(places: "list[Place]", intent: "Intent") -> "list[Place]":
    """What a container sees as its cgroups: where it could be given none of its own, the caller's."""
    return [
        (base, base, hierarchy) if made == NOT_OURS else (path, base, hierarchy)
        for (path, base, hierarchy), (_, made, _) in zip(places, intent, strict=True)
    ]


def unified_directory(intent: "Intent") -> str | None:
    """The container's directory in the v2 hierarchy (on a hybrid host beside the v1 ones), None where there is none."""
    for path, made, version in intent:
        if version == 2 and made != NOT_OURS:
            return str(path)
    return None


def has_children(path: str) -> bool:
    """Whether a cgroup has others below it. A kernfs directory's link count is 2 and its subdirectories."""
    try:
        return posix.stat(path).st_nlink > 2
    except FileNotFoundError:
        return False


def read(path: str, dir_fd: int | None = None) -> bytes:
    """A cgroup file's content; b"" where it is absent or cannot be read as things are (a threaded cgroup's cgroup.procs)."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
    except OSError:
        return b""
    pieces = []
    try:
        while piece := posix.read(descriptor, 65536):
            pieces.append(piece)
    except OSError:
        pass
    finally:
        posix.close(descriptor)
    return b"".join(pieces)


def write(path: str, value: bytes, dir_fd: int | None = None) -> None:
    """One write to a cgroup file. Raises OSError."""
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
    try:
        posix.write(descriptor, value)
    finally:
        posix.close(descriptor)
