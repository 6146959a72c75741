"""Where containers are kept: ``ROOT/ID/`` with its lock, its state and its copy of the configuration.

A container is a directory (0700). An open descriptor of it is the handle that everything here takes, and flock(2) on
that descriptor is the lock. ``state.json`` is replaced by rename, so a reader needs no lock and never sees half of
it. In the directory:

    state.json    the record, see RECORD below; written first with status "creating" and pid 0, before anything is made
    config.json   the configuration as it was at create, byte for byte
    start.sock    init's start channel; it exists from "created" until ``start`` has connected
    netns         the container's network namespace, bound here while devices are moved into it (linux.netDevices)
    notify/       with the container's own NOTIFY_SOCKET, where the caller had one (runtime.lifecycle.notify)

A directory without state.json whose lock nobody holds was left by a killed ``create`` or ``delete``: it is no
container, and the next reserve() adopts it. Nothing here follows a symbolic link inside ROOT. Hot: imports only
builtins.

RECORD: ociVersion, id, bundle, rootfs, created (RFC 3339, UTC), owner, annotations as in the state document; status
"creating" or "created"; pid and start_time (field 22 of /proc/PID/stat); cgroups (rows of runtime.cgroups.intent);
hooks {"poststart": [...], "poststop": [...]}, each absent where there are none; notify (the caller's NOTIFY_SOCKET),
where there is one; net_devices, the devices that are to be brought back (runtime.lifecycle.net_devices); tail [index, [operation, ...]], the
plan's operations from the wait for start on, which `start` words failures with.
"""

import fcntl
import posix
import time

from runtime.errors import NotFound, OcirunError, WrongState, system_failure
from runtime.lifecycle.document import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json
    from runtime.shapes import Record


MEMBERS = ("id", "bundle", "rootfs", "created", "status", "pid", "start_time", "cgroups", "hooks")  # of every RECORD
STATE, NEXT_STATE = "state.json", "state.json.new"
CONFIG = "config.json"
START_SOCKET = "start.sock"
NETWORK = "netns"
NOTIFY = "notify"
SECCOMP_CACHE = ".seccomp"  # in ROOT, beside the containers
# All that may be in the directory. The record comes last: while it is there, `delete --force` knows what to undo.
FILES = (START_SOCKET, CONFIG, NEXT_STATE, STATE)

LOCK_WAIT = 10.0  # seconds; longer than a create without hooks takes on a loaded machine
MAX_FILE = 64 << 20  # bytes; the configuration copy is bounded before it comes here
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_OTHERS_WRITE, _STICKY = 0o022, 0o1000
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-")


def default_root() -> str:
    """``/run/ocirun``, or a directory of the user's own where the caller is not the host's root.

    Rootless Podman calls as uid 0 of a user namespace, so the effective uid alone says nothing: a map other than the
    whole range does.
    """
    user = posix.geteuid()
    if user == 0 and _uid_map().split() == [b"0", b"0", b"4294967295"]:
        return "/run/ocirun"
    runtime_directory = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode(errors="surrogateescape")
    if runtime_directory:
        return runtime_directory + "/ocirun"
    return "/run/ocirun" if user == 0 else f"/run/user/{user}/ocirun"


def _uid_map() -> bytes:
    try:
        descriptor = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:  # a kernel without user namespaces
        return b"0 0 4294967295"
    try:
        return posix.read(descriptor, 4096)
    finally:
        posix.close(descriptor)


def check_id(id: str) -> None:
    """OcirunError unless ``id`` is 1 to 255 of ``[A-Za-z0-9_+.-]``, not ``.`` or ``..``: it becomes a file name."""
    if id == SECCOMP_CACHE:
        raise OcirunError(f"invalid container id {id!r}: the name is taken by the cache of seccomp programs")
    if not 0 < len(id) < 256 or id in (".", "..") or not _ID_CHARACTERS.issuperset(id):
        raise OcirunError(f"invalid container id {id!r}: 1 to 255 of A-Z a-z 0-9 _ + . - are allowed, but not . or ..")


