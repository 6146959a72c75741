"""The directories of a checkpoint: CRIU's images, its work files, and descriptors.json, which names the standard streams.

The images become a process with its credentials, and CRIU's programs run with root's rights in the work directory. So
neither may be another user's, or writable by one. What is read from descriptors.json only chooses among names that CRIU
itself has in its images.
"""

import posix

from runtime import files
from runtime.cgroups import members
from runtime.errors import OcirunError, system_failure
from runtime.kernel import S_IFLNK, S_IFMT, S_IFREG
from runtime.lifecycle.document import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import Record

DESCRIPTORS = "descriptors.json"
STREAMS = 3
MAX_DESCRIPTORS = 64 << 10  # bytes of descriptors.json
_LINKS = 40  # followed in a row, as the kernel does
READS, WRITES = 1, 2  # ends of a pipe
_OTHERS_WRITE, _GROUP_READS, _GROUP_SEARCHES = 0o022, 0o040, 0o010


def open_directory(flag: str, path: str, make: bool, links: bool = False) -> int:
    """A descriptor of the directory that ``flag`` names. ``make``: with its parents, for the caller alone, if it is missing.

    OcirunError for one that cannot be opened or could be changed by another user, and for a symbolic link. ``links``: a link
    of the caller's or root's is followed; containerd's work directory is one.
    """
    try:
        for _ in range(_LINKS if links else 0):
            target = _followed(flag, path)
            if not target:
                break
            path = target
        if make:
            _make(path)
        flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        handle: int = posix.open(path, flags)
    except OSError as error:
        reason = system_failure(f"{flag} {path}", error)
        if _is_link(path):
            reason.message = f"{flag} {path} is a symbolic link; name the directory itself"
        raise reason from None
    try:
        _trust(handle, f"{flag} {path}", "use a directory of your own with mode 0700")
    except OcirunError:
        posix.close(handle)
        raise
    return handle


def _trust(descriptor: int, what: str, remedy: str) -> None:
    """OcirunError for a file that another user could have written."""
    status = posix.fstat(descriptor)
    if not _is_trusted(status.st_uid) or status.st_mode & _OTHERS_WRITE:
        raise OcirunError(
            f"{what} is not trusted: it belongs to user {status.st_uid}, or others may write to it; {remedy}"
        )


def check_outputs(directory: int, path: str, *names: str) -> None:
    """OcirunError for a file that is not the directory's own: CRIU would follow the link, and write there as root.

    The images may have come from elsewhere. ``directory``: open, at ``path``; ``names``: what CRIU writes there.
    """
    for name in names:
        try:
            status = posix.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if status.st_mode & S_IFMT != S_IFREG or status.st_nlink > 1:
            raise OcirunError(
                f"{path}/{name} is a link, or no ordinary file: CRIU would write through it as root; remove it"
            )


