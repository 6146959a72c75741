"""The options of the v2 hierarchy, which all its mounts share: CRIU mounts it plainly, and takes them from the whole host.

Without nsdelegate, a container could change limits that are not its own. So they are put back.
"""

import posix

from runtime.errors import OcirunError
from runtime.host import mountinfo
from runtime.plan import ops
from runtime.process import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from runtime.shapes import Warn

KIND = "cgroup2"
READ_ONLY = ("rw", "ro")
LOCK = "/run/ocirun-criu.lock"


def read() -> "tuple[str, list[str]]":
    """The mount point of the hierarchy, and its options; "" and [] without one."""
    for mount in mountinfo.of_process().all:
        if mount.type == KIND and mount.root == "/":
            return mount.point, [name for name in mount.options if name not in READ_ONLY]
    return "", []


class Kept:
    """While it is entered, no other checkpoint or restore changes the options; at its end they are as before.

    Two at once would take each other's loss for how it was. ``directory``: as for `spawn.init`.
    """

    def __init__(self, directory: str, warn: "Warn") -> None:
        self.directory = directory
        self.warn = warn
        self.lock = -1
        self.before: tuple[str, list[str]] = "", []

    def __enter__(self) -> "Kept":
        if read()[0]:
            self.lock = lock()
            self.before = read()
        return self

    def end(self) -> None:
        """Let others go on, before it is left; once."""
        if self.lock < 0:
            return
        try:
            put_back(self.before, self.directory, self.warn)
        finally:
            posix.unlink(LOCK)
            posix.close(self.lock)
            self.lock = -1

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        self.end()


def lock() -> int:
    """The open lock file, once no other process has it. Not the hierarchy itself, which any user can lock."""
    import fcntl

    while True:
        descriptor = posix.open(LOCK, posix.O_RDWR | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if posix.stat(LOCK).st_ino == posix.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:  # its last owner has removed it
            pass
        posix.close(descriptor)


def put_back(before: "tuple[str, list[str]]", directory: str, warn: "Warn") -> None:
    """Set what was lost since. A failure is a warning. ``directory``: as for `spawn.init`."""
    point, wanted = before
    if not point or read() == before:
        return
    plan = [ops.root("/", False, False), ops.remount(point, wanted), ops.created()]
    handshake = spawn.init(plan, 0, directory)
    try:
        if not handshake.follow(lambda *_: None):
            raise handshake.died()
    except OcirunError as error:
        warn(f"CRIU has changed the options of {point}, which had {', '.join(wanted)}: {error.message}")
    finally:
        handshake.end()
        handshake.close()
