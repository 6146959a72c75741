"""The only importer of the C extension ``runtime._shim``. Turns -errno into OSError. Hot."""

import posix
from errno import EINTR

try:
    from runtime._shim import ffi, lib
except ModuleNotFoundError:
    # cffi's backend is in a directory that only site adds: slow, but correct.
    import site

    site.main()
    from runtime._shim import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Struct = Any  # a pointer to a C struct: cffi gives its fields no types

__all__ = ["Report", "ffi", "lib"]

_UNSIGNED = (1 << 64) - 1
# In the order of shim_system_call.
CALLS = (
    *("unshare", "mount", "prctl", "seccomp", "memfd_create", "clone3", "close_range", "openat2", "open_tree"),
    *("mount_setattr", "pidfd_open", "pidfd_send_signal", "keyctl", "bpf", "set_mempolicy", "sched_setattr", "syncfs"),
    "rt_tgsigqueueinfo",
)


def _checked(result: int, name: str | None = None) -> int:
    if result < 0:
        raise OSError(-result, posix.strerror(-result), name)
    return result


class Report:
    """A ``struct report`` of plan.h from init, with the sender's pid and the descriptor that came with it (-1: none)."""

    __slots__ = ("end", "error", "fd", "index", "kind", "pid", "start", "step")

    def __init__(self, record: "Struct", pid: int, fd: int) -> None:
        self.kind: int = record.kind
        self.index: int = record.index
        self.error: int = record.error
        self.step: int = record.step
        self.start: int = record.start
        self.end: int = record.end
        self.pid = pid
        self.fd = fd


def spawn(
    init: int, plan: int, handshake: int, extra: int, root: int, stdio: "Sequence[int]", kept: "Sequence[int]"
) -> int:
    """Start init from the sealed program ``init``; the next four become FD_PLAN … FD_ROOT (-1: none). Returns the pid."""
    descriptors = ffi.new("int[]", list(kept))
    how = ffi.new("struct shim_spawn *")
    how.init = init
    how.stdio = list(stdio)
    how.fixed = [plan, handshake, extra, root]
    how.kept = descriptors
    how.kept_count = len(kept)
    return _checked(lib.shim_spawn(how), "init")


def spawn_hook(
    path: str, arguments: "Sequence[str]", environment: "Sequence[str] | None", stdio: "Sequence[int]"
) -> int:
    """Start the program ``path``. ``stdio``: its standard input, output and error. Returns the pid.

    ``environment``: NAME=value; None is our own.
    """
    texts = [ffi.new("char[]", posix_path(text)) for text in (path, *arguments, *(environment or ()))]
    count = len(arguments) + 1
    first = ffi.new("char *[]", [*texts[1:count], ffi.NULL])
    second = ffi.new("char *[]", [*texts[count:], ffi.NULL])
    how = ffi.new("struct shim_spawn *")
    how.init = -1
    how.stdio = list(stdio)
    how.fixed = [-1, -1, -1, -1]
    how.path, how.arguments = texts[0], first
    how.environment = ffi.NULL if environment is None else second
    return _checked(lib.shim_spawn(how), path)


def sealed(program: bytes) -> int:
    """A sealed memfd with the init program. PermissionError if executable memfds are forbidden."""
    return _checked(lib.shim_sealed(program, len(program)))


def unlinked(directory: str, program: bytes) -> int:
    """The same in a file without a name in ``directory``. PermissionError if that is mounted noexec."""
    return _checked(lib.shim_unlinked(posix_path(directory), program, len(program)), directory)


def detached(program: bytes) -> int:
    """The same in a read-only tmpfs that is attached nowhere. PermissionError without CAP_SYS_ADMIN."""
    return _checked(lib.shim_detached(program, len(program)))


def shared(path: str, inode: int, like: int, program: bytes) -> int:
    """A descriptor of what `sealed` made for another container, found at ``path`` in /proc. ``like``: any memfd of ours."""
    return _checked(lib.shim_shared(posix_path(path), inode, like, program, len(program)), path)


