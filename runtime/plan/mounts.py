"""The config's mounts → operations, in the order of the array (config.md#mounts). Pure and hot.

The file system is not consulted: init finds out whether a source is a file or a target is missing.
"""

from runtime.errors import InvalidConfig
from runtime.files import clean
from runtime.kernel import MOUNT_ATTR_RDONLY, MS_BIND, MS_I_VERSION, MS_RDONLY

from . import mount_options, ops
from .mount_options import BINDS, LINKS, MOUNT2_ONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Config, IdMapping, Mount
    from runtime.shapes import Facts, Location

    from .mount_options import Options
    from .ops import Operation

    Warnings = list[tuple[str, str]]

# File systems that a user namespace may have to bind from the host.
COPIED_TYPES = ("proc", "sysfs", "mqueue")
# File systems mounted without an SELinux context: kernel ones, which have their own labels, and mqueue.
UNLABELLED_TYPES = ("proc", "sysfs", "mqueue", "cgroup", "cgroup2")
FSCONFIG_MAX = 255
CONTEXT_TYPE = "run.oci.mount_context_type"  # crun's annotation, which Podman sets for containers of systemd
CONTEXT_TYPES = ("context", "fscontext", "defcontext", "rootcontext")
FORCED_CGROUP = "run.oci.systemd.force_cgroup_v1"  # crun's annotation: the destination of the mount that it replaces
FORCED_ENTRIES = (("tmpfs", "tmpfs", "size=1024k", ""), ("cgroup", "cgroup", "none,name=systemd,xattr", "systemd"))
IDMAP = {"idmap", "ridmap"}


def operations(spec: "Config", facts: "Facts", warnings: "Warnings") -> "list[Operation]":
    """The operations that mount ``spec["mounts"]``.

    Appends (pointer, message) to ``warnings``. Raises InvalidConfig, naming the mount, for what cannot be done.
    """
    namespaces = spec.get("linux", {}).get("namespaces") or ()
    cgroup_namespace = any(entry["type"] == "cgroup" for entry in namespaces)
    label = spec.get("linux", {}).get("mountLabel") or ""
    annotations = spec.get("annotations", {})
    context = f"{annotations.get(CONTEXT_TYPE, 'context')}={label}" if label else ""
    plan: list[Operation] = []
    for i, entry in enumerate(spec.get("mounts", ())):
        origin = f"/mounts/{i}"
        options = mount_options.parse(entry.get("options", []))
        _refuse(entry, options, origin)
        if clean(entry["destination"]) == "/":
            from . import root_mount

            root_mount.prepare(entry, options, i == 0 and not facts.get("elsewhere"), origin)
        if _may_be_lost(entry, options):
            from . import lost_options

            lost_options.check(entry, options, warnings, origin)
        _refuse_proc(entry["destination"], origin)
        if entry["destination"] == annotations.get(FORCED_CGROUP):
            mount_options.flatten(options)
            plan += _cgroup(entry, options, facts, cgroup_namespace, context, origin, FORCED_ENTRIES)
        elif entry.get("uidMappings") or options.keywords & IDMAP:
            from . import idmapped

            plan += idmapped.operations(entry, options, facts, _delayed(entry), origin)
        elif "remount" in options.keywords:
            plan.append(_remount(entry, options, origin))
        elif "bind" in options.keywords or "rbind" in options.keywords:
            plan += _bind(entry, options, facts, origin)
        elif entry["type"] == "cgroup":
            mount_options.flatten(options)  # for each of the mounts
            plan += _cgroup(entry, options, facts, cgroup_namespace, context, origin)
        else:
            _label(entry["type"], options, context)
            if entry["type"] == "cgroup2" and not cgroup_namespace and not _in_user_namespace(facts):
                options.data += [name for name in _hierarchy_options(facts) if name not in options.data]
            plan.append(_mount(entry, options, facts, warnings, origin))
            if label and entry["type"] == "mqueue":
                plan.append(ops.file_label(entry["destination"], label, "/linux/mountLabel"))
    return plan


