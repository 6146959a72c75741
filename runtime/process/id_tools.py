"""Id maps by newuidmap(1) and newgidmap(1), for a caller without privilege over the ids. Cold."""

import posix

from runtime.errors import OcirunError

TOOLS = {"uid_map": "newuidmap", "gid_map": "newgidmap"}
SEARCH = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")


def find(tool: str) -> str | None:
    for directory in SEARCH:
        path = f"{directory}/{tool}"
        if posix.access(path, posix.X_OK):
            return path
    return None


def write_map(pid: int, name: str, text: str) -> None:
    """Write ``/proc/PID/{uid,gid}_map`` by the set-user-id tool. Raises OcirunError when it is missing or refuses."""
    tool = TOOLS[name]
    pointer = "/linux/uidMappings" if name == "uid_map" else "/linux/gidMappings"
    path = find(tool)
    if path is None:
        raise OcirunError(f"{tool} is not installed, and without it only the caller's own id can be mapped", pointer)
    child = posix.posix_spawn(path, [tool, str(pid), *text.split()], posix.environ)
    status = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
    if status:
        raise OcirunError(
            f"{tool} {' '.join(text.split())}: exit status {status}; see /etc/subuid and /etc/subgid", pointer
        )