def reserve(root: str, id: str) -> int:
    """Make the container's directory and lock it. Returns its descriptor, which the caller closes; that drops the lock.

    OcirunError when the id is in use, malformed, or the directory cannot be made. Nothing is left behind by a failure.
    """
    check_id(id)
    path = f"{root}/{id}"
    for _ in range(100):  # each turn lost is another caller's delete that finished between two system calls
        made = _make_directory(root, path)
        try:
            handle = _open(path)
        except FileNotFoundError:
            continue
        except OcirunError:
            if made:
                posix.rmdir(path)
            raise
        # One that we made may be adopted by another create before we lock it; then it is theirs.
        if not _lock(handle, 1.0 if made else 0.0) or exists(handle, STATE):
            posix.close(handle)
            raise WrongState(f'container with id "{id}" already exists')
        if _is_at(handle, path):
            if not made:
                _clear(handle)
            return handle
        posix.close(handle)
    raise OcirunError(f"make {path}: it disappears as soon as it is made")


def _make_directory(root: str, path: str) -> bool:
    """True when ``path`` was made, False when it is there already."""
    for attempt in (0, 1):
        try:
            posix.mkdir(path, 0o700)
            return True
        except FileExistsError:
            return False
        except FileNotFoundError as error:
            if attempt:
                raise system_failure(f"make {path}", error) from None
            _make_root(root)
        except OSError as error:
            raise system_failure(f"make {path}", error) from None
    return False


def _make_root(root: str) -> None:
    """Make ``root`` and its parents. The sticky bit keeps systemd from clearing a user's runtime directory of it."""
    try:
        _make_with_parents(root)
        if posix.environ.get(b"XDG_RUNTIME_DIR") == _parent(root).encode(errors="surrogateescape"):
            posix.chmod(root, 0o1700)
    except OSError as error:
        failure = system_failure(f"make {root}", error)
        if posix.geteuid() and not posix.environ.get(b"XDG_RUNTIME_DIR"):
            failure.message += "; set XDG_RUNTIME_DIR or give --root"
        raise failure from None


def _make_with_parents(path: str) -> None:
    parent = _parent(path)
    if parent and not posix.access(parent, posix.F_OK):
        _make_with_parents(parent)
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        pass  # another create was faster


def _parent(path: str) -> str:
    return path.rstrip("/").rpartition("/")[0]


def _open(path: str) -> int:
    """A descriptor of a container's directory, which must be the caller's own: the record names processes to kill,
    cgroups to remove and hooks to run. In the directory that it is in nobody else may exchange it for another one that is
    the caller's. FileNotFoundError as it is, other errors worded.
    """
    try:
        above = posix.stat(path.rpartition("/")[0])
        handle: int = posix.open(path, _DIRECTORY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise system_failure(f"open {path}", error) from None
    own, status = posix.geteuid(), posix.fstat(handle)
    if status.st_uid != own or status.st_mode & _OTHERS_WRITE:
        reason = f"{path} is not trusted: user {status.st_uid} made it, or others may write to it"
    elif above.st_uid not in (own, 0) or (above.st_mode & _OTHERS_WRITE and not above.st_mode & _STICKY):
        reason = f"{path} is not trusted: the directory above it is user {above.st_uid}'s, or others may write to it"
    else:
        return handle
    posix.close(handle)
    raise OcirunError(f"{reason}; give --root a directory of your own")


def open_unlocked(root: str, id: str) -> int:
    """A descriptor of the container's directory, without its lock: for reading. NotFound when there is none."""
    check_id(id)
    try:
        return _open(f"{root}/{id}")
    except FileNotFoundError:
        raise missing(id) from None


def open_locked(root: str, id: str, wait: float = LOCK_WAIT) -> int:
    """As open_unlocked(), and holding the lock, for which it waits up to ``wait`` seconds.

    WrongState when another keeps it.
    """
    handle = open_unlocked(root, id)
    try:
        if not _lock(handle, wait):
            raise WrongState(
                f'container "{id}" is busy: another ocirun has worked on it for {wait:g} seconds; try again later'
            )
        if not _is_at(handle, f"{root}/{id}"):  # deleted, and perhaps made anew, while we waited
            raise missing(id)
    except BaseException:
        posix.close(handle)
        raise
    return handle


def missing(id: str) -> NotFound:
    """The error of every operation on a container that is not there; managers match "does not exist"."""
    return NotFound(f'container "{id}" does not exist')


def is_locked(handle: int) -> bool:
    """Whether another descriptor of this container's directory holds its lock (``handle`` must not hold it itself)."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(handle: int, wait: float) -> bool:
    """Lock without flock's own waiting, which has no limit. The pauses grow to 50 ms."""
    pause, end = 0.001, time.monotonic() + wait
    while not _try_lock(handle):
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return True


def _is_at(handle: int, path: str) -> bool:
    """Whether ``path`` still leads to this very directory."""
    try:
        there = posix.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = posix.fstat(handle)
    return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)


