"""Namespaces, and what can be mounted in them, by trying. Cold."""

import posix
from errno import EINVAL, ENODEV, ENOENT, ENOSPC, EPERM, EUSERS

from runtime import files, shim
from runtime.doctor import trial
from runtime.doctor.row import MISSING, limited, missing, ok
from runtime.kernel import CLONE_FLAGS, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, NAMESPACE_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.doctor.caller import Caller
    from runtime.doctor.row import Row

MEANS = {
    "mount": "no container at all",
    "pid": "containers see and signal the host's processes",
    "network": "containers share the host's network; /linux/netDevices",
    "uts": "/hostname and /domainname",
    "ipc": "containers share the host's IPC objects",
    "user": "rootless containers, /linux/uidMappings, managers' --userns",
    "cgroup": "containers see the host's cgroups",
    "time": "/linux/timeOffsets",
}
NEEDED = ("mount",)
PROC = "mount -t proc proc /proc"
# File systems that containers mount, and the option of the kernel.
FILE_SYSTEMS = {
    "proc": ("CONFIG_PROC_FS", "/proc in containers"),
    "sysfs": ("CONFIG_SYSFS", "/sys in containers"),
    "tmpfs": ("CONFIG_TMPFS", "/dev in containers, and mounts of type tmpfs"),
    "devpts": ("CONFIG_UNIX98_PTYS", "/process/terminal"),
    "mqueue": ("CONFIG_POSIX_MQUEUE", "mounts of type mqueue, which most managers ask for"),
    "overlay": ("CONFIG_OVERLAY_FS", "the images of most managers: their storage would copy"),
    "fuse": ("CONFIG_FUSE_FS", "fuse-overlayfs, and programs that mount by FUSE"),
}


def rows(caller: "Caller") -> "Iterator[Row]":
    user = user_namespace(caller)
    yield user
    if user.needed and user.status == MISSING:
        found = "only in a user namespace, which cannot be used"
        yield missing("other namespaces", found, "no container at all", user.remedy, True)
        yield from file_systems()
        return
    for kind in CLONE_FLAGS:
        if kind != "user":
            yield namespace(kind, caller)
    yield from file_systems()
    yield from mounts(caller)


def first(caller: "Caller") -> int:
    """The flags that a caller without privileges needs first."""
    return 0 if caller.capable else CLONE_NEWUSER


def namespace(kind: str, caller: "Caller") -> "Row":
    """A new one, alone or inside a new user namespace."""
    subject = f"{kind} namespace"
    if not posix.access(f"/proc/self/ns/{NAMESPACE_FILES[kind]}", posix.F_OK) and posix.access(
        "/proc/self", posix.F_OK
    ):
        option = {"network": "NET"}.get(kind, kind.upper())
        return missing(
            subject, "the kernel has none", MEANS[kind], f"a kernel with CONFIG_{option}_NS=y", kind in NEEDED
        )
    flags = first(caller)
    steps = [trial.unshare(flags)] if flags else []
    error = trial.trial(*steps, trial.unshare(CLONE_FLAGS[kind]))
    if not error:
        return ok(subject, "can be created" + (", in a user namespace" if flags else ""))
    return missing(subject, words(error), MEANS[kind], remedy(error, kind), kind in NEEDED)


def user_namespace(caller: "Caller") -> "Row":
    """By trying, then by what may forbid it."""
    subject = "user namespace"
    needed = not caller.capable
    if not posix.access("/proc/self/ns/user", posix.F_OK) and posix.access("/proc/self", posix.F_OK):
        return missing(subject, "the kernel has none", MEANS["user"], "a kernel with CONFIG_USER_NS=y", needed)
    switch, how = forbidden(ordinary=not caller.capable)
    error = trial.trial(trial.unshare(CLONE_NEWUSER))
    if error == EPERM and not trial.trial(trial.unshare(CLONE_NEWUSER, False)) and caller.uid == 0:
        found = "can be created, but root's id cannot be mapped without CAP_SETFCAP (since Linux 5.12)"
        how = "add CAP_SETFCAP to the container that you are in, or call ocirun as another user"
        return missing(subject, found, MEANS["user"], how, needed)
    if error:
        return missing(subject, f"{words(error)}{switch}", MEANS["user"], how or remedy(error, "user"), needed)
    if trial.trial(trial.unshare(CLONE_NEWUSER | CLONE_NEWNS), trial.mount("tmpfs")):
        found = f"can be created, but has no rights in it{switch}"
        how = how or "the log of the security module, such as journalctl -k, names what it refused"
        return missing(subject, found, MEANS["user"], how, needed)
    switch, how = forbidden(ordinary=True)
    if how:
        return limited(subject, f"can be created by root{switch}", "rootless containers of ordinary users", how)
    return ok(subject, "can be created")


# Switches of the kernel and of distributions: file → (the value that forbids, the remedy). All but the first are for ordinary
# users.
SWITCHES = {
    "/proc/sys/user/max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=15000"),
    "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "an AppArmor profile for ocirun that has `userns,`, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}


def forbidden(ordinary: bool) -> "tuple[str, str]":
    """(", since SYSCTL is VALUE", the remedy) of the switch that forbids them; two empty texts if none does."""
    for path, (value, how) in SWITCHES.items():
        if files.read_or_empty(path).decode().strip() == value and (ordinary or "/user/" in path):
            return f", since {path.removeprefix('/proc/sys/').replace('/', '.')} is {value}", how
    return "", ""


def words(error: int) -> str:
    return f"cannot be created: {posix.strerror(error).lower()}"