def posix_path(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def socketpair() -> "tuple[int, int]":
    """Our end, which receives the sender's credentials, and init's."""
    ends = ffi.new("int[2]")
    _checked(lib.shim_socketpair(ends))
    return ends[0], ends[1]


def listen(path: str) -> int:
    return _checked(lib.shim_listen(posix_path(path)), path)


def connect(path: str) -> int:
    return _checked(lib.shim_connect(posix_path(path)), path)


def receive(socket: int) -> "Report | None":
    """The next report; None when the other end is closed."""
    record = ffi.new("struct report *")
    numbers = ffi.new("int[2]")
    result = -EINTR
    while result == -EINTR:  # between two calls Python handles the signal: control-C ends a create that hangs
        result = lib.shim_receive(socket, record, numbers, numbers + 1)
    if _checked(result) == 0:
        return None
    return Report(record, numbers[0], numbers[1])


def reply(socket: int, kind: int, length: int = 0, fd: int = -1) -> None:
    _checked(lib.shim_reply(socket, kind, length, fd))


def send_descriptor(path: str, name: str, fd: int) -> None:
    """Connect to the stream socket ``path`` and send ``name`` with the descriptor."""
    _checked(lib.shim_send_descriptor(posix_path(path), name.encode(), fd), path)


def container_tree(tree: "Struct") -> int:
    """A clone of the mount that a ``struct shim_tree`` describes, made in the container's mount namespace; else -errno."""
    return int(lib.shim_container_tree(tree))


def locked_tree(tree: "Struct") -> int:
    """The same from the caller's mount namespace, with the locks that the container's would add; else -errno."""
    return int(lib.shim_locked_tree(tree))


def locked_mount(tree: "Struct") -> int:
    """A copy of its detached ``mount``, with the locks that the container's namespace would add; else -errno."""
    return int(lib.shim_locked_mount(tree))


def node_tree(mode: int, device: int, uid: int, gid: int, label: str) -> int:
    """A detached mount of a new device node. ``mode``: with S_IFMT bits; ``device``: a dev_t; ``label``: SELinux's, or ""."""
    return _checked(lib.shim_node_tree(mode, device, uid, gid, posix_path(label)))


def mapped_namespace(uid_map: str, gid_map: str) -> int:
    """A descriptor of an empty user namespace with these maps."""
    return _checked(lib.shim_mapped_namespace(uid_map.encode(), gid_map.encode()))


def idmap(tree: int, maps: int, recursive: bool) -> None:
    """Give a detached mount the id maps of the user namespace ``maps``; ``recursive``: submounts too."""
    _checked(lib.shim_idmap(tree, maps, int(recursive)))


def new_mount(type: str, source: str, options: "Sequence[str]") -> int:
    """A detached mount of a new file system."""
    texts = [ffi.new("char[]", posix_path(option)) for option in options]
    return _checked(
        lib.shim_new_mount(posix_path(type), posix_path(source), ffi.new("char *[]", [*texts, ffi.NULL])), type
    )


def pin(source: str, target: str) -> None:
    """Bind-mount one file on another."""
    _checked(lib.shim_pin(source.encode(), target.encode()))


def unpin(target: str) -> None:
    """Unmount what is mounted on ``target``."""
    _checked(lib.shim_unpin(target.encode()))


def netlink(network: int = -1) -> int:
    """A NETLINK_ROUTE socket in the network namespace of the descriptor ``network`` (-1: ours)."""
    return _checked(lib.shim_netlink(network))


def prlimit(pid: int, resource: int, soft: int, hard: int) -> None:
    _checked(lib.shim_prlimit(pid, resource, soft, hard))


def scheduler(pid: int, numbers: "Sequence[int]") -> None:
    """sched_setattr(2) with the six numbers of the `scheduler` operation."""
    _checked(lib.shim_scheduler(pid, ffi.new("uint64_t[6]", [number & _UNSIGNED for number in numbers])))


def io_priority(pid: int, value: int) -> None:
    _checked(lib.shim_io_priority(pid, value))


def system_call(name: str, *arguments: "int | bytes | None") -> int:
    """The result of one of CALLS, or -errno. Texts and buffers are passed by address, None is NULL."""
    held = [ffi.new("char[]", value) if isinstance(value, bytes) else value for value in arguments]
    words = [int(value) if isinstance(value, int) else int(ffi.cast("uintptr_t", value or ffi.NULL)) for value in held]
    padded = [word & _UNSIGNED for word in words] + [0] * (5 - len(words))
    return int(lib.shim_system_call(CALLS.index(name), ffi.new("uint64_t[5]", padded)))


def scheduler_of(pid: int) -> "list[int]":
    """sched_getattr(2): the six numbers of the `scheduler` operation."""
    numbers = ffi.new("uint64_t[6]")
    _checked(lib.shim_scheduler_of(pid, numbers))
    return list(numbers)


def io_priority_of(pid: int) -> int:
    """ioprio_get(2): class and level as one number."""
    return _checked(lib.shim_io_priority_of(pid))


def setns(fd: int) -> None:
    """Enter the namespace whose file ``fd`` is open on, whatever its type. From then on nobody in there may trace us."""
    _checked(lib.shim_setns(fd))


def has_device_filter(cgroup: int) -> bool:
    """Whether a program filters the devices of the v2 cgroup whose directory is open."""
    return bool(_checked(lib.device_filter_present(cgroup)))
