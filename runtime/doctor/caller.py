"""Who calls: privileges, and ids that may be mapped. Cold."""

import posix

from runtime.doctor.row import limited, missing, ok
from runtime.host import facts
from runtime.process import id_tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.doctor.row import Row

CAP_SETUID, CAP_SETGID = 1 << 7, 1 << 6
SETUID = 0o4000


class Caller:
    """uid; capable: with CAP_SYS_ADMIN in its user namespace; privileged: and that is the host's; inside: it is another one."""

    def __init__(self) -> None:
        self.uid = posix.geteuid()
        try:
            self.capable = bool(
                facts.status_mask(facts.read_file("/proc/self/status"), b"CapEff:\t") & facts.CAP_SYS_ADMIN
            )
            self.inside = facts.in_user_namespace()
        except OSError:  # no /proc: its row says so
            self.capable, self.inside = self.uid == 0, False
        self.privileged = self.capable and not self.inside


def rows(caller: Caller) -> "Iterator[Row]":
    yield identity(caller)
    if not posix.access("/proc/self/status", posix.R_OK):
        yield missing("/proc", "not mounted", "no container at all", "mount -t proc proc /proc", True)
    if caller.capable:
        return
    for name, tool in id_tools.TOOLS.items():
        yield id_tool(tool, name)
        yield ranges(name)


def identity(caller: Caller) -> "Row":
    """What the caller may do at all."""
    who = "root" if caller.uid == 0 else f"uid {caller.uid}"
    if caller.privileged:
        return ok("caller", f"{who}, with CAP_SYS_ADMIN")
    if caller.capable:
        means = (
            "what takes rights on the host: device nodes, id-mapped mounts of the host's file systems, real-time limits"
        )
        return limited("caller", f"{who} of a user namespace", means, "call ocirun outside of the user namespace")
    if caller.uid == 0:
        means = "only containers with a user namespace"
        return limited("caller", "root without CAP_SYS_ADMIN", means, "start the container that you are in with it")
    means = "only rootless containers: with a user namespace (ocirun spec --rootless)"
    return limited("caller", f"{who}, an ordinary user", means, "call ocirun as root for the others")


def id_tool(tool: str, name: str) -> "Row":
    """newuidmap or newgidmap: there, and with the right to write maps."""
    means = f"{'/linux/uidMappings' if name == 'uid_map' else '/linux/gidMappings'} with more than the caller's own id"
    path = id_tools.find(tool)
    if path is None:
        return missing(tool, "not installed", means, "apt install uidmap (shadow-utils elsewhere)")
    status = posix.stat(path)
    if status.st_mode & SETUID and status.st_uid == 0:
        return ok(tool, f"{path}, set-user-ID root")
    try:
        capabilities = posix.getxattr(path, "security.capability")
    except OSError:
        capabilities = b""
    if capabilities:
        return ok(tool, f"{path}, with file capabilities")
    return missing(tool, f"{path}, with neither set-user-ID nor capabilities", means, f"chmod u+s {path}, as root")


def ranges(name: str) -> "Row":
    """The caller's subordinate ids."""
    file, user = id_tools.FILES[name], id_tools.user_name()
    allowed = id_tools.allowed(file, user)
    if allowed:
        return ok(file, f"{user} may map {', '.join(allowed)}")
    return missing(
        file, f"no range for {user}", "images with more than one user", id_tools.allowance(name).partition("root, ")[2]
    )