def _may_be_lost(entry: "Mount", options: "Options") -> bool:
    """Whether the mount may have options without effect."""
    if options.keywords & BINDS or "remount" in options.keywords or entry.get("type") == "cgroup":
        own = options.data or options.superblock or options.superblock_clear or "tmpcopyup" in options.keywords
        return bool(own or options.lost or options.keywords & LINKS)
    return bool(options.lost or options.keywords & LINKS)


def read_only_operations(spec: "Config") -> "list[Operation]":
    """Make read-only the mounts that other operations had to write to first: every tmpfs, and /dev."""
    plan = []
    for i, entry in enumerate(spec.get("mounts", ())):
        if "ro" in entry.get("options", ()) and clean(entry["destination"]) != "/":
            options = mount_options.parse(entry["options"])
            if (
                options.set & MOUNT_ATTR_RDONLY
                and not options.keywords & {"bind", "rbind", "remount"}
                and _delayed(entry)
            ):
                plan.append(
                    ops.remount(entry["destination"], attr_set=MOUNT_ATTR_RDONLY, flags=MS_BIND, origin=f"/mounts/{i}")
                )
    return plan


def _delayed(entry: "Mount") -> bool:
    return entry.get("type") == "tmpfs" or clean(entry["destination"]) == "/dev"


# Files below /proc that a mount may cover, as with other runtimes: emulations such as lxcfs replace them.
_COVERED_PROC = (
    "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev sys/kernel/ns_last_pid sys/crypto/fips_enabled"
).split()


def _refuse_proc(destination: str, origin: str) -> None:
    below = clean(destination).removeprefix("/proc/")
    if below[:1] != "/" and below not in _COVERED_PROC:
        raise InvalidConfig("a mount inside /proc could hide what the kernel says there", f"{origin}/destination")


def _refuse(entry: "Mount", options: "Options", origin: str) -> None:
    """Raises InvalidConfig for a mount that makes no sense."""
    kind = entry.get("type")
    if options.keywords & {"bind", "rbind", "remount"}:
        return
    if not kind:
        raise InvalidConfig('a mount needs a type, unless its options have "bind" or "rbind"', f"{origin}/type")
    if kind in ("bind", "rbind"):
        raise InvalidConfig(f'type "{kind}" does nothing: put "{kind}" into the options', f"{origin}/type")
    if "tmpcopyup" in options.keywords and kind != "tmpfs":
        raise InvalidConfig(f'"tmpcopyup" is for type "tmpfs", not "{kind}"', f"{origin}/options")


def _bind(entry: "Mount", options: "Options", facts: "Facts", origin: str) -> "list[Operation]":
    """Init in a user namespace may not reach the source: then the parent clones it (``open_tree``)."""
    source = entry.get("source")
    if not source:
        raise InvalidConfig("a bind mount needs a source", f"{origin}/source")
    if not source.startswith("/"):
        source = f"{facts['bundle']}/{source}"
    if link := facts.get("links", {}).get(origin):
        return [ops.symlink(link, entry["destination"], ops.SYMLINK_SAME, origin)]
    follow = ops.BIND_SOURCE_NOFOLLOW if "src-nofollow" in options.keywords else 0
    follow |= ops.BIND_TARGET_NOFOLLOW if "dest-nofollow" in options.keywords else 0
    follow |= ops.BIND_ROOT if clean(entry["destination"]) == "/" else 0
    recursive = ops.BIND_REC if "rbind" in options.keywords else 0
    rec_set = options.rec_set
    if recursive and options.set & MOUNT_ATTR_RDONLY and _in_user_namespace(facts) and _holds_cgroups(source):
        rec_set |= MOUNT_ATTR_RDONLY
    plan = []
    if _opened_by_parent(facts):
        flags = recursive | follow & ops.BIND_SOURCE_NOFOLLOW
        plan.append(ops.open_tree(source, flags, origin, 0, *mount_options.lockable(options)))
        source = None
    plan.append(
        ops.bind(
            entry["destination"],
            source,
            recursive | follow,
            options.set,
            options.clear,
            options.propagation,
            rec_set,
            options.rec_clear,
            origin,
        )
    )
    return plan


