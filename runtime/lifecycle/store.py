"""Where containers are kept: ``ROOT/ID/`` with its lock, its state and its copy of the configuration.

A container is a directory (0700). An open descriptor of it is the handle that the functions here take, and flock(2) on
that descriptor is the lock. ``state.json`` is replaced by rename, so a reader needs no lock and never sees half of it.
The directory has:

    state.json    the record, see RECORD below; written first with status "creating" and pid 0, before anything is made
    config.json   the configuration as it was at create, byte for byte
    start.sock    init's start channel; it exists from "created" until ``start`` has connected
    netns         the container's network namespace, bound here while devices are moved into it (linux.netDevices)
    notify/       the container's own NOTIFY_SOCKET, if the caller had one (runtime.lifecycle.notify)
    criu-root/    while CRIU restores the container: where it finds the root (runtime.lifecycle.restore)

A directory without state.json whose lock nobody holds was left by a killed ``create`` or ``delete``: it is not a
container, and the next reserve() adopts it. Nothing here follows a symbolic link inside ROOT. Hot: imports only
builtins.

RECORD: version, of this form (runtime.lifecycle.versions); ociVersion, id, bundle, rootfs, created (RFC 3339, UTC),
annotations as in the state document; status "creating" or "created"; pid and start_time (field 22 of /proc/PID/stat);
cgroups (rows of runtime.cgroups.intent); hooks {"poststart": [...], "poststop": [...]}, each absent if empty; notify, the
caller's NOTIFY_SOCKET, if there is one; net_devices, the devices to move back (runtime.lifecycle.net_devices); tail, the
plan's operations from the wait for start on, by which `start` words failures.
"""

import fcntl
import posix
import time

from runtime.errors import Foreign, NotFound, OcirunError, WrongState, system_failure
from runtime.lifecycle.document import MEMBERS, VERSION, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json
    from runtime.shapes import Record


STATE, NEXT_STATE = "state.json", "state.json.new"
CRUN_STATE, RUNC_MEMBER = "status", "init_process_pid"  # what a container of theirs has under the same --root
CONFIG = "config.json"
START_SOCKET = "start.sock"
NETWORK = "netns"
NOTIFY = "notify"
CRIU_ROOT = "criu-root"
RESERVED = {".seccomp": "the cache of seccomp programs", ".init": "the init program that containers share"}
# Every file of the directory. The record is removed last: as long as it exists, `delete --force` knows what to undo.
FILES = (START_SOCKET, CONFIG, NEXT_STATE, STATE)

LOCK_WAIT = 10.0  # seconds: longer than a create without hooks on a loaded machine
MAX_FILE = 64 << 20  # bytes; `lifecycle.config` limits the copy of the config before
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_OTHERS_WRITE, _STICKY = 0o022, 0o1000
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-")


def default_root() -> str:
    """``/run/ocirun`` for the host's root, otherwise a directory of the user's own.

    Rootless Podman calls as uid 0 of a user namespace. So root counts as the host's only with the full uid map.
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
    if id in RESERVED:
        raise OcirunError(f"invalid container id {id!r}: the name is reserved for {RESERVED[id]}")
    if not 0 < len(id) < 256 or id in (".", "..") or not _ID_CHARACTERS.issuperset(id):
        raise OcirunError(f"invalid container id {id!r}: 1 to 255 of A-Z a-z 0-9 _ + . - are allowed, but not . or ..")


def reserve(root: str, id: str) -> int:
    """Make the container's directory and lock it. Returns its descriptor, which the caller closes; that drops the lock.

    OcirunError when the id is in use or malformed, or the directory cannot be made. A failure leaves nothing behind.
    """
    check_id(id)
    path = f"{root}/{id}"
    for _ in range(100):  # another turn only if a delete finished between two system calls
        made = _make_directory(root, path)
        try:
            handle = _open(path)
        except FileNotFoundError:
            continue
        except OcirunError:
            if made:
                posix.rmdir(path)
            raise
        # Another create may have adopted our directory before we locked it.
        taken = not _lock(handle, 1.0 if made else 0.0) or exists(handle, STATE)
        if taken or (not made and exists(handle, CRUN_STATE)):
            posix.close(handle)
            raise WrongState(f'container with id "{id}" already exists')
        if _is_at(handle, path):
            if not made:
                _clear(handle)
            return handle
        posix.close(handle)
    raise OcirunError(f"make {path}: others keep removing it")


def _make_directory(root: str, path: str) -> bool:
    """True if ``path`` was made, False if it existed."""
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
    """Make ``root`` and its parents. In a user's runtime directory the sticky bit protects it from systemd's clean-up."""
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
    """A descriptor of a container's directory, which must belong to the caller: the record names processes to kill, cgroups
    to remove and hooks to run. Its parent must not let another user swap it for a directory owned by the caller.
    FileNotFoundError passes through, other errors are OcirunError.
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
        reason = f"{path} is not trusted: it belongs to user {status.st_uid}, or others may write to it"
    elif above.st_uid not in (own, 0) or (above.st_mode & _OTHERS_WRITE and not above.st_mode & _STICKY):
        reason = f"{path} is not trusted: its parent belongs to user {above.st_uid}, or others may write to the parent"
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
    """As open_unlocked(), with the lock, for which it waits up to ``wait`` seconds.

    WrongState if another process keeps the lock.
    """
    handle = open_unlocked(root, id)
    try:
        if not _lock(handle, wait):
            raise WrongState(
                f'container "{id}" is busy: another ocirun has worked on it for {wait:g} seconds; try again later'
            )
        if not _is_at(handle, f"{root}/{id}"):  # deleted, and perhaps made again, while we waited
            raise missing(id)
    except BaseException:
        posix.close(handle)
        raise
    return handle


