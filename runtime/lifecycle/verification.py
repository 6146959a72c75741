"""What `ocirun verify` needs of a container: its config, its first process, and what its record says. Cold."""

import posix
from errno import EACCES, EPERM

from oci_spec import load_accepted, load_checked
from runtime import files
from runtime.errors import InvalidConfig, NotFound, OcirunError, WrongState, system_failure
from runtime.host.facts import absolute
from runtime.kernel import S_IFDIR, S_IFMT
from runtime.lifecycle import config, state, store
from runtime.verify import checks
from runtime.verify.container import Container
from runtime.verify.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import Config
    from runtime.shapes import Record, VerifyTitle

# Rules about the text. What breaks another one can be compared all the same: a runtime has taken it.
UNREADABLE = ("json", "document", "nul_in_string")


def of_container(root: str, id: str) -> Report:
    """A container of ocirun, against the config that `create` read. WrongState if it has no process."""
    handle = store.open_unlocked(root, id)
    try:
        record, status = state.read(handle, id)
        if status in (state.STOPPED, state.CREATING):
            raise WrongState(f"cannot verify a {status} container: it has no process to look at")
        data = store.read_file(handle, store.CONFIG)
    except FileNotFoundError:
        raise store.missing(id) from None
    finally:
        posix.close(handle)
    spec: Config = load_accepted(data)
    if record.get("notify"):
        from runtime.lifecycle import notify

        spec = notify.with_mount(spec, root, id)

    def container() -> Container:
        return Container(
            spec,
            record["bundle"],
            record["pid"],
            id=id,
            started=status != state.CREATED,
            rows=record["cgroups"],
            resources=record.get("resources"),
            resctrl=record.get("resctrl"),
        )

    file = f"{root}/{id}/{store.CONFIG}"
    title: VerifyTitle = {"id": id, "pid": record["pid"], "bundle": record["bundle"], "config": file}
    return _report(title, data, container, _notes(record, data))


def _notes(record: "Record", data: bytes) -> "list[str]":
    """What the reader may not know: the bundle's config is another one by now, or the limits were changed."""
    notes = []
    file = f"{record['bundle']}/config.json"
    try:
        present = config.read(file, ordinary=True)
    except OcirunError:
        present = b""
    if present != data:
        what = "is gone" if not posix.access(file, posix.F_OK) else "differs from it"
        notes.append(f"the config is the one that create read; {file} {what}")
    if record.get("resources"):
        notes.append("limits are compared with those that update set, not with the config's")
    return notes


def of_process(bundle: str, pid: int) -> Report:
    """Any runtime's container: ``pid`` is its first process, ``bundle`` a directory or a config file."""
    file = absolute(bundle, posix.getcwd())
    directory = file.rpartition("/")[0] or "/"
    if _is_directory(file):
        file, directory = f"{file}/config.json", file
    data = config.read(file, ordinary=True)
    spec: Config
    spec, problems = load_checked(data)
    notes = []
    for problem in problems:
        if problem.severity == "error":
            error = InvalidConfig(config.message(problem), problem.pointer, problem.line)
            if problem.rule.startswith("schema:") or problem.rule in UNREADABLE:
                raise error
            notes.append(f"ocirun would refuse this config: {error}")
    for section in ("linux", "root"):
        if not spec.get(section):
            raise config.locate(InvalidConfig(f"there is nothing to verify without {section}", f"/{section}"), data)
    started = has_started(pid)
    if not started:
        notes.append("the runtime's own program waits in the container, as before start")
    title: VerifyTitle = {"id": "", "pid": pid, "bundle": directory, "config": file}
    return _report(title, data, lambda: Container(spec, directory, pid, started=started), notes)


def has_started(pid: int) -> bool:
    """Whether the process runs a program of the container: a runtime waits for start in a copy of itself without a name."""
    try:
        program = posix.readlink(f"/proc/{pid}/exe")
    except OSError:
        return True  # reported when the rest is read
    name = files.read_or_empty(f"/proc/{pid}/comm").strip()
    return not (program == "/" or program.startswith("/memfd:") or name.endswith(b":[2:INIT]"))


def _is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & S_IFMT == S_IFDIR
    except OSError:
        return False  # reported when the config is opened


def _report(title: "VerifyTitle", data: bytes, read: "Callable[[], Container]", notes: "list[str]") -> Report:
    """``read`` reads the process of the title, which must not end meanwhile."""
    pid = title["pid"]
    started = state.start_time(pid)
    if started is None:
        raise NotFound(f"process {pid} does not exist, or has ended")
    try:
        result = checks(read())
    except OSError as error:
        failure = system_failure(f"read process {pid}", error)
        if error.errno in (EPERM, EACCES):
            failure.message += "; root may, or the user whose container it is, once its program has started"
        raise failure from None
    if state.start_time(pid) != started:
        raise OcirunError(f"process {pid} ended while it was looked at")
    return Report(title, notes, data, result)
