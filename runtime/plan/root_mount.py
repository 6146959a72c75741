"""A mount on /: the file system that the config's root.path only gives a place to. Pure, and imported only for one.

An image's layers as an overlay, a tmpfs or an id-mapped bind then belong to the container's mount namespace alone. Whatever
comes after it goes into it, so it comes first.
"""

from runtime.errors import InvalidConfig
from runtime.kernel import MOUNT_ATTR_RDONLY

from . import mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Mount

    from .mount_options import Options

# What shows the kernel's own state has no room for the other mounts.
NO_ROOTS = ("proc", "sysfs", "mqueue", "devpts", "cgroup", "cgroup2")


def prepare(entry: "Mount", options: "Options", first: bool, origin: str) -> None:
    """Change ``options`` to those that it is made with: read-only it becomes last, as root.readonly makes it.

    ``first``: it is the config's first mount, of a container that is being made. Raises InvalidConfig, with the place,
    for what makes no root.
    """
    if "remount" in options.keywords:
        raise InvalidConfig(
            "the root is not remounted: root.readonly makes it read-only, and a mount on / has options of its own",
            f"{origin}/options",
        )
    if not first:
        message = "a mount on / would cover the container's root and all that was mounted before it"
        raise InvalidConfig(
            f"{message}: only the first mount of a new container can be its root", f"{origin}/destination"
        )
    if "copy-symlink" in options.keywords:
        raise InvalidConfig('"copy-symlink" makes links, and / is none', f"{origin}/options")
    if not options.keywords & {"bind", "rbind"} and entry.get("type") in NO_ROOTS:
        raise InvalidConfig(f"{entry['type']} cannot be the container's root", f"{origin}/type")
    options.set &= ~MOUNT_ATTR_RDONLY


def is_read_only(entry: "Mount") -> bool:
    """Whether its options ask for what `prepare` left for last."""
    return bool(mount_options.parse(entry.get("options", [])).set & MOUNT_ATTR_RDONLY)
