"""Another program in a running container. Hot."""

import posix

from oci_spec import load_accepted, load_checked
from runtime.cgroups import tree
from runtime.errors import InvalidConfig, OcirunError, WrongState, system_failure
from runtime.host import facts as host
from runtime.lifecycle import config, descriptors, publishing, state, store
from runtime.lifecycle import create as creating
from runtime.plan import encode, join
from runtime.plan.namespaces import CLONE_FLAGS
from runtime.plan.ops import OP_CGROUPS, OP_SECCOMP_NOTIFY
from runtime.process import host_side, spawn
from runtime.process.handshake import Handshake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from oci_spec import Problem
    from runtime.lifecycle.create import Warn
    from runtime.plan.ops import Operation
    from runtime.shapes import ExecOptions, Facts, PlanOptions, Record

# The kernel's names of the files in /proc/PID/ns.
FILES = {"network": "net", "mount": "mnt"}
MAX_ID = (1 << 32) - 2
MAX_DIGITS = 10  # of MAX_ID
ENDED = "cannot exec in a stopped container: container not running"
CAP_SETS = ("bounding", "effective", "permitted")


def namespaces(pid: int) -> int:
    """CLONE_NEW* bits of the namespaces in which process ``pid`` is and the caller is not."""
    flags = 0
    for kind, flag in CLONE_FLAGS.items():
        name = FILES.get(kind, kind)
        try:
            if posix.stat(f"/proc/self/ns/{name}").st_ino != posix.stat(f"/proc/{pid}/ns/{name}").st_ino:
                flags |= flag
        except FileNotFoundError:
            continue  # a kernel without this kind
    return flags


def closed(status: str, pid: int, error: OSError) -> OcirunError:
    """The error for a first process that shows us nothing. Init does so until it has become the program."""
    failure = system_failure(f"look at the namespaces of process {pid}", error)
    remedy = "without root, start the container first" if status == state.CREATED else "it is another user's"
    failure.message += f"; {remedy}"
    return failure


def number(text: str, option: str) -> int:
    """An id, strictly decimal: what is not one must not become 0 (CVE-2026-30892)."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_ID:
        raise OcirunError(f"{option}: {text[:64]!r} is no numeric id (0 to {MAX_ID})")
    return int(text)


def user_of(base: "dict[str, Any]", options: "ExecOptions") -> "dict[str, Any]":
    user = dict(base)
    if options.get("user"):
        uid, colon, gid = options["user"].partition(":")
        user["uid"] = number(uid, "--user")
        if colon:
            user["gid"] = number(gid, "--user")
    if options.get("additional_gids"):
        more = [number(text, "--additional-gids") for given in options["additional_gids"] for text in given.split(",")]
        user["additionalGids"] = [*(user.get("additionalGids") or ()), *more]
    return user


def capabilities_of(base: "dict[str, Any] | None", added: "Sequence[str]") -> "dict[str, list[str]]":
    sets = {kind: list(names or ()) for kind, names in (base or {}).items()}
    for kind in CAP_SETS if added else ():
        sets[kind] = [*sets.get(kind, ()), *added]
    if added and sets.get("inheritable"):  # as runc: a user other than root keeps a capability by the ambient set alone
        sets["ambient"] = [*sets.get("ambient", ()), *(name for name in added if name in sets["inheritable"])]
    return sets


def from_config(spec: "dict[str, Any]", args: "list[str]", options: "ExecOptions") -> "dict[str, Any]":
    """The config's process with what the command line changes. Its terminal and rlimits stay the config's, but for --tty."""
    if not spec.get("process"):
        raise InvalidConfig("the container's config has no process to take user and environment from: give --process")
    process = dict(spec["process"])
    process["args"] = args
    process["terminal"] = bool(options.get("tty"))
    process.pop("consoleSize", None)
    for entry in options.get("env") or ():
        if entry.find("=") < 1:
            raise OcirunError(f"--env: {entry[:64]!r} is not of the form NAME=value")
    process["env"] = [*(process.get("env") or ()), *(options.get("env") or ())]
    process["user"] = user_of(process["user"], options)
    process["capabilities"] = capabilities_of(process.get("capabilities"), options.get("cap") or ())
    if options.get("cwd"):
        process["cwd"] = options["cwd"]
    if options.get("no_new_privs"):
        process["noNewPrivileges"] = True
    return process


def worth_telling(problems: "list[Problem]") -> "list[Problem]":
    """Without those of a document that has no user at all, which is then root, as with the other runtimes."""
    ids = [problem for problem in problems if problem.rule == "user_ids_required"]
    return problems if len(ids) < len(("uid", "gid")) else [problem for problem in problems if problem not in ids]


def from_file(path: str, options: "ExecOptions", warn: "Warn") -> "dict[str, Any]":
    """--process: checked as a config's process is."""
    data = config.read(path)
    process, problems = load_checked(data, "process", unknown=True)
    for problem in worth_telling(problems):
        place = f"{path}:{problem.line}: {problem.pointer}".removesuffix(": ")  # broken JSON has no pointer
        if problem.severity == "error":
            raise InvalidConfig(f"{place}: {problem.message}")
        warn(f"{place}: {config.words(problem)}")
    if options.get("tty"):
        process["terminal"] = True
    result: dict[str, Any] = process
    return result


