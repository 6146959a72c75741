"""Id maps by newuidmap(1) and newgidmap(1), for a caller without privileges over the ids. Cold."""

import posix

from runtime.errors import OcirunError

TOOLS = {"uid_map": "newuidmap", "gid_map": "newgidmap"}
FILES = {"uid_map": "/etc/subuid", "gid_map": "/etc/subgid"}
SEARCH = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")
MAX_OUTPUT = 4096  # bytes of a tool's standard error


def find(tool: str) -> str | None:
    for directory in SEARCH:
        path = f"{directory}/{tool}"
        if posix.access(path, posix.X_OK):
            return path
    return None


def write_map(pid: int, name: str, text: str) -> None:
    """Write ``/proc/PID/{uid,gid}_map`` by the set-user-id tool. OcirunError when it is missing or refuses."""
    tool = TOOLS[name]
    pointer = "/linux/uidMappings" if name == "uid_map" else "/linux/gidMappings"
    path = find(tool)
    if path is None:
        own = posix.geteuid() if name == "uid_map" else posix.getegid()
        message = f"{tool} is not installed, and without it only the caller's own id, {own}, can be mapped"
        raise OcirunError(
            f"{message}: install uidmap (shadow-utils elsewhere), or map {own} alone, with size 1", pointer
        )
    status, said = run(path, [tool, str(pid), *text.split()])
    if status:
        message = f"{tool} {' '.join(text.split())}: {said or f'exit status {status}'}"
        raise OcirunError(f"{message}; {allowance(name)}", pointer)


def run(path: str, arguments: "list[str]") -> "tuple[int, str]":
    """Run a program. Returns its exit status, and its standard error on one line."""
    ours, theirs = posix.pipe2(posix.O_CLOEXEC)
    try:
        actions = [(posix.POSIX_SPAWN_DUP2, theirs, 2)]
        child = posix.posix_spawn(path, arguments, posix.environ, file_actions=actions)
        posix.close(theirs)
        theirs = -1
        said = b""
        while piece := posix.read(ours, MAX_OUTPUT):
            said = (said + piece)[:MAX_OUTPUT]
        status = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
    finally:
        posix.close(ours)
        if theirs >= 0:
            posix.close(theirs)
    text = " ".join(said.decode(errors="replace").split())
    return status, text.removeprefix(f"{arguments[0]}: ")


def allowance(name: str) -> str:
    """What the caller may map besides their own id, and what to do if that is nothing."""
    file = FILES[name]
    user = user_name()
    ranges = allowed(file, user)
    if ranges:
        return f"besides their own id, {user} may map {', '.join(ranges)} ({file})"
    option = "--add-subuids" if name == "uid_map" else "--add-subgids"
    return f"{file} has no range for {user}: as root, usermod {option} 100000-165535 {user}"


def user_name() -> str:
    """The caller's name in /etc/passwd, else the uid."""
    uid = str(posix.geteuid())
    return next((row[0] for row in rows("/etc/passwd") if len(row) > 2 and row[2] == uid), uid)


def allowed(file: str, user: str) -> "list[str]":
    """The ranges that ``file`` (subuid(5)) gives to the caller, by name or by uid."""
    names = (user, str(posix.geteuid()))
    own = [row for row in rows(file) if len(row) == 3 and row[0] in names and row[1].isdigit() and row[2].isdigit()]
    return [f"{row[1]} to {int(row[1]) + int(row[2]) - 1}" for row in own]


def rows(file: str) -> "list[list[str]]":
    try:
        descriptor = posix.open(file, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return []
    data = b""
    try:
        while piece := posix.read(descriptor, 1 << 16):
            data += piece
    finally:
        posix.close(descriptor)
    return [line.split(":") for line in data.decode(errors="replace").splitlines()]
