"""The state side of `mounts add` and `mounts remove`: a container that runs gets mounts, or loses them. Cold.

An init joins the container's mount namespace (and user namespace), looks each path up below the container's root, and
ends. If one mount fails, those before it are detached again.
"""

import posix

from oci_spec import BadDocument, check, load, load_accepted, load_checked
from runtime.errors import InvalidConfig, OcirunError, WrongState
from runtime.host import facts as host
from runtime.kernel import CLONE_NEWUSER
from runtime.lifecycle import config, state, store
from runtime.lifecycle.exec import inaccessible, namespaces
from runtime.plan import encode, live_mounts, ops
from runtime.process import spawn, trees
from runtime.process.handshake import TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oci_spec.types import Config, Mount
    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake
    from runtime.shapes import Facts, Record

_BEFORE, _AFTER = b'{"ociVersion":"1.3.0","mounts":', b"}"
_POINTER = "/mounts"


def checked(data: bytes, warn: "Callable[[str], None]") -> "list[Mount]":
    """The mounts in a JSON text in the form of /mounts, an array. InvalidConfig for the first error."""
    try:
        load(data)
    except BadDocument:
        problem = next(problem for problem in check(data) if problem.severity == "error")
        raise InvalidConfig(f"line {problem.line}: {config.message(problem)}") from None
    spec, problems = load_checked(_BEFORE + data.strip() + _AFTER, unknown=True)
    for problem in problems:
        if not problem.pointer.startswith(_POINTER):
            continue  # about the rest of the config, which is missing on purpose
        message = f"{problem.pointer}: {config.message(problem)}"
        if problem.severity == "error":
            raise InvalidConfig(message)
        warn(message)
    given: list[Mount] = spec.get("mounts", [])
    return given


class Target:
    """The container, whose lock is held: its record and config, and the facts for a plan. ``close`` drops the lock."""

    def __init__(self, root: str, id: str, given: "list[Mount]") -> None:
        self.root = root
        self.handle = store.open_locked(root, id)
        try:
            self.record: Record = store.read_state(self.handle, id)
            status = state.status_of(self.handle, self.record, locked=True)
            if not state.can_kill(status):
                raise WrongState(f'cannot change the mounts of container "{id}": container not running: it is {status}')
            self.spec: Config = load_accepted(store.read_file(self.handle, store.CONFIG))
            config: Config = {**self.spec, "mounts": given}  # type: ignore[typeddict-item]  # a whole config, as the stored one
            self.facts: Facts = host.read(config, self.record["bundle"])
            try:
                self.facts["join"] = namespaces(self.record["pid"])
            except PermissionError as error:
                raise inaccessible(status, self.record["pid"], error) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        posix.close(self.handle)

    def perform(self, handshake: "Handshake", operation: "Operation") -> None:
        """The host's side: send init a clone of the host's mount, locked if the container has a user namespace."""
        _, _, origin, (flags, _, *attributes), (source,) = operation
        tree = trees.of_host(str(source), flags, attributes, origin)
        try:
            if self.facts["join"] & CLONE_NEWUSER:
                free, tree = tree, trees.lock(self.record["pid"], tree, str(source), attributes, origin)
                posix.close(free)
            handshake.reply(TREE, 0, tree)
        finally:
            posix.close(tree)

    def run(self, operations: "Sequence[Operation]", done: "list[Operation]") -> None:
        """Do the operations in the container. ``done`` gets those that init has done. Raises OcirunError."""
        pidfd = state.open_process(self.record)
        if pidfd is None:
            raise WrongState("cannot change the mounts of a stopped container: container not running")
        try:
            handshake = spawn.init(operations, encode.TRACE, self.root, extra=pidfd)
        finally:
            posix.close(pidfd)
        try:
            if not handshake.follow(self.perform):
                raise handshake.died()
        finally:
            done += [operations[report.index] for report in handshake.trace if not report.error]
            handshake.end()
            handshake.close()


def add(root: str, id: str, data: bytes, warn: "Callable[[str], None]") -> None:
    """Mount what ``data`` lists (JSON in the form of /mounts) in a created, running or paused container.

    OcirunError when one fails; then none of them is there, but directories and files that were made for them stay.
    """
    given = checked(data, warn)
    target = Target(root, id, given)
    done: list[Operation] = []
    try:
        warnings: list[tuple[str, str]] = []
        operations = live_mounts.add(target.spec, given, target.facts, warnings)
        for pointer, message in warnings:
            warn(f"{pointer}: {message}")
        target.run(operations, done)
    except OcirunError as error:
        _undo(target, done, warn)
        raise _placed(error) from None
    finally:
        target.close()


def _undo(target: Target, done: "list[Operation]", warn: "Callable[[str], None]") -> None:
    attached = [operation for operation in done if operation[0] in (ops.OP_MOUNT, ops.OP_BIND)]
    paths = [(str(operation[4][0]), operation[2] or "") for operation in reversed(attached)]
    try:
        if paths:
            target.run(live_mounts.remove(paths, target.facts["join"]), [])
    except OcirunError as error:
        warn(f"not undone: {error.message}")


def remove(root: str, id: str, data: bytes, warn: "Callable[[str], None]") -> None:
    """Detach what is mounted at the destinations in ``data``, in its order. OcirunError for the first that fails."""
    given = checked(data, warn)
    target = Target(root, id, [])
    try:
        paths = [(entry["destination"], f"{_POINTER}/{index}") for index, entry in enumerate(given)]
        target.run(live_mounts.remove(paths, target.facts["join"]), [])
    except OcirunError as error:
        raise _placed(error) from None
    finally:
        target.close()


def _placed(error: OcirunError) -> OcirunError:
    """The error with the place in the given document, which is not config.json."""
    if not (error.pointer or "").startswith(_POINTER):
        return error
    return type(error)(f"{error.pointer}: {error.message}", None, None, error.errno)
