"""Namespaces and cgroup placement: from the start of init to the container's process."""

from __future__ import annotations

from runtime.kernel import CLONE_FLAGS

from .table import container, either, host
from .wording import bit_names, id_map, ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def _kinds(flags: int) -> str:
    return ", ".join(bit_names(flags, CLONE_FLAGS)) or "none"


@container()
def oom_score_adj(score: int, origin: str) -> str:
    """Write /proc/self/oom_score_adj; before `dumpable`, after which the process's own user may not."""
    return f"set oom_score_adj to {score}"


@container()
def dumpable(value: int) -> str:
    """PR_SET_DUMPABLE: 0 keeps out processes of a joined namespace (CVE-2016-9962), 1 lets the parent write the id maps."""
    return "let the runtime write the id maps" if value else "keep other processes from tracing init"


@host()
def cgroups(origin: str | None) -> str:
    """Make the container's cgroups and write their limits."""
    return "make the cgroups and write their limits"


@container()
def open_cgroup(path: str, for_fork: bool, origin: str | None) -> str:
    """Open a file to write "0" to later, or (``for_fork``) a v2 cgroup's directory, which `fork` clones its child into."""
    return f"open {path}, " + ("to be born in that cgroup" if for_fork else "to enter that cgroup later")


@container()
def open_namespace(type: int, slot: int, path: str, origin: str) -> str:
    """Open the namespace file ``path`` and verify that it is of ``type``, a CLONE_NEW* bit."""
    return f"open the {_kinds(type)} namespace {path}"


@container()
def join_namespace(type: int, slot: int, origin: str) -> str:
    """Enter the namespace that `open_namespace` put into ``slot``."""
    return f"join that {_kinds(type)} namespace"


@container()
def join_process(flags: int, last: bool) -> str:
    """Enter the container's namespaces ``flags`` (CLONE_NEW*) by one setns on its pidfd; ``last``: then close it."""
    return f"join the container's namespaces: {_kinds(flags)}"


@container()
def affinity(cpus: Sequence[str] | None = None, origin: str | None = None) -> str:
    """Run on ``cpus`` only (decimal numbers); without any, on all CPUs of the cgroup, even if the caller is pinned."""
    return f"run on the cpus {ranges(cpus)}" if cpus else "run on all cpus of the cgroup"


@container()
def unshare(flags: int, origin: str | None) -> str:
    """Make new namespaces; ``flags`` are CLONE_NEW* bits."""
    return f"make {'a new namespace' if flags & (flags - 1) == 0 else 'new namespaces'}: {_kinds(flags)}"


@host()
def id_maps(uid_map: str, gid_map: str, deny_setgroups: bool, origin: str) -> str:
    """Write the maps of init's new user namespace, each in the format of /proc/PID/uid_map."""
    maps = f"uids {id_map(uid_map)}; gids {id_map(gid_map)}"
    return f"write the id maps: {maps}" + ("; and deny setgroups" if deny_setgroups else "")


@container()
def become(uid: int, gid: int) -> str:
    """Change to these ids of the new or joined user namespace."""
    return f"become uid {uid}, gid {gid} of the user namespace"


@either()
def time_offsets(offsets: str, origin: str, side: int) -> str:
    """Write /proc/PID/timens_offsets, which init cannot open in a user namespace."""
    return "set the clock offsets: " + "; ".join(offsets.splitlines())


@container()
def fork(origin: str | None = None) -> str:
    """Continue in a child, which is in the new or joined pid and time namespaces; ``origin``: the path of a joined one."""
    return "go on in a child, inside the new pid or time namespace"


@container()
def enter_cgroups(origin: str | None) -> str:
    """Write to the files that `open_cgroup` opened."""
    return "enter the cgroups"


@container()
def setsid() -> str:
    """Become the leader of a new session, without a terminal."""
    return "start a session"


@host("/linux/intelRdt")
def resctrl(files: Sequence[str]) -> str:
    """Write init's pid to ``files``: `tasks` of its group and of its monitoring group."""
    return f"write init's pid to {' and '.join(files)}"


@host()
def net_device(device: str, name: str, origin: str) -> str:
    """Move a network device of the runtime's namespace into the container's; ``name`` may end in %d."""
    return f"move the network device {device} into the container" + (f" as {name}" if name != device else "")
