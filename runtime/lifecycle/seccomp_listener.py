"""Sending the listener of a filter with SCMP_ACT_NOTIFY to its agent: config-linux.md "The Container Process State".

Init has loaded the filter and waits; if this fails, the program never runs. Imported only for a config with that action.
"""

import posix
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET, socket
from _struct import pack

from runtime.errors import OcirunError, system_failure
from runtime.lifecycle import state
from runtime.lifecycle.document import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import JsonObject
    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake
    from runtime.shapes import HostContext, Record

POINTER = "/linux/seccomp/listenerPath"
FD_NAME = "seccompFd"  # the spec's name of the listener among the descriptors
ADDRESS_SIZE = 107  # of a sockaddr_un's path, without its NUL


def process_state(operation: "Operation", record: "Record", status: str, pid: int) -> "JsonObject":
    """The container process state of process ``pid``. ``status``: the container's."""
    document = {"ociVersion": state.VERSION, "fds": [FD_NAME], "pid": pid, "state": state.document(record, status)}
    _, _, _, _, (_, _, metadata) = operation
    if metadata:
        document["metadata"] = metadata
    return document


def give(context: "HostContext", handshake: "Handshake", operation: "Operation") -> None:
    """As `send`, during the handshake with init."""
    send(operation, context["record"], context["status"], handshake.pid, handshake.take_listener())


def send(operation: "Operation", record: "Record", status: str, pid: int, listener: int) -> None:
    """Connect to listenerPath, send the state of process ``pid`` with its ``listener``, and close both.

    OcirunError with the property's pointer.
    """
    _, _, _, _, (_, listener_path, _) = operation
    path = str(listener_path)
    data = dumps(process_state(operation, record, status, pid)).encode()
    channel = None
    tried = f"connect to {path}"
    try:
        if listener < 0:
            raise OcirunError("init has sent no descriptor for the seccomp listener", POINTER)
        channel = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
        connect(channel, path if path.startswith("/") else f"{record['bundle']}/{path}")
        tried = f"send the seccomp listener to {path}"
        sent = channel.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, pack("=i", listener))])
        try:
            channel.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            pass  # the first part carried the listener: an agent need not read the rest of the state
    except OSError as error:
        raise refused(tried, error) from None
    finally:
        if channel:
            channel.close()
        if listener >= 0:
            posix.close(listener)


def connect(channel: socket, path: str) -> None:
    """Connect. A path too long for a socket address goes through its open directory."""
    if len(path.encode("utf-8", "surrogateescape")) <= ADDRESS_SIZE:
        channel.connect(path)
        return
    above, _, name = path.rpartition("/")
    directory = posix.open(above or "/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        channel.connect(f"/proc/self/fd/{directory}/{name}")
    finally:
        posix.close(directory)


def refused(tried: str, error: OSError) -> OcirunError:
    if error.errno is None:  # Python's own: "AF_UNIX path too long"
        return OcirunError(f"{tried}: {error}", POINTER)
    failure = system_failure(tried, error, POINTER)
    failure.message += "; the agent that answers the filter's notifications must listen there, on a stream socket"
    return failure