def _holds_cgroups(source: str) -> bool:
    """Whether the host's cgroups are mounted below ``source``, as below /sys.

    If only the top mount is read-only, a user with delegated cgroups can write to them (CVE-2023-25809).
    """
    return "/sys/fs/cgroup/".startswith(clean(source).rstrip("/") + "/")


def _remount(entry: "Mount", options: "Options", origin: str) -> "Operation":
    superblock, data = MS_BIND, options.data
    if not options.keywords & {"bind", "rbind"}:
        superblock = options.superblock | (MS_RDONLY if options.set & MOUNT_ATTR_RDONLY else 0)
        data = data + [name for flag, name in mount_options.CLEARED if options.superblock_clear & flag]
    if options.superblock & MS_I_VERSION:
        raise InvalidConfig('"iversion" is for a new mount, remount cannot change it', f"{origin}/options")
    return ops.remount(
        entry["destination"],
        data,
        options.set,
        options.clear,
        superblock,
        options.propagation,
        options.rec_set,
        options.rec_clear,
        origin,
    )


def _label(kind: str, options: "Options", context: str) -> None:
    """Add linux.mountLabel to a new file system, unless its options have a context. ``context``: such as "context=LABEL"."""
    own = ("context=", context.partition("=")[0] + "=")
    if context and kind not in UNLABELLED_TYPES and not any(option.startswith(own) for option in options.data):
        options.data.append(context)


def _hierarchy_options(facts: "Facts") -> "list[str]":
    """Those of the host's v2 hierarchy: without a cgroup namespace, a mount without them would take them from it."""
    for hierarchy in facts.get("cgroup", {"hierarchies": ()})["hierarchies"]:
        if hierarchy["version"] == 2:
            return hierarchy.get("options", [])
    return []


def _mount(entry: "Mount", options: "Options", facts: "Facts", warnings: "Warnings", origin: str) -> "Operation":
    kind = entry["type"]
    attributes, superblock, data = options.set, options.superblock, options.data
    flags = 0
    if attributes & MOUNT_ATTR_RDONLY:
        if _delayed(entry):
            attributes &= ~MOUNT_ATTR_RDONLY
        elif kind not in mount_options.KERNEL_TYPES:
            superblock |= MS_RDONLY
    if kind == "tmpfs":
        if "tmpcopyup" in options.keywords:
            owned = any(option.startswith(("uid=", "gid=")) for option in data)
            flags |= ops.MOUNT_COPY_UP | (0 if owned else ops.MOUNT_TARGET_OWNER)
        flags |= 0 if any(option.startswith("mode=") for option in data) else ops.MOUNT_TARGET_MODE
    destination = clean(entry["destination"])
    if kind in ("proc", "sysfs") or destination == "/dev":
        flags |= ops.MOUNT_ORDINARY
    flags |= ops.MOUNT_ROOT if destination == "/" else 0
    if _in_user_namespace(facts):
        data = _mapped(data, facts, warnings, origin)
        # A bind of the host's would not have these options.
        flags |= ops.MOUNT_HOST_COPY if kind in COPIED_TYPES and not data and not superblock else 0
    if superblock & MOUNT2_ONLY or "." in kind or any(len(option) > FSCONFIG_MAX for option in data):
        flags |= ops.MOUNT_LEGACY
    return ops.mount(
        entry["destination"],
        kind,
        entry.get("source") or kind,
        data,
        attributes,
        options.propagation,
        options.rec_set,
        options.rec_clear,
        flags,
        superblock,
        origin,
    )


def _opened_by_parent(facts: "Facts") -> bool:
    return bool(facts["new_user_namespace"] and facts["privileged"]) or facts.get("elsewhere", False)


def _in_user_namespace(facts: "Facts") -> bool:
    return bool(facts["new_user_namespace"] or facts["in_user_namespace"])


