"""The options of the v2 hierarchy, which all its mounts share: CRIU mounts it plainly, and takes them from the whole host.

Without nsdelegate, a container could change limits that are not its own. So they are put back.
"""

import posix

from runtime import files
from runtime.errors import OcirunError
from runtime.plan import ops
from runtime.process import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from runtime.shapes import Warn

KIND = "cgroup2"
READ_ONLY = ("rw", "ro")


def read() -> "tuple[str, list[str]]":
    """The mount point of the hierarchy, and its options; "" and [] without one."""
    for line in files.read("/proc/self/mountinfo").decode("utf-8", "surrogateescape").split("\n"):
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == KIND and before.split(" ")[3] == "/":
            return before.split(" ")[4], [name for name in options.split(",") if name not in READ_ONLY]
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

    def __enter__(self) -> None:
        import fcntl

        point, _ = read()
        if point:
            self.lock = posix.open(point, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
            self.before = read()

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        if self.lock >= 0:
            try:
                put_back(self.before, self.directory, self.warn)
            finally:
                posix.close(self.lock)


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
