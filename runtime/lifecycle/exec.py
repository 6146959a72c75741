"""Running another program in a container, in stages as in `runtime.lifecycle.create`. Hot.

Each makes a value that the next one takes:

    Execution  the caller's request, checked: the container, and the program (runtime.lifecycle.program)
    Facts      the host, and the container's namespaces and cgroups
    plan       the operations
    Handshake  init runs, and becomes the program
"""

import posix
from _signal import SIGKILL

from oci_spec import load_accepted
from runtime.cgroups import intent
from runtime.cgroups.freezer import frozen
from runtime.errors import PROGRAM, UNEXECUTED, InvalidConfig, OcirunError, WrongState, system_failure
from runtime.files import read_or_empty
from runtime.host import facts as host
from runtime.kernel import CLONE_FLAGS, NAMESPACE_FILES
from runtime.lifecycle import assembly, descriptors, publishing, state, store
from runtime.lifecycle.operations import performer
from runtime.lifecycle.program import program
from runtime.plan import encode, join
from runtime.process import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oci_spec.types import Config
    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake
    from runtime.shapes import ExecOptions, Facts, PlanOptions, Record, Warn

ENDED = "cannot exec in a stopped container: container not running"


class Execution:
    """One request: the container, by its record, status and config, and the ``process`` to run.

    ``kept``: the caller's descriptors that the program inherits. ``below``: the cgroup to enter, "" or "/PATH" below the
    container's, if systemd has to move the program there.
    """

    __slots__ = ("below", "id", "kept", "options", "process", "record", "root", "spec", "status", "warn")

    def __init__(self, root: str, id: str, args: "list[str]", options: "ExecOptions", warn: "Warn") -> None:
        """Read and check. WrongState if the container is in no state to run a program, OcirunError if the request is wrong."""
        self.root = root
        self.id = id
        self.below = ""
        self.options = options
        self.warn = warn
        self.kept: list[int] = descriptors.kept_descriptors(options)
        handle = store.open_unlocked(root, id)
        try:
            self.record, self.status = state.read(handle, id)
            if self.status == state.PAUSED and not options.get("ignore_paused"):
                raise WrongState("cannot exec in a paused container: resume it first, or give --ignore-paused")
            if not state.can_kill(self.status):
                raise WrongState(f"cannot exec in a {self.status} container: container not running")
            self.spec: Config = load_accepted(store.read_file(handle, store.CONFIG))
        finally:
            posix.close(handle)
        self.process = program(self.spec, args, options, warn)
        if self.process.get("terminal") and options.get("detach") and not options.get("console_socket"):
            raise InvalidConfig("a terminal needs --console-socket to be sent to", "/process/terminal")

    def warn_at(self, pointer: str, message: str) -> None:
        """Warn about a part of the container's config."""
        self.warn(f"config.json: {pointer}: {message}")


def exec_process(root: str, id: str, args: "list[str]", options: "ExecOptions", warn: "Warn") -> int:
    """Run ``args`` (or the program of ``options["process"]``) in container ``id``.

    Returns the exit status of the program, 0 with ``detach``. OcirunError when it could not be started.
    """
    execution = Execution(root, id, args, options, warn)
    facts = facts_of(execution)
    operations: Sequence[Operation] = plan_of(execution, facts)
    if options.get("seccomp_explain"):
        operations = explain_seccomp(execution, operations)
    if options.get("detach"):
        begin(execution, facts, operations, (0, 1, 2)).close()
        return 0
    from runtime.process import interruption
    from runtime.process.foreground import FAULTS, Foreground

    foreground = Foreground()
    interruption.catch(" before the program ran")
    interruption.allow()
    handshake = begin(execution, facts, operations, (0, 1, 2), ran=interruption.hold)
    try:
        status = foreground.wait(handshake.pid, -1 if options.get("console_socket") else handshake.console)
    finally:
        handshake.close()
    explainer = execution.options.get("explainer")
    if explainer:
        return explainer.end(status)
    if status in FAULTS:
        tell_end(execution, handshake.pid, foreground.ended)
    return status


def explain_seccomp(execution: Execution, operations: "Sequence[Operation]") -> "list[Operation]":
    """Have told what the seccomp filter refuses. Returns the changed plan; InvalidConfig if that cannot be."""
    from runtime.lifecycle.seccomp_explain import Explainer

    explainer = Explainer(execution.spec, config_text(execution), execution.options["explain"])
    execution.options = {**execution.options, "explainer": explainer}
    return explainer.changed(operations)