def _mapped(data: "list[str]", facts: "Facts", warnings: "Warnings", origin: str) -> "list[str]":
    """``data`` without a ``gid=`` that is not mapped in the user namespace: the kernel would refuse the mount.

    Managers ask for group 5 on every devpts, and a rootless container often has only one group.
    """
    mappings = facts["gid_map"] if facts["new_user_namespace"] else facts["own_gid_map"]
    if not mappings:  # joined by path: not known here
        return data
    kept = []
    for option in data:
        gid = option.removeprefix("gid=")
        if gid != option and gid.isdigit() and not is_mapped(int(gid), mappings):
            warnings.append(
                (f"{origin}/options", f"group {gid} is not mapped in the user namespace, gid={gid} left out")
            )
        else:
            kept.append(option)
    return kept


def is_mapped(number: int, mappings: "list[IdMapping]") -> bool:
    return any(m["containerID"] <= number < m["containerID"] + m["size"] for m in mappings)


def _bind_cgroups(
    target: str, source: str, attributes: int, options: "Options", facts: "Facts", origin: str
) -> "list[Operation]":
    """Bind a directory of the host's hierarchies. If init may not be able to clone it, the parent does."""
    plan, path = [], source if not _opened_by_parent(facts) else None
    if path is None:
        plan.append(ops.open_tree(source, ops.BIND_REC, origin))
    read_only = attributes & MOUNT_ATTR_RDONLY  # and what the host has mounted below
    clear, propagation = options.clear, options.propagation
    plan.append(ops.bind(target, path, ops.BIND_REC, attributes, clear, propagation, read_only, origin=origin))
    return plan


def _callers(locations: "Sequence[Location]") -> "set[str]":
    """Where the container has no cgroup of its own, the mount shows the caller's: a directory, or controllers to mount."""
    foreign = [location for location in locations if location["path"] == location["base"]]
    controllers = {",".join(location["hierarchy"]["controllers"]) for location in foreign}
    return {location["path"] for location in foreign} | controllers - {""}


def _mount_cgroups(
    target: str,
    made: "tuple[str, str, str]",
    attributes: int,
    options: "Options",
    user: bool,
    context: str,
    origin: str,
) -> "Operation":
    """A new mount of a hierarchy, or the tmpfs that has those of v1. ``made``: type, source and data."""
    kind, source, data = made
    given, flags = data.split(",") if data else [], 0
    if kind == "tmpfs":
        given, attributes = [data, context] if context else [data], attributes & ~MOUNT_ATTR_RDONLY
    elif kind == "cgroup2" and user:  # which cannot change its options
        given, flags = [], ops.MOUNT_HOST_COPY
    elif kind == "cgroup2":
        source = "cgroup"
    return ops.mount(target, kind, source, given, attributes, options.propagation, flags=flags, origin=origin)


def _cgroup(
    entry: "Mount",
    options: "Options",
    facts: "Facts",
    cgroup_namespace: bool,
    context: str,
    origin: str,
    forced: "Sequence[tuple[str, str, str, str]]" = (),
) -> "list[Operation]":
    """The host's hierarchies, each showing the container's own cgroup; with ``ro`` all are read-only.

    ``forced``: other entries than those of the host (`layout.mount_entries`).
    """
    from runtime.cgroups.layout import mount_entries

    plan: list[Operation] = []
    destination, user = clean(entry["destination"]), _in_user_namespace(facts)
    locations = facts.get("cgroup_locations", [])
    entries = forced or mount_entries(locations, cgroup_namespace)
    callers = _callers(locations)
    for kind, source, data, below in entries:
        target = f"{destination}/{below}" if below else destination
        # Without its own cgroup namespace, a user namespace sees the host's whole tree (CVE-2023-25809).
        shared = user and not cgroup_namespace and kind == "cgroup2"
        attributes = options.set | (MOUNT_ATTR_RDONLY if shared or callers & {source, data} else 0)
        if kind == "symlink":
            plan.append(ops.symlink(source, target, origin=origin))
        elif kind == "bind" or (shared and _opened_by_parent(facts)):
            plan += _bind_cgroups(target, source, attributes, options, facts, origin)
        else:
            plan.append(_mount_cgroups(target, (kind, source, data), attributes, options, user, context, origin))
    if options.set & MOUNT_ATTR_RDONLY and len(entries) > 1:
        plan.append(ops.remount(destination, attr_set=MOUNT_ATTR_RDONLY, flags=MS_BIND, origin=origin))
    return plan