def exists(handle: int, name: str) -> bool:
    """Whether the container's directory has an entry of this name."""
    try:
        posix.stat(name, dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def write_state(handle: int, record: "Record") -> None:
    """Replace the record at once; the caller holds the lock."""
    write_file(handle, NEXT_STATE, dumps(record).encode())
    take_next_state(handle)


def take_next_state(handle: int) -> None:
    """The record that was written to NEXT_STATE counts from now on. That takes no room on the disk."""
    posix.rename(NEXT_STATE, STATE, src_dir_fd=handle, dst_dir_fd=handle)


def read_state(handle: int, id: str) -> "Record":
    """The record. NotFound where there is none (yet): the container is not made, or was just deleted."""
    try:
        data = read_file(handle, STATE)
    except FileNotFoundError:
        raise missing(id) from None
    try:
        record: Json = loads(data)
    except ValueError as error:
        raise _damaged(id, str(error)) from None
    if type(record) is not dict:
        raise _damaged(id, "not an object")
    for member in MEMBERS:
        if member not in record:
            raise _damaged(id, f'it has no "{member}"')
    return record  # type: ignore[return-value]  # its members were looked at


def _damaged(id: str, how: str) -> OcirunError:
    return OcirunError(
        f'state of container "{id}" is damaged: {how}; "ocirun delete --force" clears it, but cannot know its process and cgroups'
    )


def write_file(handle: int, name: str, data: bytes) -> None:
    """Write a file of the container's directory (0600), replacing its content. OSError is worded."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        descriptor = posix.open(name, flags, 0o600, dir_fd=handle)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[posix.write(descriptor, rest) :]
        finally:
            posix.close(descriptor)
    except OSError as error:
        raise system_failure(f"write {name} of the container", error) from None


def read_file(handle: int, name: str) -> bytes:
    """The content of a file of the container's directory. FileNotFoundError as it is, other errors worded."""
    try:
        descriptor = posix.open(name, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=handle)
        try:
            size = posix.fstat(descriptor).st_size
            if size > MAX_FILE:
                raise OcirunError(f"read {name} of the container: {size} bytes are too many")
            return posix.read(descriptor, size + 1)
        finally:
            posix.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise system_failure(f"read {name} of the container", error) from None


def remove(root: str, id: str, handle: int) -> None:
    """Remove the container's directory, the record last; the caller holds the lock.

    What is already gone is no error.
    """
    try:
        _clear(handle)
        posix.rmdir(f"{root}/{id}")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise system_failure(f"remove {root}/{id}", error) from None


def _clear(handle: int) -> None:
    """Remove what is in the container's directory. OSError as it is."""
    try:
        posix.rmdir(NOTIFY, dir_fd=handle)
    except FileNotFoundError:
        pass
    except OSError:  # not empty, or worse: a privileged container can make its mount of it writable
        from runtime.lifecycle.leftovers import remove as remove_leftovers

        remove_leftovers(handle, NOTIFY)
    for name in FILES:
        _unlink(handle, name)


def unlink_start_socket(handle: int) -> None:
    """Say that the container was started: "created" ends where start.sock does."""
    _unlink(handle, START_SOCKET)


def _unlink(handle: int, name: str) -> None:
    try:
        posix.unlink(name, dir_fd=handle)
    except FileNotFoundError:
        pass


def ids(root: str) -> list[str]:
    """The names of all that may be containers under ``root``, sorted."""
    try:
        with posix.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise system_failure(f"read {root}", error) from None
    return sorted(name for name in names if name != SECCOMP_CACHE and _ID_CHARACTERS.issuperset(name))