def tell_end(execution: Execution, pid: int, status: int) -> None:
    """Warn if the seccomp filter is the reason for the program's end. ``status``: as wait(2) has it."""
    from runtime.lifecycle import reasons

    profile = assembly.seccomp_profile(execution.spec)
    if profile:
        reasons.tell(profile, config_text(execution), pid, status, execution.warn)


def config_text(execution: Execution) -> bytes:
    """The container's config; "{}" if the container was deleted meanwhile."""
    try:
        handle = store.open_unlocked(execution.root, execution.id)
        try:
            return store.read_file(handle, store.CONFIG)
        finally:
            posix.close(handle)
    except (OSError, OcirunError):
        return b"{}"


def launch(
    root: str, id: str, args: "list[str]", options: "ExecOptions", warn: "Warn", stdio: "tuple[int, int, int]"
) -> int:
    """Start ``args``, or the program of ``options["document"]`` (JSON bytes). Returns its pid; the caller waits for this child.

    OcirunError when it could not be started.
    """
    execution = Execution(root, id, args, options, warn)
    facts = facts_of(execution)
    handshake = begin(execution, facts, plan_of(execution, facts), stdio)
    handshake.close()
    return handshake.pid


def begin(
    execution: Execution,
    facts: "Facts",
    operations: "Sequence[Operation]",
    stdio: "tuple[int, int, int]",
    ran: "Callable[[], None]" = lambda: None,
) -> "Handshake":
    """Start the program, and give the caller what it asked for. Returns once the program runs.

    ``ran`` is called once the program runs. Before that, `exec_process` can be interrupted: a container can stop init as
    soon as init has joined it. Raises OcirunError; then nothing is left.
    """
    options = execution.options
    handshake = start(execution, facts, operations, stdio)
    try:
        if options.get("debug"):
            from runtime.lifecycle.trace import teller

            handshake.tell = teller(operations, options["debug"])
        perform = performer(
            {
                "record": execution.record,
                "status": execution.status,
                "handle": -1,
                "hooks": {},
                "below": execution.below,
            }
        )
        if options.get("explainer"):
            perform = options["explainer"].performer(perform)
        if not handshake.follow(perform):
            raise handshake.died()
        publishing.publish(options, handshake)
        handshake.release()
        handshake.follow(perform)
        ran()
        publishing.publish_pid(options, handshake)
    except BaseException as error:
        end(execution, handshake)
        if options.get("explainer"):
            options["explainer"].summarise()
        if isinstance(error, OcirunError) and error.pointer in UNEXECUTED:
            explain(execution, error)
        raise
    return handshake


def explain(execution: Execution, error: OcirunError) -> None:
    """Add to the kernel's word on the program what is known: a fault of its file, as the container sees it, or the filter's rule."""
    from runtime.host.container_tree import Tree
    from runtime.lifecycle import reasons
    from runtime.lifecycle.config import locate

    spec: Config = {**execution.spec, "process": execution.process}
    try:
        reasons.explain(error, spec, execution.record["bundle"], Tree(f"/proc/{execution.record['pid']}/root"))
        if error.pointer != PROGRAM:
            locate(error, config_text(execution))
    except Exception:  # the file is stranger than we know: the kernel's word must do
        return


def end(execution: Execution, handshake: "Handshake") -> None:
    """Kill what was started. In a frozen v1 cgroup it dies only after the thaw; do not wait for that."""
    if frozen(execution.record["cgroups"]):
        try:
            posix.kill(handshake.pid, SIGKILL)  # our child, not yet reaped: the pid is still its own
        except ProcessLookupError:
            pass
    else:
        handshake.end()
    handshake.close()


def namespaces(pid: int) -> int:
    """CLONE_NEW* bits of the namespaces of process ``pid`` that differ from the caller's. OSError if they are hidden."""
    flags = 0
    for kind, flag in CLONE_FLAGS.items():
        name = NAMESPACE_FILES[kind]
        try:
            if posix.stat(f"/proc/self/ns/{name}").st_ino != posix.stat(f"/proc/{pid}/ns/{name}").st_ino:
                flags |= flag
        except FileNotFoundError:
            continue  # a kernel without this kind
    return flags


