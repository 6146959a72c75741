"""What only a process in the container's namespaces can read: names, sysctls, network devices.

A child enters the network, IPC and UTS namespaces, and the user namespace, in which group ids mean what the config says.
It stays in the mount namespace of the caller, whose procfs shows the namespaces of whoever reads it.
"""

import posix

from runtime import files
from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oci_spec.types import JsonObject

ENTERED = ("net", "ipc", "uts")


def ask(pid: int, paths: "Sequence[str]", privileged: bool) -> "JsonObject":
    """path below /proc → its content, or the errno with which it could not be read. Raises OSError, if even that fails.

    ``privileged``: the caller's rights count in all user namespaces; otherwise it enters the container's first.
    """
    own = {name: _namespace("self", name) for name in (*ENTERED, "user")}
    others = [name for name in ENTERED if _namespace(str(pid), name) != own[name]]
    if _namespace(str(pid), "user") != own["user"]:
        others = [*others, "user"] if privileged else ["user", *others]
    return in_child(lambda: _answers(pid, others, paths))


def _namespace(process: str, name: str) -> str:
    return posix.readlink(f"/proc/{process}/ns/{name}")


def _answers(pid: int, namespaces: "Sequence[str]", paths: "Sequence[str]") -> "JsonObject":
    from runtime.shim import setns

    opened = [posix.open(f"/proc/{pid}/ns/{name}", posix.O_RDONLY | posix.O_CLOEXEC) for name in namespaces]
    for fd in opened:
        setns(fd)
    answers: JsonObject = {}
    for path in paths:
        try:
            answers[path] = files.read(f"/proc/{path}").decode(errors="replace")
        except OSError as error:
            answers[path] = error.errno
    return answers


def in_child(work: "Callable[[], JsonObject]") -> "JsonObject":
    """What ``work`` returns in a child. Raises the OSError that it raises there."""
    import json

    ours, theirs = posix.pipe()
    child = posix.fork()
    if child == 0:
        status = 1
        try:
            try:
                text = json.dumps({"answers": work()})
            except OSError as error:
                text = json.dumps({"errno": error.errno})
            rest = text.encode()
            while rest:
                rest = rest[posix.write(theirs, rest) :]
            status = 0
        finally:
            posix._exit(status)
    posix.close(theirs)
    pieces = []
    while piece := posix.read(ours, 1 << 16):
        pieces.append(piece)
    posix.close(ours)
    posix.waitpid(child, 0)
    document = json.loads(b"".join(pieces) or b"{}")
    if "errno" in document:
        raise OSError(document["errno"], posix.strerror(document["errno"]))
    if "answers" not in document:
        raise OcirunError("a process in the container's namespaces ended without an answer")
    answers: JsonObject = document["answers"]
    return answers
