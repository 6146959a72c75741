"""Trying something in a child whose namespaces end with it. Cold.

A step returns 0, or an errno; the first that fails ends the trial. Nothing that the child makes is visible outside. A seccomp
filter may kill it: then the errno is EPERM.
"""

import posix
from errno import EIO, EPERM

from runtime import shim
from runtime.kernel import CLONE_NEWUSER, MS_PRIVATE, MS_REC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[], int]

# A directory to mount on in the child: one that every system has.
PLACES = ("/tmp", "/mnt", "/run", "/var", "/dev", "/etc")


def trial(*steps: "Step") -> int:
    """The errno of the first step that fails in a child, else 0."""
    child = posix.fork()
    if child == 0:
        try:
            status = next(filter(None, (step() for step in steps)), 0)
        except OSError as error:
            status = error.errno or EIO
        except BaseException:
            status = EIO
        posix._exit(status)
    code = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
    return code if code >= 0 else EPERM


def system_call(name: str, *arguments: "int | bytes | None") -> int:
    """The errno of one of `shim.CALLS`, else 0."""
    return trial(lambda: max(0, -shim.system_call(name, *arguments)))


def unshare(flags: int, mapped: bool = True) -> "Step":
    """New namespaces. With a user namespace among them, the caller is its root if ``mapped``."""
    uid, gid = posix.geteuid(), posix.getegid()

    def step() -> int:
        error = -shim.system_call("unshare", flags)
        if mapped and not error and flags & CLONE_NEWUSER:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                descriptor = posix.open(f"/proc/self/{name}", posix.O_WRONLY | posix.O_CLOEXEC)
                posix.write(descriptor, text.encode())
                posix.close(descriptor)
        return error

    return step


def mount(kind: str, options: str = "", where: str = "") -> "Step":
    """A new file system over a directory, after all mounts were made private."""

    def step() -> int:
        place = where or next(filter(is_directory, PLACES), "/")
        error = -shim.system_call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
        return error or -shim.system_call("mount", kind.encode(), place.encode(), kind.encode(), 0, options.encode())

    return step


def directories(*names: str) -> "Step":
    """Directories below the place that `mount` mounted on."""

    def step() -> int:
        place = next(filter(is_directory, PLACES), "/")
        for name in names:
            posix.mkdir(f"{place}/{name}", 0o755)
        posix.chdir(place)
        return 0

    return step


def in_child(*steps: "Step") -> "Step":
    """The steps in a child of the child: for a new pid namespace."""
    return lambda: trial(*steps)


def is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except OSError:
        return False