def inaccessible(status: str, pid: int, error: OSError) -> OcirunError:
    """The error for a first process whose /proc is closed to us, as init's is until it executes the program."""
    failure = system_failure(f"look at the namespaces of process {pid}", error)
    remedy = "without root, start the container first" if status == state.CREATED else "it is another user's"
    failure.message += f"; {remedy}"
    return failure


def placement(record: "Record", wanted: "Sequence[str]", facts: "Facts") -> "list[str]":
    """The files by which the program enters the container's cgroups. ``wanted``: --cgroup, PATH or CONTROLLERS:PATH below them.

    Without --cgroup, on v2 it is the first process's cgroup if that has moved below the recorded one. OcirunError for an
    impossible --cgroup.
    """
    files = intent.placement_files(record["cgroups"])
    if wanted:
        from runtime.lifecycle import sub_cgroups

        files = sub_cgroups.below(files, wanted, facts["cgroup"]["hierarchies"])
        sub_cgroups.require(files, wanted)
        return files
    if path := intent.unified_directory(record["cgroups"]):
        lines = read_or_empty(f"/proc/{record['pid']}/cgroup").rstrip()  # b"" if the path is too long
        own = lines.rpartition(b"\n")[2][len("0::") :].decode(errors="surrogateescape")
        if not path.endswith(own):
            from runtime.cgroups.delegation import home

            directory = home(path, own, facts["cgroup"]["hierarchies"])
            files[files.index(f"{path}/cgroup.procs")] = f"{directory}/cgroup.procs"
    return files


def facts_of(execution: Execution) -> "Facts":
    """The facts that the program's plan needs. OcirunError if the container's first process may not be examined."""
    record = execution.record
    facts = host.read(execution.spec, record["bundle"])
    pid = record["pid"]
    try:
        facts["join"] = namespaces(pid)
    except PermissionError as error:
        raise inaccessible(execution.status, pid, error) from None
    facts["deny_setgroups"] = host.setgroups_denied(f"/proc/{pid}")
    facts["placement"] = placement(record, execution.options.get("cgroup") or (), facts)
    if record.get("systemd"):
        from runtime.cgroups.systemd import scope

        if scope.must_admit(record["systemd"], facts["placement"]):
            top = intent.unified_directory(record["cgroups"]) or ""
            execution.below = facts["placement"][0].removesuffix("/cgroup.procs").removeprefix(top)
            facts["admitted"], facts["placement"] = True, []  # it is there when systemd has moved it
    facts["chroot"] = record.get("chroot", False) or not facts["join"] & CLONE_FLAGS["mount"]
    facts["resctrl"] = record["resctrl"]["tasks"] if "resctrl" in record else ()
    return facts


def plan_of(execution: Execution, facts: "Facts") -> "list[Operation]":
    """The operations for init. InvalidConfig where there can be no plan."""
    options: PlanOptions = {
        "id": execution.id,
        "no_new_keyring": False,
        "preserve_fds": len(execution.kept),
        "environment": descriptors.listen_environment(execution.options),
        "linux": execution.spec["linux"],
        "seccomp": assembly.seccomp_filter(execution.spec, execution.root, execution.warn_at),
    }
    operations, warnings = join.plan(execution.process, facts, options)
    for pointer, message in warnings:
        execution.warn(f"{pointer}: {message}")
    return operations


def start(
    execution: Execution, facts: "Facts", operations: "Sequence[Operation]", stdio: "tuple[int, int, int]"
) -> "Handshake":
    """Start init. WrongState when the container has ended meanwhile, OcirunError when init cannot be started."""
    opened: list[int] = []
    root = -1
    try:
        if facts["chroot"]:
            try:  # opened before open_process confirms that the pid is init's
                path = f"/proc/{execution.record['pid']}/root"
                root = posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
            except (FileNotFoundError, ProcessLookupError):
                raise WrongState(ENDED) from None
            opened.append(root)
        pidfd = state.open_process(execution.record)
        if pidfd is None:
            raise WrongState(ENDED)
        opened.append(pidfd)
        flags = encode.TRACE if execution.options.get("debug") else 0
        return spawn.init(operations, flags, execution.root, extra=pidfd, root=root, stdio=stdio, kept=execution.kept)
    except OSError as error:
        raise system_failure("start the init program", error) from None
    finally:
        for descriptor in opened:
            posix.close(descriptor)
