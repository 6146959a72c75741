"""Mounts that come and go while a container runs → operations for an init that joins it. Pure and cold.

The sources are the caller's: its side clones them, before they are attached. Nothing else of the host is in that init, and
it ends with `created`.
"""

from runtime.errors import InvalidConfig
from runtime.files import clean
from runtime.kernel import CLONE_NEWNS, CLONE_NEWUSER

from . import mount_options, mounts, ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, Mount
    from runtime.shapes import Facts

    Warnings = list[tuple[str, str]]

# A new file system is made by the init that has joined. Others than these would take paths, such as a device's or those of
# an overlay's layers, from the container, or show the namespaces of the caller.
TYPES = ("tmpfs", "ramfs")
PROPAGATION = frozenset(
    f"{prefix}{kind}" for prefix in ("", "r") for kind in ("private", "slave", "shared", "unbindable")
)


def joining(join: int) -> "list[ops.Operation]":
    """Enter the container. ``join``: CLONE_NEW* of its namespaces that are not the caller's.

    InvalidConfig if it has no mount namespace of its own.
    """
    if not join & CLONE_NEWNS:
        raise InvalidConfig("the container has no mount namespace of its own: the mounts would be the host's")
    plan = [ops.dumpable(0), ops.join_process(join & (CLONE_NEWNS | CLONE_NEWUSER), True)]
    if join & CLONE_NEWUSER:
        plan.append(ops.become(0, 0))
    return [*plan, ops.root("/", False, False)]


def add(spec: "Config", given: "list[Mount]", facts: "Facts", warnings: "Warnings") -> "list[ops.Operation]":
    """Mount each of ``given`` in the container made from ``spec``. ``facts``: join, and those that `create` needs.

    InvalidConfig, with a pointer below /mounts, for what cannot be done.
    """
    for index, entry in enumerate(given):
        _refuse(entry, f"/mounts/{index}")
    ours: list[Mount] = [{**entry, "options": _private(entry.get("options", []))} for entry in given]
    config: Config = {**spec, "mounts": ours, "annotations": {}}
    plan = joining(facts["join"]) + mounts.operations(config, {**facts, "elsewhere": True}, warnings)
    return [*plan, *mounts.read_only_operations(config), ops.created()]


def remove(paths: "list[tuple[str, str]]", join: int) -> "list[ops.Operation]":
    """Detach what is mounted at each of ``paths``, given with its pointer."""
    for path, origin in paths:
        if clean(path) == "/":
            raise InvalidConfig("the container's root stays", f"{origin}/destination")
    return [*joining(join), *(ops.unmount(path, origin) for path, origin in paths), ops.created()]


def _refuse(entry: "Mount", origin: str) -> None:
    options = mount_options.parse(entry.get("options", []))
    if "remount" in options.keywords:
        raise InvalidConfig(
            "a mount of a running container is not changed: remove it, and add it again", f"{origin}/options"
        )
    if options.keywords & mounts.IDMAP or entry.get("uidMappings"):
        raise InvalidConfig("id maps are for mounts that are made with the container", f"{origin}/options")
    if not options.keywords & mount_options.BINDS and entry.get("type", TYPES[0]) not in TYPES:
        remedy = "mount it on the host, and bind it"
        raise InvalidConfig(
            f"a running container gets binds and tmpfs, not {entry['type']}: {remedy}", f"{origin}/type"
        )


def _private(options: "list[str]") -> "list[str]":
    """The options; a clone of a mount of the host's must not stay its peer."""
    return options if PROPAGATION.intersection(options) else [*options, "rprivate"]
