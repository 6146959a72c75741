"""NOTIFY_SOCKET: the container tells a service manager that it is ready (sd_notify(3)), passed on as runc does. Cold.

The container gets a socket of its own, so that nothing of the host is mounted in it: ROOT/ID/notify/notify.sock, seen
as /run/notify/notify.sock. `start` binds it, waits for READY=1, and passes that on to the caller's socket with the main
pid. The mount is read-only, which does not keep anybody from writing to a socket: `delete` would have to remove files
that the container made there.
"""

import errno
import posix
import select
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, socket

from runtime.errors import system_failure, system_words
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from oci_spec.types import Config, Mount
    from runtime.shapes import Record

SOCKET = f"{store.NOTIFY}/notify.sock"
INSIDE = "/run/notify"
ENVIRONMENT = f"NOTIFY_SOCKET={INSIDE}/notify.sock"
# Private: under a shared root the host would see what the container mounts on it.
MOUNT_OPTIONS = ("bind", "nosuid", "noexec", "nodev", "ro", "private")
MAX_DATAGRAM = 4096  # bytes; as much as systemd reads
READY = b"READY=1"


def note(record: "Record", target: bytes, spec: "Config", warn: "Callable[[str], None]") -> None:
    """Put the caller's socket into the record; a warning if the container cannot have a socket of its own."""
    if target[:1] not in (b"/", b"@"):
        warn(f"NOTIFY_SOCKET={target.decode(errors='replace')} is ignored: neither a path nor an abstract socket")
        return
    if not any(namespace["type"] == "mount" for namespace in spec["linux"].get("namespaces", ())):
        warn("NOTIFY_SOCKET is ignored: the container has no mount namespace of its own")
        return
    record["notify"] = target.decode(errors="surrogateescape")


def with_mount(spec: "Config", root: str, id: str) -> "Config":
    """The config with the mount of the container's own socket added at the end."""
    source = f"{root}/{id}/{store.NOTIFY}"
    mount: Mount = {"destination": INSIDE, "type": "bind", "source": source, "options": list(MOUNT_OPTIONS)}
    return {**spec, "mounts": [*spec.get("mounts", []), mount]}


def make_directory(handle: int) -> None:
    """Make ROOT/ID/notify, which every user of the container must be able to search, whatever the caller's umask."""
    try:
        posix.mkdir(store.NOTIFY, 0o755, dir_fd=handle)
        posix.chmod(store.NOTIFY, 0o755, dir_fd=handle)
    except OSError as error:
        raise system_failure("make the container's notify directory", error) from None


class Notification:
    """The container's socket, bound before its program runs. ``record`` has "notify" and the pid of init."""

    def __init__(self, handle: int, record: "Record") -> None:
        self.record = record
        self.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC)
        try:
            try:
                posix.unlink(SOCKET, dir_fd=handle)  # left by a `start` that was killed
            except FileNotFoundError:
                pass
            # Through /proc, since the path may be too long for a socket address.
            self.socket.bind(f"/proc/self/fd/{handle}/{SOCKET}")
            posix.chmod(SOCKET, 0o777, dir_fd=handle)
        except OSError as error:
            self.close()
            raise system_failure("make the container's notify socket", error) from None

    def close(self) -> None:
        self.socket.close()

    def wait(self, warn: "Callable[[str], None]") -> None:
        """Wait until READY=1 was passed on, or init has ended. Closes the socket."""
        init = state.open_process(self.record)
        try:
            waiting = select.poll()
            waiting.register(self.socket.fileno(), select.POLLIN)
            if init is not None:
                waiting.register(init, select.POLLIN)
            while True:
                ready = {descriptor for descriptor, _ in waiting.poll(0 if init is None else None)}
                if self.socket.fileno() not in ready:
                    return
                if READY in self.socket.recv(MAX_DATAGRAM).split(b"\n"):
                    self._tell(warn)
                    return
        finally:
            if init is not None:
                posix.close(init)
            self.close()

    def wait_aside(self, warn: "Callable[[str], None]") -> None:
        """The same in a thread, for `run` in the foreground, which forwards signals meanwhile."""
        from _thread import start_new_thread

        start_new_thread(self.wait, (warn,))

    def _tell(self, warn: "Callable[[str], None]") -> None:
        """Send one datagram to the caller's socket. The container runs already, so a failure is a warning."""
        target = self.record["notify"].encode(errors="surrogateescape")
        address = b"\0" + target[1:] if target[:1] == b"@" else target
        host = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC)
        try:
            host.sendto(b"MAINPID=%d\n%s\n" % (self.record["pid"], READY), address)
        except OSError as error:
            warn(f"tell NOTIFY_SOCKET {self.record['notify']}: {system_words(error.errno or errno.EIO)}")
        finally:
            host.close()


def bound(handle: int, record: "Record") -> "Notification | None":
    """The socket for `start`; None in a state in which `start` will fail anyway."""
    return Notification(handle, record) if state.can_start(state.status_of(handle, record, locked=True)) else None
