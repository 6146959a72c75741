"""linux.namespaces, id maps and cgroup placement → operations. Pure and hot.

The kernel dictates the order. What needs the caller's credentials is opened first. Namespaces are made before init enters
the container's cgroup, which is then not charged for them, but the cgroup namespace after it, since it is rooted there.
"""

from runtime.kernel import CLONE_FLAGS, CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_NEWUSER

from . import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Clock, Config, IdMapping, LinuxTimeOffsets
    from runtime.shapes import Facts


# The order in which namespaces are joined: mount comes late, since it changes what paths mean.
JOIN_ORDER = ("network", "ipc", "uts", "pid", "cgroup", "time", "mount", "user")
CLOCKS: "tuple[Clock, ...]" = ("monotonic", "boottime")


def kinds(spec: "Config") -> "dict[str, tuple[str, str | None]]":
    """type → (pointer, path or None) of linux.namespaces."""
    listed = spec.get("linux", {}).get("namespaces") or ()
    return {entry["type"]: (f"/linux/namespaces/{i}", entry.get("path") or None) for i, entry in enumerate(listed)}


def map_text(mappings: "list[IdMapping]") -> str:
    """The text for /proc/PID/uid_map: a line per range."""
    return "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings)


def first_id(mappings: "list[IdMapping]") -> int:
    """The id that init becomes: 0 if mapped, else the lowest mapped id."""
    return min((m["containerID"] for m in mappings), default=0)


def offsets_text(offsets: "LinuxTimeOffsets") -> str:
    """The text for /proc/PID/timens_offsets: clock, seconds, nanoseconds."""
    rows = [(clock, offsets[clock]) for clock in CLOCKS if clock in offsets]
    return "".join(f"{clock} {row.get('secs', 0)} {row.get('nanosecs', 0)}\n" for clock, row in rows)


def join(
    listed: "dict[str, tuple[str, str | None]]", user_first: bool
) -> "tuple[list[ops.Operation], list[ops.Operation]]":
    """Open all namespaces that have a path, then enter them; the second list is to be entered after the cgroups.

    With nsdelegate, no process may enter a cgroup from inside another cgroup namespace.
    """
    joined = [(kind, *listed[kind]) for kind in JOIN_ORDER if kind in listed and listed[kind][1]]
    if user_first:
        joined.sort(key=lambda row: row[0] != "user")
    opened = [ops.open_namespace(CLONE_FLAGS[k], i, path or "", at) for i, (k, at, path) in enumerate(joined)]
    entered: tuple[list[ops.Operation], list[ops.Operation]] = opened, []
    for slot, (kind, at, _) in enumerate(joined):
        # With a user namespace it is joined early: the root in there may have no right to it.
        late = kind == "cgroup" and "user" not in listed
        entered[late].append(ops.join_namespace(CLONE_FLAGS[kind], slot, at))
    return entered


def time_offsets(text: str, side: int) -> "list[ops.Operation]":
    return [ops.time_offsets(text, "/linux/timeOffsets", side)] if text else []


def user_namespace(spec: "Config", facts: "Facts", origin: str, offsets: str) -> "list[ops.Operation]":
    """Make a user namespace, write its maps and become its root.

    With ``offsets`` also make a time namespace: they are written while the caller may open init's files in /proc.
    """
    linux = spec["linux"]
    uids, gids = linux.get("uidMappings", []), linux.get("gidMappings", [])
    return [
        ops.unshare(CLONE_NEWUSER | (CLONE_NEWTIME if offsets else 0), origin),
        ops.dumpable(1),
        ops.id_maps(map_text(uids), map_text(gids), bool(facts.get("deny_setgroups")), "/linux/uidMappings"),
        *time_offsets(offsets, ops.HOST),
        ops.become(first_id(uids), first_id(gids)),
    ]


def open_cgroups(files: "Sequence[str]", born: bool, origin: str | None) -> "list[ops.Operation]":
    """``born``: the container's process can be cloned into its v2 cgroup. A new user namespace may not do that."""
    plan = []
    for path in files:
        directory, _, name = path.rpartition("/")
        into = born and name == "cgroup.procs"
        plan.append(ops.open_cgroup(directory if into else path, into, origin))
    return plan


def cgroups(files: "Sequence[str]", born: bool, origin: str | None) -> "list[ops.Operation]":
    """Make and open the cgroups, if there are any."""
    return [ops.cgroups(origin), *open_cgroups(files, born, origin)] if files else []


def operations(spec: "Config", facts: "Facts") -> "list[ops.Operation]":
    """From the start of init until its process is in all the container's namespaces and cgroups."""
    listed = kinds(spec)
    plan: list[ops.Operation] = []
    score = spec.get("process", {}).get("oomScoreAdj")
    if score is not None:
        plan.append(ops.oom_score_adj(score, "/process/oomScoreAdj"))
    plan.append(ops.dumpable(0))
    origin = "/linux/cgroupsPath" if spec.get("linux", {}).get("cgroupsPath") else None
    forks = "pid" in listed or "time" in listed
    placement = facts.get("placement", ())
    opened = cgroups(placement, forks and "user" not in listed, origin)
    # Open the cgroups with the caller's credentials and paths, but as late as possible: the parent makes them meanwhile.
    early = "user" in listed or bool(listed.get("mount", ("", None))[1])
    if early:
        plan += opened
    joined, joined_late = join(listed, not facts["privileged"])
    plan += joined
    new = {kind for kind, (_, path) in listed.items() if path is None}
    offsets = offsets_text(spec["linux"].get("timeOffsets", {})) if "time" in new else ""
    if "user" in listed:
        at, path = listed["user"]
        plan += [ops.become(0, 0)] if path else user_namespace(spec, facts, at, offsets)
    made = ("user", "cgroup", "time") if offsets and "user" in new else ("user", "cgroup")
    flags = sum(CLONE_FLAGS[kind] for kind in new if kind not in made)
    if flags:
        plan.append(ops.unshare(flags, "/linux/namespaces"))
    if "user" not in listed:
        plan += time_offsets(offsets, ops.CONTAINER)
    elif offsets and "user" not in new:
        written = time_offsets(offsets, ops.HOST)
        plan += written if facts["privileged"] else [ops.dumpable(1), *written, ops.dumpable(0)]
    if not early:
        plan += opened
    if forks:
        at, path = listed.get("pid", ("", None))
        plan.append(ops.fork(f"{at}/path" if path else None))
    if placement:
        plan.append(ops.enter_cgroups(origin))
    plan += joined_late
    if "cgroup" in new:
        plan.append(ops.unshare(CLONE_NEWCGROUP, listed["cgroup"][0]))
    plan += [ops.affinity(), ops.setsid()]
    return plan
