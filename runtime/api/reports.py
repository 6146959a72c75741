"""What the commands for people tell, as documents: validate, plan, features, doctor, list."""

from oci_spec import Problem
from runtime.api import arguments
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject
    from runtime.api.arguments import Document, Path
    from runtime.shapes import StateDocument

__all__ = ["Problem", "doctor", "features", "list_containers", "plan", "validate"]


def validate(
    config: "Path | Document", *, kind: str = "config", host: bool = True, cgroup_manager: str = "cgroupfs"
) -> "list[Problem]":
    """Every problem of a bundle, of a file, or of a document as a dict; [] if there is none. Errors come first.

    ``kind``: "config", "process", "resources", "state" or "features". ``host``: check also against this machine. The
    members of a problem are those of `ocirun validate --format json`; line and column are 0 for a dict.
    """
    from runtime.commands import validate as command

    arguments.check_manager(cgroup_manager)
    if kind not in command.KINDS:
        raise OcirunError(f"kind {kind!r}: must be one of {', '.join(command.KINDS)}")
    if arguments.is_path(config):
        path = arguments.absolute(config)  # type: ignore[arg-type]  # see is_path
        return command.problems(path, not host, cgroup_manager, kind)[2]
    found = command.problems_of(arguments.document(config, kind), not host, kind)
    for problem in found:
        problem.line = problem.column = 0
    return found


def plan(bundle: "Path", *, cgroup_manager: str = "cgroupfs") -> "JsonObject":
    """What `create` would do: the document of `ocirun plan --format json`. Makes nothing. `InvalidConfig` if it would refuse."""
    from runtime.lifecycle.planning import Plan

    arguments.check_manager(cgroup_manager)
    problems: list[Problem] = []
    try:
        made = Plan(arguments.bundle_path(bundle), cgroup_manager, problems)
        if made.refusal:
            raise made.refusal
    except OcirunError as error:
        arguments.complete(error, from_file=True)
        raise
    return made.document()


def features() -> "JsonObject":
    """What this build can do: the spec's features document."""
    from runtime.commands.features import document

    return document()


def doctor() -> "JsonObject":
    """What this host can do for containers: the document of `ocirun doctor --format json`. Changes nothing."""
    from runtime.commands.help import libseccomp
    from runtime.doctor import report

    return report.document(report.groups(libseccomp()))


def list_containers(root: "Path | None" = None) -> "list[StateDocument]":
    """The state documents of all containers under ``root``, by id."""
    from runtime.lifecycle.listing import listing

    return listing(arguments.state_root(root))