def from_document(data: bytes, warn: "Warn") -> "dict[str, Any]":
    """The same for a document that is in no file: its places are told as those of a config's process."""
    process, problems = load_checked(data, "process", unknown=True)
    for problem in worth_telling(problems):
        if problem.severity == "error":
            raise InvalidConfig(problem.message, f"/process{problem.pointer}")
        warn(f"/process{problem.pointer}: {config.words(problem)}")
    result: dict[str, Any] = process
    return result


def placement(record: "Record", wanted: "Sequence[str]", facts: "Facts") -> "list[str]":
    """The files to enter the container's cgroups by; ``wanted``: --cgroup, PATH or CONTROLLERS:PATH below them.

    Without that, v2's is the one that the first process has gone to, when it is below the recorded one.
    """
    files = tree.placement_files(record["cgroups"])
    if wanted:
        from runtime.lifecycle.sub_cgroups import below

        return below(files, wanted, facts["cgroup"]["hierarchies"])
    if path := tree.unified_directory(record["cgroups"]):
        lines = tree.read(f"/proc/{record['pid']}/cgroup").rstrip()  # b"" where the path is too long for it
        own = lines.rpartition(b"\n")[2][len("0::") :].decode(errors="surrogateescape")
        if not path.endswith(own):
            from runtime.cgroups.delegation import home

            found = home(path, own, facts["cgroup"]["hierarchies"])
            files[files.index(f"{path}/cgroup.procs")] = f"{found}/cgroup.procs"
    return files


class Joining:
    """One exec: the container, the program, what is known of both."""

    def __init__(self, root: str, id: str, args: "list[str]", options: "ExecOptions", warn: "Warn") -> None:
        self.root = root
        self.id = id
        self.options = options
        self.warn = warn
        self.kept = descriptors.kept_descriptors(options)
        handle = store.open_unlocked(root, id)
        try:
            self.record, self.status = state.read(handle, id)
            if self.status == state.PAUSED and not options.get("ignore_paused"):
                raise WrongState("cannot exec in a paused container: resume it first, or give --ignore-paused")
            if not state.can_kill(self.status):
                raise WrongState(f"cannot exec in a {self.status} container: container not running")
            self.spec: dict[str, Any] = load_accepted(store.read_file(handle, store.CONFIG))
        finally:
            posix.close(handle)
        if options.get("document"):
            self.process = from_document(options["document"], warn)
        elif options.get("process"):
            self.process = from_file(options["process"], options, warn)
        else:
            self.process = from_config(self.spec, args, options)
        if options.get("process_label"):
            self.process["selinuxLabel"] = options["process_label"]
        if options.get("apparmor"):
            self.process["apparmorProfile"] = options["apparmor"]
        if self.process.get("apparmorProfile") or self.process.get("selinuxLabel"):
            from runtime.host import confinement

            confinement.require({"process": self.process})
        self.operations: list[Operation] = []
        self.chroot = False  # whether init needs the container's root

    def warn_of_config(self, pointer: str, message: str) -> None:
        self.warn(f"config.json: {pointer}: {message}")

    def plan(self) -> None:
        facts = host.read(self.spec, self.record["bundle"])
        pid = self.record["pid"]
        try:
            facts["join"] = namespaces(pid)
        except PermissionError as error:
            raise closed(self.status, pid, error) from None
        facts["deny_setgroups"] = host.setgroups_denied(f"/proc/{pid}")
        facts["placement"] = placement(self.record, self.options.get("cgroup") or (), facts)
        if self.record.get("systemd"):
            from runtime.cgroups.systemd import scope

            facts["admitted"] = scope.stands_outside(self.record["systemd"])
        facts["chroot"] = self.record.get("chroot", False) or not facts["join"] & CLONE_FLAGS["mount"]
        self.chroot = facts["chroot"]
        facts["resctrl"] = self.record["resctrl"]["tasks"] if "resctrl" in self.record else ()
        options: PlanOptions = {"id": self.id, "no_new_keyring": False, "preserve_fds": len(self.kept)}
        options["environment"] = descriptors.listen_environment(self.options)
        options["linux"] = self.spec["linux"]
        options["seccomp"] = creating.filter_of(self.spec, self.root, self.warn_of_config)
        self.operations, warnings = join.plan(self.process, facts, options)
        for pointer, message in warnings:
            self.warn(f"{pointer}: {message}")


