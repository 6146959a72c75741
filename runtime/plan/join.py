"""Another program in a running container → operations: the plan of `exec`. Pure and hot."""

from runtime.kernel import CLONE_NEWCGROUP, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER

from . import identity, ops, properties
from .namespaces import open_cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from oci_spec.types import Process
    from runtime.shapes import Facts, PlanOptions

    Warnings = list[tuple[str, str]]


def affinity(process: "Process", moment: "Literal['initial', 'final']") -> "list[ops.Operation]":
    """The CPUs it asks for. If it asks for none, all of them in the end, since the caller may be pinned."""
    wanted = process.get("execCPUAffinity", {})
    if not (wanted.get("initial") or wanted.get("final")):
        return [ops.affinity()] if moment == "final" else []
    from . import attributes

    return attributes.affinity(process, moment)


def plan(process: "Process", facts: "Facts", options: "PlanOptions") -> "tuple[list[ops.Operation], Warnings]":
    """The operations of `exec`.

    ``facts``: privileged, capabilities, deny_setgroups, placement (files of the container's cgroups), join (CLONE_NEW*
    bits of the namespaces that differ from the caller's), resctrl (if the container has intelRdt), admitted (the
    host's side has to move it into the cgroups before it opens them), chroot (the container's root is not that of its
    mount namespace). ``options``: as for `create`'s plan, plus linux, that section of the container's config.
    """
    warnings: Warnings = []
    properties.process(process, warnings)
    join: int = facts["join"]
    score = process.get("oomScoreAdj")
    operations = affinity(process, "initial")
    operations += [] if score is None else [ops.oom_score_adj(score, "/process/oomScoreAdj")]
    operations.append(ops.dumpable(0))
    forks = bool(join & (CLONE_NEWPID | CLONE_NEWTIME))
    if facts.get("admitted"):
        operations.append(ops.cgroups(None))
    operations += open_cgroups(facts["placement"], forks and not join & CLONE_NEWUSER, None)
    # With nsdelegate, no process may enter a cgroup from inside the container's cgroup namespace.
    late = 0 if join & CLONE_NEWUSER else join & CLONE_NEWCGROUP
    operations.append(ops.join_process(join & ~late, not late))
    if join & CLONE_NEWUSER:
        operations.append(ops.become(0, 0))
    if forks:
        operations.append(ops.fork())
    if facts["placement"]:
        operations.append(ops.enter_cgroups(None))
    if late:
        operations.append(ops.join_process(late, True))
    operations += affinity(process, "final")
    operations.append(ops.setsid())
    if facts.get("resctrl"):
        operations.append(ops.resctrl(facts["resctrl"]))
    operations.append(ops.enter_root(facts.get("chroot", False)))
    if properties.asks(process, properties.LABELS):  # a new procfs of the container's: none of the host's may come in
        operations.append(ops.proc_handle(False))
    if process.get("terminal"):
        size = process.get("consoleSize", {})
        operations.append(ops.console(size.get("width", 0), size.get("height", 0), False, process["user"]["uid"]))
    operations += identity.before(process, options.get("linux", {}), facts, options, bool(join & CLONE_NEWUSER))
    operations += identity.privileges(process, facts, bool(options.get("seccomp")), warnings)
    operations += identity.program(process, options.get("environment", ()))
    return operations + identity.ending(process, options, []), warnings
