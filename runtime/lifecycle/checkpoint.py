"""The state side of `checkpoint`: CRIU writes a running container to an image directory, and the container is deleted.

Everything is checked before a process is stopped. When CRIU fails, the container goes on. Cold.
"""

import posix

from oci_spec import load_accepted
from runtime.cgroups import freezer
from runtime.cgroups.intent import SHARED
from runtime.criu import messages
from runtime.criu.program import Criu
from runtime.criu.service import Service
from runtime.errors import Interrupted, OcirunError, WrongState, system_failure
from runtime.lifecycle import cgroup_options, criu, criu_external, criu_images, notify, state, store
from runtime.lifecycle.delete import destroy
from runtime.process import interruption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config
    from runtime.criu.messages import Response
    from runtime.criu.service import Notified
    from runtime.shapes import CheckpointOptions, Record, Warn

LOG = "dump.log"
COUNTS = "stats-dump"  # among the images
SWITCHES = ("leave_running", "tcp_skip_in_flight", "link_remap")
READY = "status-ready"  # CRIU's notification that the lazy pages can be asked for
_ACCESS = 3  # O_ACCMODE


def checkpoint(root: str, id: str, options: "CheckpointOptions", warn: "Warn") -> None:
    """Save a running or paused container. Unless ``leave_running`` or ``pre_dump``, it ends and is deleted.

    WrongState in any other state. OcirunError when it cannot be saved; then it goes on running.
    """
    criu.check_rights("checkpoint")
    handle = store.open_locked(root, id)
    opened: list[int] = []
    try:
        record = store.read_state(handle, id)
        status = state.status_of(handle, record, locked=True)
        if status not in (state.RUNNING, state.PAUSED):
            raise WrongState(f'cannot checkpoint container "{id}": container not running: it is {status}')
        spec: Config = load_accepted(store.read_file(handle, store.CONFIG))
        criu_external.check(spec)
        path = options["image_path"]
        opened.append(criu_images.open_directory("--image-path", path, make=True))
        if options.get("work_path"):
            path = options["work_path"]
            opened.append(criu_images.open_directory("--work-path", path, make=True, links=True))
        criu_images.check_outputs(opened[0], options["image_path"], COUNTS)
        criu_images.check_outputs(opened[-1], path, LOG)
        values = request(root, id, spec, record, options, (opened[0], opened[-1]))
        program = Criu(options.get("criu", ""), root, opened[0])
        program.require(values, features(options))
        if options.get("debug"):
            options["debug"](f"{program.path} is asked for {values}")
        if not options.get("pre_dump"):
            criu_images.write_descriptors(opened[0], record)
        dump(program, values, options, record, (opened[-1], path), status, warn)
        if not (options.get("leave_running") or options.get("pre_dump")):
            destroy(root, id, handle, record, warn)
    finally:
        for descriptor in (*opened, handle):
            posix.close(descriptor)


def features(options: "CheckpointOptions") -> "list[str]":
    """What CRIU must be able to do, besides the ordinary."""
    tracked = options.get("pre_dump") or options.get("parent_path")
    return ["mem_track"] * bool(tracked) + ["lazy_pages"] * bool(options.get("lazy_pages"))


def request(
    root: str, id: str, spec: "Config", record: "Record", options: "CheckpointOptions", directories: "tuple[int, int]"
) -> "dict[str, object]":
    """The options of CRIU. ``directories``: of the images and the work files, open. OcirunError for a bad flag."""
    values = criu.common(options, spec, *directories)
    values |= {name: bool(options.get(name)) for name in SWITCHES}
    values |= {"pid": record["pid"], "root": record["rootfs"], "log_file": LOG}
    values["external"] = criu_external.dumped_namespaces(spec)
    row = freezer.freezable(record["cgroups"])
    if row and row["made"] != SHARED:  # others may be in the cgroups below: CRIU stops each process by ptrace instead
        values["freeze_cgroup"] = row["path"]
    if options.get("page_server"):
        values["ps"] = server(options["page_server"])
    if options.get("parent_path"):
        criu_images.check_parent(directories[0], options["parent_path"])
        values["parent_img"] = options["parent_path"]
    if options.get("parent_path") or options.get("pre_dump"):
        values["track_mem"] = True
    if options.get("status_fd") is not None:
        check_status(options)
    if not options.get("pre_dump"):
        if record.get("notify"):
            spec = notify.with_mount(spec, root, id)
        values["ext_mnt"] = criu_external.dumped_mounts(spec, record["rootfs"], record["bundle"], record["pid"])
    return values


def server(text: str) -> "tuple[str, int]":
    """Address and port of ``ADDRESS:PORT``. OcirunError for anything else."""
    address, _, port = text.rpartition(":")
    address = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address
    if not address or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise OcirunError(f'--page-server "{text}": must be ADDRESS:PORT')
    return address, int(port)


def check_status(options: "CheckpointOptions") -> None:
    """OcirunError unless ``status_fd`` can be written to, and CRIU will have something to say."""
    import fcntl

    number = options["status_fd"]
    if not options.get("lazy_pages"):
        raise OcirunError("--status-fd is for --lazy-pages")
    try:
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
    except OSError as error:
        raise system_failure(f"--status-fd {number}", error) from None
    if flags & _ACCESS == posix.O_RDONLY:
        raise OcirunError(f"--status-fd {number} is not open for writing")


def dump(
    program: Criu,
    values: "dict[str, object]",
    options: "CheckpointOptions",
    record: "Record",
    work: "tuple[int, str]",
    status: str,
    warn: "Warn",
) -> None:
    """Let CRIU do it. When it fails, the container goes on, and OcirunError says why. ``status``: before."""

    def notified(script: str, _: int, __: int) -> None:
        if script != READY:
            return
        kept.end()  # the restore that fetches the pages is next
        if options.get("status_fd") is not None:
            posix.write(options["status_fd"], b"\0")
            posix.close(options["status_fd"])

    kept = cgroup_options.Kept(program.directory, warn)
    kind = messages.PRE_DUMP if options.get("pre_dump") else messages.DUMP
    if options.get("interruptible"):
        interruption.catch("; the container goes on running")
    try:
        with kept:
            if not state.is_alive(record):
                raise OcirunError("the container has ended meanwhile")
            reason = ask(program, kind, values, notified)
    finally:
        interruption.release()
    if reason is None:
        return
    if status != state.PAUSED and freezer.frozen(record["cgroups"]):  # CRIU was killed
        freezer.thaw(record["cgroups"])
    after = "the container goes on running" if state.is_alive(record) else "the container has ended"
    raise criu.failure("checkpoint", reason, work, LOG, after)


def ask(program: Criu, kind: int, values: "dict[str, object]", notified: "Notified") -> "OcirunError | Response | None":
    """Send the request to a new CRIU. Returns what failed, None for success."""
    empty = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    service = Service(program.path, program.directory, stdio=(empty, empty, empty))
    reply: Response | None = None
    reason: OcirunError | None = None

    def talk() -> None:
        nonlocal reply
        service.follow(lambda *_: None)
        reply = service.ask(messages.request(kind, values), notified)

    try:
        interruption.attend(talk)
    except OSError as error:
        reason = system_failure("talk to CRIU", error)
    except OcirunError as error:
        reason = error
    finally:
        posix.close(empty)
        service.end() if isinstance(reason, Interrupted) else service.close()
    return reason or (None if reply and reply.success else reply)
