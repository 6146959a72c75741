"""As whom an image is unpacked: root as such, others as root of a user namespace with the ids that their containers have."""

import posix

from runtime import shim
from runtime.errors import OcirunError, system_failure
from runtime.images.trees.owners import Rights
from runtime.kernel import CLONE_NEWUSER
from runtime.process import id_tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.images.trees.owners import Form

    Ranges = list[tuple[int, int, int]]  # first id inside, first id outside, how many

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_CAP_SYS_ADMIN = 21
_ALL = [b"0", b"0", b"4294967295"]
FILES = {"uid_map": ("/etc/subuid", posix.geteuid), "gid_map": ("/etc/subgid", posix.getegid)}


class Caller:
    """Who calls, found out before a namespace is entered.

    ``uid``, ``gid``: the caller's. ``form``: see `Rights`; root of a container may not use trusted attributes. ``ids``: the
    maps of the user namespace by file of /proc, {} where none is made. ``squash``: each has one id alone.
    """

    def __init__(self) -> None:
        self.uid, self.gid = posix.geteuid(), posix.getegid()
        self.is_host_root = self.uid == 0 and _own_map() == _ALL
        self.form: Form = "trusted" if self.is_host_root and _may_administrate() else "user"
        self.ids: dict[str, Ranges] = {}
        if self.uid:
            self.ids = {name: [(0, own(), 1), *subordinate(path)] for name, (path, own) in FILES.items()}
            if any(len(ranges) == 1 for ranges in self.ids.values()) or not all(
                map(id_tools.find, id_tools.TOOLS.values())
            ):
                self.ids = {name: ranges[:1] for name, ranges in self.ids.items()}
        self.squash = any(len(ranges) == 1 for ranges in self.ids.values())

    def rights(self, warn: "Callable[[str], None]") -> Rights:
        return Rights(self.form, self.squash, warn)

    def enter(self) -> None:
        """Go on as root of the user namespace, in a child; the caller's own process ends here, with the child's status."""
        if not self.ids:
            return
        ready, begun = posix.pipe2(posix.O_CLOEXEC)
        go, mapped = posix.pipe2(posix.O_CLOEXEC)
        child = posix.fork()
        if not child:
            posix.close(ready)
            posix.close(mapped)
            _become_root(begun, go)
            return
        posix.close(begun)
        posix.close(go)
        try:
            if posix.read(ready, 1):
                write_maps(child, self.ids)
                posix.write(mapped, b"m")
        finally:
            posix.close(mapped)
            status = _wait(child)
        posix._exit(status)


def _become_root(begun: int, go: int) -> None:
    """In the child. Ends with the parent, who has the maps written."""
    number = -shim.system_call("unshare", CLONE_NEWUSER)
    if number > 0:
        raise system_failure("make a user namespace, in which the image's owners have ids", OSError(number, ""))
    shim.system_call("prctl", _PR_SET_PDEATHSIG, _SIGKILL)
    posix.write(begun, b"u")
    if not posix.read(go, 1):
        posix._exit(1)  # the parent has said why
    posix.close(begun)
    posix.close(go)


def write_maps(pid: int, ids: "dict[str, Ranges]") -> None:
    """Write the maps of a process's new user namespace. Raises OcirunError."""
    for name, ranges in ids.items():
        text = "".join(f"{inside} {outside} {count}\n" for inside, outside, count in ranges)
        try:
            if len(ranges) > 1:
                id_tools.write_map(pid, name, text)
                continue
            if name == "gid_map":
                _write(f"/proc/{pid}/setgroups", "deny")
            _write(f"/proc/{pid}/{name}", text)
        except OcirunError as error:
            raise OcirunError(error.message) from None  # without a place in config.json, which is not there yet
        except OSError as error:
            raise system_failure(f"write {name} of a user namespace", error) from None


def _write(path: str, text: str) -> None:
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, text.encode())
    finally:
        posix.close(descriptor)


def _wait(child: int) -> int:
    """The child's exit status, as a shell's. An interrupt goes to both, and the child says so."""
    while True:
        try:
            status = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            continue


def subordinate(path: str) -> "Ranges":
    """The caller's ranges in a file of subuid(5), after the caller's own id, one after another."""
    names = (id_tools.user_name(), str(posix.geteuid()))
    ranges: Ranges = []
    inside = 1
    for row in id_tools.rows(path):
        if len(row) == 3 and row[0] in names and row[1].isdigit() and row[2].isdigit() and int(row[2]):
            ranges.append((inside, int(row[1]), int(row[2])))
            inside += int(row[2])
    return ranges


def _may_administrate() -> bool:
    """Whether the caller has CAP_SYS_ADMIN."""
    from runtime import files

    for line in files.read_or_empty("/proc/self/status").split(b"\n"):
        if line.startswith(b"CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return True


def _own_map() -> "list[bytes]":
    from runtime import files

    return files.read_or_empty("/proc/self/uid_map").split() or _ALL
