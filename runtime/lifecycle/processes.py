"""The state side of `ps`: the processes of a container, as the host sees them."""

import posix

from runtime import files
from runtime.cgroups import members
from runtime.cgroups.intent import entered
from runtime.errors import OcirunError
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config
    from runtime.shapes import Record


def processes(root: str, id: str) -> list[int]:
    """The pids of all processes in the container's cgroups, sorted; [] when it is stopped and no process outlived it.

    A container without cgroups (--cgroup-manager disabled, or rootless) is identified by its pid namespace.
    """
    handle = store.open_unlocked(root, id)
    try:
        record, status = state.read(handle, id)
    finally:
        posix.close(handle)
    if entered(record["cgroups"]):
        return members.processes(record["cgroups"])
    return [] if status in (state.STOPPED, state.CREATING) else in_namespace(record)


def in_namespace(record: "Record") -> list[int]:
    """The pids of the processes in the container's own pid namespace. OcirunError if it has none of its own."""
    pid = record["pid"]
    namespace = _namespace(str(pid))
    status = files.read_or_empty(f"/proc/{pid}/status")
    numbers = [line.split() for line in status.split(b"\n") if line.startswith(b"NSpid:")]
    if namespace == _namespace("self") or (numbers and numbers[0][-1] != b"1"):
        raise OcirunError("the container has no cgroup or pid namespace of its own that would identify its processes")
    return sorted(int(name) for name in posix.listdir("/proc") if name.isdigit() and _namespace(name) == namespace)


def outlive(handle: int) -> bool:
    """Whether processes of a container without cgroups may outlive init unidentified: it has no pid namespace of its own.
    False if its config is gone.
    """
    from oci_spec import load_accepted

    try:
        config: Config = load_accepted(store.read_file(handle, store.CONFIG))
    except (OSError, ValueError, OcirunError):
        return False
    namespaces = config.get("linux", {}).get("namespaces", [])
    return not any(namespace["type"] == "pid" and not namespace.get("path") for namespace in namespaces)


def open_in_namespace(record: "Record", pid: int) -> int:
    """A pidfd of a process in the container's pid namespace; -1 if it has ended, even if its pid was reused."""
    try:
        process = posix.pidfd_open(pid)
    except OSError:
        return -1
    namespace = _namespace(str(pid))
    if namespace and namespace == _namespace(str(record["pid"])):
        return process
    posix.close(process)
    return -1


def _namespace(process: str) -> str:
    try:
        return posix.readlink(f"/proc/{process}/ns/pid")
    except OSError:  # it has ended, or belongs to another user
        return ""
