"""Mounts with id maps of their own → operations (config.md#linux-mount-options: idmap, ridmap). Pure.

Only the parent may map ids, so it makes the mount, whatever the file system, and init binds it. Imported only for a
config that has one.
"""

from runtime.errors import InvalidConfig
from runtime.files import clean
from runtime.kernel import MOUNT_ATTR_RDONLY, MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_SYNCHRONOUS

from . import mount_options, ops
from .mount_options import MOUNT2_ONLY
from .namespaces import map_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Mount
    from runtime.shapes import Facts

    from .mount_options import Options
    from .ops import Operation


# Superblock flags by their fsconfig(2) names.
SUPERBLOCK = {MS_SYNCHRONOUS: "sync", MS_MANDLOCK: "mand", MS_DIRSYNC: "dirsync", MS_LAZYTIME: "lazytime"}


def refuse(options: "Options", kind: "str | None", origin: str) -> None:
    """Raises InvalidConfig for options that do not go with id maps."""
    pointer = f"{origin}/options"
    if "remount" in options.keywords:
        raise InvalidConfig("a mount gets its id maps when it is made, not by remount", pointer)
    if options.keywords & {"bind", "rbind"}:
        return
    if "tmpcopyup" in options.keywords:
        raise InvalidConfig('"tmpcopyup" does not go together with id maps', pointer)
    if kind == "cgroup":
        raise InvalidConfig("the kernel has no id-mapped mounts of cgroups", pointer)
    if options.superblock & MOUNT2_ONLY:
        raise InvalidConfig('"iversion" and "silent" do not go together with id maps', pointer)


def operations(
    entry: "Mount", options: "Options", facts: "Facts", read_only_later: bool, origin: str
) -> "list[Operation]":
    """``read_only_later``: a later operation makes the mount read-only."""
    kind = entry.get("type")
    refuse(options, kind, origin)
    maps = []
    if entry.get("uidMappings"):
        maps = [map_text(entry["uidMappings"]), map_text(entry["gidMappings"])]
    attributes, data = options.set, []
    source = entry.get("source") or kind or ""
    bound = bool(options.keywords & {"bind", "rbind"})
    if bound:
        if not source.startswith("/"):
            source = f"{facts['bundle']}/{source}"
    else:
        data = [name for flag, name in SUPERBLOCK.items() if options.superblock & flag] + options.data
        if read_only_later:
            attributes &= ~MOUNT_ATTR_RDONLY
        elif attributes & MOUNT_ATTR_RDONLY and kind not in mount_options.KERNEL_TYPES:
            data.insert(0, "ro")
    recursive = "rbind" in options.keywords
    where = ops.BIND_ROOT if clean(entry["destination"]) == "/" else 0
    # The parent makes a new file system outside the user namespace, so its flags are locked there. A tmpfs that becomes
    # read-only later does so inside, as one without id maps does.
    locked = (attributes, options.clear, options.rec_set, options.rec_clear)
    if bound:
        locked = mount_options.lockable(options)
    map_all = "ridmap" in options.keywords
    return [
        ops.idmap_tree(source, None if bound else kind, data, maps, recursive, map_all, origin, *locked),
        ops.bind(
            entry["destination"],
            None,
            where | ops.BIND_REC if recursive else where,
            attributes,
            options.clear,
            options.propagation,
            options.rec_set,
            options.rec_clear,
            origin,
        ),
    ]