def check_config(path: str) -> None:
    """OcirunError for a configuration of CRIU that another user could have written: it can name programs to run."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return  # CRIU says so
    try:
        _trust(
            descriptor, f"the annotation org.criu.config: {path}", "use a file of root's that only root may write to"
        )
    finally:
        posix.close(descriptor)


def _is_trusted(owner: int) -> bool:
    return owner in (posix.geteuid(), 0)


def _followed(flag: str, path: str) -> str:
    """Where a link leads; "" for what is no link. Raises OSError, and OcirunError for another user's link."""
    try:
        descriptor = posix.open(path.rstrip("/"), posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        status = posix.fstat(descriptor)
        if status.st_mode & S_IFMT != S_IFLNK:
            return ""
        if not _is_trusted(status.st_uid):
            raise OcirunError(f"{flag} {path} is not trusted: it is a symbolic link of user {status.st_uid}")
        target: str = posix.readlink("", dir_fd=descriptor)
    finally:
        posix.close(descriptor)
    return target if target.startswith("/") else f"{path.rstrip('/').rpartition('/')[0]}/{target}"


def _make(path: str) -> None:
    above = path.rstrip("/").rpartition("/")[0]
    if above and not posix.access(above, posix.F_OK):
        _make(above)
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        pass


def _is_link(path: str) -> bool:
    try:
        posix.readlink(path.rstrip("/"))
    except OSError:
        return False
    return True


def open_to_group(images: int, gid: int) -> None:
    """Let the group ``gid`` read the images: in a user namespace CRIU's processes read some of them as its root. Raises
    OcirunError.
    """
    try:
        posix.chown(images, -1, gid)
        posix.chmod(images, posix.fstat(images).st_mode & 0o7777 | _GROUP_SEARCHES)
        for name in posix.listdir(images):
            if name.endswith(".img"):
                posix.chown(name, -1, gid, dir_fd=images, follow_symlinks=False)
                mode = posix.stat(name, dir_fd=images, follow_symlinks=False).st_mode
                if mode & S_IFMT == S_IFREG:
                    posix.chmod(name, mode & 0o7777 | _GROUP_READS, dir_fd=images)
    except OSError as error:
        raise system_failure("let the container's user namespace read the images", error) from None


def check_parent(images: int, parent: str) -> None:
    """OcirunError unless ``parent``, from the image directory, is a directory of earlier images."""
    if parent.startswith("/"):
        raise OcirunError("--parent-path must be relative: it counts from the image directory")
    what = f"--parent-path {parent} (from the image directory)"
    try:
        descriptor = posix.open(parent, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=images)
    except OSError as error:
        raise system_failure(what, error) from None
    try:
        _trust(descriptor, what, "its pages become the program")
    finally:
        posix.close(descriptor)


def write_descriptors(images: int, record: "Record") -> None:
    """Write descriptors.json, the names of the container's standard streams. Raises OcirunError."""
    data = dumps(list(streams(record))).encode()
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        descriptor = posix.open(DESCRIPTORS, flags, 0o600, dir_fd=images)
        try:
            posix.write(descriptor, data)
        finally:
            posix.close(descriptor)
    except OSError as error:
        raise system_failure(f"write {DESCRIPTORS} to the image directory", error) from None


def read_descriptors(images: int) -> "list[tuple[str, int]]":
    """(name, number) of each standard stream that was a pipe, the first number of each name. Raises OcirunError."""
    tried = f"read {DESCRIPTORS} in the image directory"
    try:
        flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
        descriptor = posix.open(DESCRIPTORS, flags, dir_fd=images)
        try:
            status = posix.fstat(descriptor)
            if status.st_mode & S_IFMT != S_IFREG or status.st_size > MAX_DESCRIPTORS:
                raise OcirunError(f"{tried}: it is not a regular file, or too large")
            data = posix.read(descriptor, MAX_DESCRIPTORS)
        finally:
            posix.close(descriptor)
    except FileNotFoundError:
        raise OcirunError(f"{tried}: there is none; is this the directory of a complete checkpoint?") from None
    except OSError as error:
        raise system_failure(tried, error) from None
    try:
        names = loads(data)
    except ValueError as error:
        raise OcirunError(f"{tried}: {error}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise OcirunError(f"{tried}: it is not a list of strings")
    found: dict[str, int] = {}
    for number, name in enumerate(names[:STREAMS]):
        if _is_pipe(str(name)):
            found.setdefault(str(name), number)
    return list(found.items())


def _is_pipe(name: str) -> bool:
    return name.startswith("pipe:[") and name.endswith("]") and name[6:-1].isdecimal()


def streams(record: "Record") -> "list[str]":
    """What the container's standard input, output and error lead to, as /proc shows it.

    Init's own, unless it has put something else there since it started: a pipe of which the container has both ends. Then
    those of the first process that still has a pipe from outside.
    """
    first = record["pid"]
    pids = [first, *(pid for pid in members.processes(record["cgroups"]) if pid != first)]
    ends: dict[str, int] = {}
    standard: dict[int, list[str]] = {}
    for pid in pids:
        standard[pid] = [""] * STREAMS
        for number, name, end in _descriptors(pid):
            if number < STREAMS:
                standard[pid][number] = name
            if end:
                ends[name] = ends.get(name, 0) | end
    result = []
    for number in range(STREAMS):
        outside = [names[number] for names in standard.values() if ends.get(names[number]) in (READS, WRITES)]
        result.append(outside[0] if outside else standard[first][number])
    return result


def _descriptors(pid: int) -> "list[tuple[int, str, int]]":
    """(number, name, ends of a pipe) of each open descriptor; [] if the process has ended."""
    rows = []
    try:
        for number in posix.listdir(f"/proc/{pid}/fd"):
            name = posix.readlink(f"/proc/{pid}/fd/{number}")
            rows.append((int(number), name, _end(pid, number) if _is_pipe(name) else 0))
    except OSError:
        return []
    return rows


def _end(pid: int, number: str) -> int:
    for line in files.read_page(f"/proc/{pid}/fdinfo/{number}").split(b"\n"):
        if line.startswith(b"flags:"):
            return (READS, WRITES, READS | WRITES, 0)[int(line.split()[1], 8) & 3]
    return 0