def host_step(joining: Joining, handshake: Handshake, operation: "Operation") -> None:
    """One operation of the host's side."""
    if operation[0] == OP_CGROUPS:
        from runtime.cgroups.systemd import scope

        scope.admit(joining.record["systemd"], handshake.pid)
    elif operation[0] == OP_SECCOMP_NOTIFY:
        from runtime.lifecycle.seccomp_listener import send

        send(operation, joining.record, joining.status, handshake.pid, handshake.take_listener())
    else:
        host_side.perform(handshake, operation)


def begin(joining: Joining, stdio: "tuple[int, int, int]") -> Handshake:
    """Start the program; returns when it is reached. Raises OcirunError, and then nothing of it is left."""
    pid = joining.record["pid"]
    descriptors: list[int] = []
    root = -1
    try:
        if joining.chroot:
            try:  # before the process is seen to be init: so it was
                root = posix.open(f"/proc/{pid}/root", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
            except (FileNotFoundError, ProcessLookupError):
                raise WrongState(ENDED) from None
            descriptors.append(root)
        pidfd = state.open_process(joining.record)
        if pidfd is None:
            raise WrongState(ENDED)
        descriptors.append(pidfd)
        data = encode.encode(joining.operations, encode.TRACE if joining.options.get("debug") else 0)
        started, socket = spawn.start(data, joining.root, extra=pidfd, root=root, stdio=stdio, kept=joining.kept)
    except OSError as error:
        raise system_failure("start the init program", error) from None
    finally:
        for descriptor in descriptors:
            posix.close(descriptor)
    handshake = Handshake(started, socket, joining.operations)
    debug = joining.options.get("debug")
    if debug:
        from runtime.lifecycle.trace import teller

        handshake.tell = teller(joining.operations, debug)
    try:
        if not handshake.follow(lambda one, operation: host_step(joining, one, operation)):
            raise handshake.died()
        publishing.publish(joining.options, handshake)
        handshake.release()
        handshake.follow(lambda one, operation: host_step(joining, one, operation))
        publishing.publish_pid(joining.options, handshake)
    except BaseException:
        handshake.end()
        handshake.close()
        raise
    return handshake


def prepared(root: str, id: str, args: "list[str]", options: "ExecOptions", warn: "Warn") -> Joining:
    joining = Joining(root, id, args, options, warn)
    if joining.process.get("terminal") and options.get("detach") and not options.get("console_socket"):
        raise InvalidConfig("a terminal needs --console-socket to be sent to", "/process/terminal")
    joining.plan()
    return joining


def launch(root: str, id: str, options: "ExecOptions", warn: "Warn", stdio: "tuple[int, int, int]") -> int:
    """Start the program of ``options["document"]`` (JSON bytes), and no more: its pid, a child of ours to wait for."""
    handshake = begin(prepared(root, id, [], options, warn), stdio)
    handshake.close()
    return handshake.pid


def exec_process(root: str, id: str, args: "list[str]", options: "ExecOptions", warn: "Warn") -> int:
    """Run ``args`` (or the program of ``options["process"]``) in container ``id``.

    The exit status of the program, 0 with ``detach``. Raises OcirunError when it could not be started.
    """
    joining = prepared(root, id, args, options, warn)
    if options.get("detach"):
        begin(joining, (0, 1, 2)).close()
        return 0
    from runtime.process.foreground import Foreground

    foreground = Foreground()
    handshake = begin(joining, (0, 1, 2))
    try:
        return foreground.wait(handshake.pid, -1 if options.get("console_socket") else handshake.console)
    finally:
        handshake.close()