def missing(id: str) -> NotFound:
    """The error for a container that does not exist; managers match "does not exist"."""
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
    """Poll for the lock: flock(2) cannot wait with a limit. The pauses grow to 50 ms."""
    pause, end = 0.001, time.monotonic() + wait
    while not _try_lock(handle):
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return True


def _is_at(handle: int, path: str) -> bool:
    """Whether ``path`` still is this directory."""
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
    """Replace the record atomically; the caller holds the lock."""
    write_next_state(handle, record)
    take_next_state(handle)


def write_next_state(handle: int, record: "Record") -> None:
    """Write what `take_next_state` makes the record."""
    write_file(handle, NEXT_STATE, dumps(record).encode())


def take_next_state(handle: int) -> None:
    """Make NEXT_STATE the record. The rename works on a full disk."""
    posix.rename(NEXT_STATE, STATE, src_dir_fd=handle, dst_dir_fd=handle)


def read_state(handle: int, id: str, force: bool = False) -> "Record":
    """The record, in the form of this release.

    NotFound without one: the container is not made yet, or was just deleted. OcirunError if it is damaged, or (unless
    ``force``) newer than this release: then only MEMBERS are sure to mean what they do here.
    """
    try:
        data = read_file(handle, STATE)
    except FileNotFoundError:
        if exists(handle, CRUN_STATE):
            raise Foreign(id, "crun") from None
        raise missing(id) from None
    try:
        record: Json = loads(data)
        if type(record) is not dict:
            raise ValueError("not an object")
        if RUNC_MEMBER in record:
            raise Foreign(id, "runc")
        for member, kind in MEMBERS.items():
            if type(record.get(member)) is not kind:
                raise ValueError(f'its "{member}" is {"wrong" if member in record else "missing"}')
        if record.get("version") != VERSION:
            from runtime.lifecycle.versions import converted

            record = converted(record, id, force)
    except ValueError as error:
        raise OcirunError(
            f'state of container "{id}" is damaged: {error}; "ocirun delete --force" removes it, but cannot find its process'
            " and cgroups"
        ) from None
    checked: Record = record
    return checked


def write_file(handle: int, name: str, data: bytes) -> None:
    """Write a file of the container's directory (0600), replacing its content. Raises OcirunError."""
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
    """The content of a file of the container's directory. FileNotFoundError passes through, other errors are OcirunError."""
    try:
        descriptor = posix.open(name, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=handle)
        try:
            size = posix.fstat(descriptor).st_size
            if size > MAX_FILE:
                raise OcirunError(f"read {name} of the container: {size} bytes is too large")
            return posix.read(descriptor, size + 1)
        finally:
            posix.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise system_failure(f"read {name} of the container", error) from None


def remove(root: str, id: str, handle: int) -> None:
    """Remove the container's directory, the record last; the caller holds the lock.

    Files that are already gone are no error.
    """
    try:
        _clear(handle)
        posix.rmdir(f"{root}/{id}")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise system_failure(f"remove {root}/{id}", error) from None


def _clear(handle: int) -> None:
    """Empty the container's directory. Raises OSError."""
    try:
        posix.rmdir(NOTIFY, dir_fd=handle)
    except FileNotFoundError:
        pass
    except OSError:  # not empty or worse: a privileged container can make its mount of the directory writable
        from runtime.lifecycle.leftovers import remove as remove_leftovers

        remove_leftovers(handle, NOTIFY)
    for name in FILES:
        _unlink(handle, name)


def unlink_start_socket(handle: int) -> None:
    """Mark the container as started: "created" lasts as long as start.sock exists."""
    _unlink(handle, START_SOCKET)


def _unlink(handle: int, name: str) -> None:
    try:
        posix.unlink(name, dir_fd=handle)
    except FileNotFoundError:
        pass


def ids(root: str) -> list[str]:
    """The ids of the directories under ``root`` that may be containers, sorted."""
    try:
        with posix.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise system_failure(f"read {root}", error) from None
    return sorted(name for name in names if name not in RESERVED and _ID_CHARACTERS.issuperset(name))