def remedy(error: int, kind: str) -> str:
    """What to do about the errno of unshare(2)."""
    short = {"network": "net", "mount": "mnt"}.get(kind, kind)
    if error in (ENOSPC, EUSERS):
        return f"sysctl -w user.max_{short}_namespaces=15000"
    if error == EINVAL:
        option = {"network": "NET", "mount": "", "cgroup": ""}.get(kind, kind.upper())
        return f"a kernel with CONFIG_{option}_NS=y" if option else "a kernel with CONFIG_NAMESPACES=y"
    if error == ENOENT:
        return PROC
    if error == EPERM:
        return "as root, or where user namespaces are allowed; in a container its seccomp profile must allow unshare"
    return "see user_namespaces(7) and namespaces(7) for this error"


def file_systems() -> "Iterator[Row]":
    """Those that the kernel has now, or could load as a module: it is not made to."""
    listed = {line.split("\t")[-1] for line in files.read_or_empty("/proc/filesystems").decode().splitlines()}
    if not listed:
        means = "what can be mounted is not known"
        yield limited("file systems", "/proc/filesystems cannot be read", means, PROC)
        return
    there = [name for name in FILE_SYSTEMS if name in listed]
    yield ok("file systems", ", ".join(there))
    for name, (option, means) in FILE_SYSTEMS.items():
        if name not in listed:
            if is_module(name):
                yield ok(f"file system {name}", "a module, not loaded yet", "", f"modprobe {name}")
            else:
                yield missing(
                    f"file system {name}", "not in the kernel", means, f"a kernel with {option}, or modprobe {name}"
                )


def is_module(name: str) -> bool:
    """Whether the running kernel has it as a module on disk."""
    directory = f"/lib/modules/{posix.uname().release}"
    index = files.read_or_empty(f"{directory}/modules.dep") + files.read_or_empty(f"{directory}/modules.builtin")
    return f"/{name}.ko".encode() in index


def mounts(caller: "Caller") -> "Iterator[Row]":
    """What a container mounts, tried in a child's namespaces."""
    new = first(caller) | CLONE_NEWNS
    error = trial.trial(trial.unshare(new), trial.mount("tmpfs"))
    if error:
        found = f"tmpfs cannot be mounted: {posix.strerror(error).lower()}"
        how = "as root with CAP_SYS_ADMIN; for ordinary users see the row of the user namespace"
        yield missing("mounting", found, "no container at all", how, True)
        return
    yield ok("mounting", "tmpfs in a new mount namespace" + (" and user namespace" if first(caller) else ""))
    error = trial.trial(trial.unshare(new | CLONE_NEWPID), trial.in_child(trial.mount("proc")))
    if error:
        found = f"a new procfs cannot be mounted: {posix.strerror(error).lower()}"
        means = "/mounts/* of type proc in a new pid namespace: bind the host's /proc instead"
        how = "parts of this /proc are masked, as in a container: start that one without masks (podman: unmask=ALL)"
        yield missing("mounting proc", found, means, how)
    else:
        yield ok("mounting proc", "in a new pid namespace")
    yield from overlay(caller, new)
    yield id_mapped(caller)


def overlay(caller: "Caller", new: int) -> "Iterator[Row]":
    """Only where the kernel has it already: a mount would load the module."""
    if b"\toverlay\n" not in files.read_or_empty("/proc/filesystems"):
        return
    data = "lowerdir=lower,upperdir=upper,workdir=work" + (",userxattr" if new & CLONE_NEWUSER else "")
    made = trial.directories("lower", "upper", "work", "merged")
    where = next(filter(trial.is_directory, trial.PLACES), "/")
    error = trial.trial(trial.unshare(new), trial.mount("tmpfs"), made, trial.mount("overlay", data, f"{where}/merged"))
    if error:
        found = f"cannot be mounted: {posix.strerror(error).lower()}"
        means = "managers' images: fuse-overlayfs, or copies" if not caller.capable else "the images of most managers"
        how = "Linux 5.11 or newer for ordinary users; or install fuse-overlayfs, and let the manager use it"
        yield missing("overlayfs", found, means, how)
    else:
        yield ok("overlayfs", "can be mounted" + (" in a user namespace" if new & CLONE_NEWUSER else ""))


def id_mapped(caller: "Caller") -> "Row":
    """An id-mapped mount of a new tmpfs that is attached nowhere."""
    subject, means = "id-mapped mounts", "/mounts/*/uidMappings and gidMappings, options idmap and ridmap"
    if not caller.privileged:
        found = "of file systems that were mounted in the same user namespace only"
        return limited(subject, found, f"{means}, for other file systems", "run the container as root of the host")
    try:
        maps = shim.mapped_namespace("0 100000 65536", "0 100000 65536")
        tree = shim.new_mount("tmpfs", "tmpfs", ())
    except OSError as error:
        return missing(
            subject, f"cannot be tried: {posix.strerror(error.errno or 0).lower()}", means, "Linux 5.12 or newer"
        )
    try:
        shim.idmap(tree, maps, False)
    except OSError as error:
        if error.errno in (EINVAL, ENODEV):
            found = "of ext4, xfs and others, but not of tmpfs"
            return limited(subject, found, f"{means}, with tmpfs as the source", "Linux 6.3 or newer")
        found = f"refused: {posix.strerror(error.errno or 0).lower()}"
        return missing(
            subject, found, means, "Linux 5.12 or newer; in a container its seccomp profile must allow mount_setattr"
        )
    finally:
        posix.close(maps)
        posix.close(tree)
    return ok(subject, "can be made, of tmpfs too")
