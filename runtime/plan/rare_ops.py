"""Operations that few configs ask for: `ops` has their codes and what an operation is. Imported only when one is needed."""

from . import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ops import Operation


def affinity(cpus: "Sequence[str]", origin: str) -> "Operation":
    """Run on ``cpus`` only, decimal numbers."""
    return ops.OP_AFFINITY, ops.CONTAINER, origin, (), (cpus,)


def resctrl(files: "Sequence[str]") -> "Operation":
    """Write init's pid to ``files``, the `tasks` of its group and of its monitoring group."""
    return ops.OP_RESCTRL, ops.HOST, "/linux/intelRdt", (), (files,)


def file_label(path: str, label: str, origin: str) -> "Operation":
    """Set the SELinux label of the directory that is mounted on ``path``."""
    return ops.OP_FILE_LABEL, ops.CONTAINER, origin, (), (path, label)


def label(path: str, older_path: str | None, label: str | None, origin: str) -> "Operation":
    """Write ``label`` to a file of procfs, on kernels without ``path`` to ``older_path``; None takes back what was set."""
    return ops.OP_LABEL, ops.CONTAINER, origin, (), (path, older_path, label)


def scheduler(policy: int, flags: int, level: int, runtime: int, deadline: int, period: int, side: int) -> "Operation":
    """sched_setattr(2): ``level`` is the static priority under SCHED_FIFO and SCHED_RR, else the nice value. Times in ns."""
    return ops.OP_SCHEDULER, side, "/process/scheduler", (policy, flags, level, runtime, deadline, period), ()


def io_priority(value: int, side: int) -> "Operation":
    """ioprio_set(2) for init's process group; ``value``: class << 13 | level."""
    return ops.OP_IO_PRIORITY, side, "/process/ioPriority", (value,), ()


def personality(domain: int) -> "Operation":
    """``domain``: PER_* of personality(2)."""
    return ops.OP_PERSONALITY, ops.CONTAINER, "/linux/personality", (domain,), ()


def memory_policy(mode: int, nodes: "Sequence[str]") -> "Operation":
    """set_mempolicy(2): ``mode`` is MPOL_* with its MPOL_F_* bits, ``nodes`` decimal numbers."""
    return ops.OP_MEMORY_POLICY, ops.CONTAINER, "/linux/memoryPolicy", (mode,), (nodes,)


def net_device(device: str, name: str, origin: str) -> "Operation":
    """Move the runtime's network device into the container's network namespace; a ``name`` may end in %d."""
    return ops.OP_NET_DEVICE, ops.HOST, origin, (), (device, name)


def device_tree(
    path: str,
    type: int,
    major: int,
    minor: int,
    mode: int,
    uid: int,
    gid: int,
    label: str | None,
    source: str | None,
    origin: str,
) -> "Operation":
    """Hand the next operation a node in a tmpfs of the host's side, or the host's ``source`` where none may be made.

    ``uid`` and ``gid`` are the container's.
    """
    return ops.OP_DEVICE_TREE, ops.HOST, origin, (type, major, minor, mode, uid, gid), (path, label, source)


def idmap_tree(
    source: str,
    type: str | None,
    options: "Sequence[str]",
    maps: "Sequence[str]",
    recursive: bool,
    map_all: bool,
    origin: str,
    attr_set: int = 0,
    attr_clr: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
) -> "Operation":
    """Hand the next operation a mount with its own id maps: a clone of the one at ``source``, or a new file system of ``type``.

    ``maps`` are the texts of a uid_map and a gid_map, without them the maps are those of the container's user namespace.
    ``recursive``: with what is mounted below, and ``map_all`` maps that too. The others as for `ops.open_tree`.
    """
    numbers = (int(recursive), int(map_all), attr_set, attr_clr, rec_set, rec_clr)
    return ops.OP_IDMAP_TREE, ops.HOST, origin, numbers, (source, type, options, maps)
