"""Cgroups of v2 whose members are threads (cgroup-v2, "Threads"). Cold: imported only where there is such a cgroup."""

from runtime import files
from runtime.cgroups.intent import POINTER
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The controllers that can tell threads apart: a cgroup below a threaded one has no others.
CONTROLLERS = ("cpu", "cpuset", "perf_event", "pids")
INVALID = b"domain invalid"


def join(path: str, mountpoint: str, pointers: "Mapping[str, str]") -> None:
    """Make cgroup ``path`` threaded. Below a threaded cgroup it is invalid otherwise, and no process can enter it.

    ``pointers``: the controllers that limits need, with their places in the config. OcirunError for one that a threaded
    cgroup cannot have.
    """
    for name, pointer in pointers.items():
        if name not in CONTROLLERS:
            message = f"cgroup {path} is below a threaded one, where the {name} controller cannot be"
            raise OcirunError(f"{message}: choose a cgroupsPath that is not", pointer)
    above = path[: len(mountpoint.rstrip("/"))]
    for name in path[len(above) + 1 :].split("/"):  # from the top: the parent must be threaded first
        above += f"/{name}"
        if files.read_or_empty(f"{above}/cgroup.type").strip() == INVALID:
            try:
                files.write(f"{above}/cgroup.type", b"threaded")
            except OSError as error:
                raise system_failure(f"make cgroup {above} threaded, as its parent is", error, POINTER) from None


def processes(threads: "Iterable[bytes]") -> list[int]:
    """The processes of these threads, each once. One that has ended is left out."""
    pids: dict[int, None] = {}
    for thread in threads:
        for line in files.read_or_empty(f"/proc/{int(thread)}/status").split(b"\n"):
            if line.startswith(b"Tgid:"):
                pids[int(line.split()[1])] = None
    return list(pids)
