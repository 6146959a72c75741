"""Cgroups of v2 whose members are threads (cgroup-v2, "Threads"). Not hot: `apply` and `tree` import it where they meet one."""

from runtime.cgroups import tree
from runtime.errors import OcirunError, system_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Those that can tell threads apart. A cgroup below a threaded one has no other.
CONTROLLERS = ("cpu", "cpuset", "perf_event", "pids")
INVALID = b"domain invalid"


def join(path: str, mountpoint: str, pointers: "Mapping[str, str]") -> None:
    """Make a cgroup that no process can enter as it is, since one above it is threaded, threaded too.

    `pointers`: the controllers that limits need, with their place in the config. OcirunError where one of them cannot be had there.
    """
    for name, pointer in pointers.items():
        if name not in CONTROLLERS:
            words = f"cgroup {path} is below a threaded one, where the {name} controller cannot be"
            raise OcirunError(f"{words}: choose a cgroupsPath that is not", pointer)
    above = path[: len(mountpoint.rstrip("/"))]
    for name in path[len(above) + 1 :].split("/"):  # from the top: a threaded one needs a parent that is
        above += f"/{name}"
        if tree.read(f"{above}/cgroup.type").strip() == INVALID:
            try:
                tree.write(f"{above}/cgroup.type", b"threaded")
            except OSError as error:
                raise system_failure(f"make cgroup {above} threaded, as its parent is", error, tree.POINTER) from None


def processes(threads: "Iterable[bytes]") -> list[int]:
    """The processes that these threads are of, each once. One that has ended is left out."""
    found: dict[int, None] = {}
    for thread in threads:
        for line in tree.read(f"/proc/{int(thread)}/status").split(b"\n"):
            if line.startswith(b"Tgid:"):
                found[int(line.split()[1])] = None
    return list(found)
