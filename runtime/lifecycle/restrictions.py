"""Read-only and other restrictions of a restored container's mounts, as its config asks for them.

CRIU takes two mounts of one source with equal options for copies of each other, and then sets the options of only the first:
the other one would be writable. So what is missing is set before the processes go on.
"""

from runtime import files
from runtime.files import clean
from runtime.kernel import (
    CLONE_NEWNS,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
)
from runtime.lifecycle import criu_external
from runtime.plan import mount_options, ops
from runtime.process import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config
    from runtime.lifecycle.create import Creation
    from runtime.process.handshake import Perform

# mountinfo's word for each.
WORDS = {
    "ro": MOUNT_ATTR_RDONLY,
    "nosuid": MOUNT_ATTR_NOSUID,
    "nodev": MOUNT_ATTR_NODEV,
    "noexec": MOUNT_ATTR_NOEXEC,
}
MASK = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC


def wanted(spec: "Config", rootfs: str, bundle: str) -> "dict[str, tuple[int, int, str]]":
    """Mount point → (attributes of the mount, attributes of those below it too, pointer)."""
    result: dict[str, tuple[int, int, str]] = {}
    for index, (name, _) in criu_external.bind_mounts(spec, rootfs, bundle).items():
        options = mount_options.parse(spec["mounts"][index].get("options", []))
        every = sum(WORDS.values())
        result[name] = options.set & every, options.rec_set & every, f"/mounts/{index}"
    for index, mount in enumerate(spec.get("mounts", ())):
        if mount.get("type") == "cgroup" and "cgroup2" in criu_external.borrowed_cgroups(spec):  # the host's whole tree
            result[clean(mount["destination"])] = MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY, f"/mounts/{index}"
    for index, path in enumerate(spec["linux"].get("maskedPaths") or ()):
        result[clean(path)] = MASK, 0, f"/linux/maskedPaths/{index}"
    return result


def lacking(asked: "dict[str, tuple[int, int, str]]", pid: int) -> "list[ops.Operation]":
    """The operations that set what the mounts of process ``pid`` lack."""
    plan = []
    for point, present in {row.point: row.flags for row in criu_external.mounted(pid)}.items():  # the last is on top
        attributes, _, origin = asked.get(point, (0, 0, ""))
        for above, (_, recursive, pointer) in asked.items():
            if files.is_below(point, above):
                attributes, origin = attributes | recursive, origin or pointer
        missing = sum(bit for word, bit in WORDS.items() if attributes & bit and word not in present)
        if missing:
            plan.append(ops.remount(point, attr_set=missing, flags=MS_BIND, origin=origin))
    return plan


def apply(spec: "Config", creation: "Creation", perform: "Perform") -> None:
    """Set them in the container's mount namespace. Raises OcirunError."""
    pid = creation.record["pid"]
    facts = creation.facts
    plan = lacking(wanted(spec, facts["rootfs"], facts["bundle"]), pid)
    if not plan:
        return
    entering = [ops.open_namespace(CLONE_NEWNS, 0, f"/proc/{pid}/ns/mnt", "/linux/namespaces")]
    entering += [ops.join_namespace(CLONE_NEWNS, 0, "/linux/namespaces"), ops.root("/", False, False)]
    handshake = spawn.init([*entering, *plan, ops.created()], 0, creation.request.root)
    try:
        if not handshake.follow(perform):
            raise handshake.died()
    finally:
        handshake.end()
        handshake.close()
