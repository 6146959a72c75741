"""Checks of a config against the host: files exist, namespaces have the right type, ids are mapped.

Run by `validate`, and by `create` and `run` before anything is made, so it is hot: builtins only. It uses stat and
readlink, and opens only namespace files. Rows are (pointer, severity, message, hint, "host:<name>"), without a line
(`oci_spec.located` adds it). The host may change after a check: the checks are for the messages, and init's own path
look-up is what confines the container.
"""

import posix
from errno import EACCES

from runtime.files import clean, escape
from runtime.host.container_tree import Tree, Unknown, tree_of
from runtime.kernel import CLONE_FLAGS, NAMESPACE_FILES, NS_GET_NSTYPE, S_IFDIR, S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Row
    from oci_spec.types import Config, HookKind, Hooks, IdMapping, Linux, Process

# The prefixes of each namespace's parameters, among those that the rules accept.
_SYSCTLS = {
    "network": ("net.",),
    "ipc": ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."),
    "uts": ("kernel.domainname",),
}
ROOTFS = "unpack the root file system there, or correct the path"
SOURCE = "create it, or correct the path; a relative one is from the bundle"
CWD = "write a directory; one that is missing is made"
# Managers know execve's answer only, which is EACCES.
IS_DIRECTORY = "is a directory: permission denied"
# Hooks that run before the program is looked up can still create it.
_EARLY_HOOKS: "tuple[HookKind, ...]" = ("prestart", "createRuntime", "createContainer")
_LATE_HOOKS: "tuple[HookKind, ...]" = ("poststart", "poststop")


def rows(spec: "Config", bundle: str) -> "list[Row]":
    """All rows for a config that schema and rules accept. `bundle` is an absolute path."""
    result: list[Row] = []
    path = spec.get("root", {}).get("path")  # None also if `validate` left out a value of the wrong type
    rootfs = _absolute(path or "", bundle)
    if path:
        result += check_rootfs(rootfs)
    result += check_mount_sources(spec, bundle)
    result += check_namespace_paths(spec)
    if "namespaces" in spec.get("linux", ()) and (spec.get("hostname") or spec.get("domainname")):
        result += check_hostname(spec)
    if spec.get("linux", {}).get("sysctl"):
        result += check_sysctls(spec["linux"])
    process = spec.get("process")
    if process:
        result += check_ids_mapped(spec, process)
        if path and not any(row[0] == "/root/path" for row in result):
            result += check_program(spec, process, rootfs, bundle)
    if "hooks" in spec:
        result += check_hooks(spec["hooks"])
    linux = spec.get("linux", {})
    if (
        (process and (process.get("apparmorProfile") or process.get("selinuxLabel")))
        or linux.get("mountLabel")
        or linux.get("intelRdt")
    ):
        from runtime.host import confinement

        result += confinement.rows(spec)
    return result


def _absolute(path: str, bundle: str) -> str:
    return path if path[:1] == "/" else f"{bundle}/{path}"


def _reason(error: OSError) -> str:
    return posix.strerror(error.errno or 0).lower()


def check_rootfs(path: str) -> "Iterator[Row]":
    """The root file system is an existing directory."""
    try:
        if posix.stat(path).st_mode & S_IFMT != S_IFDIR:
            yield "/root/path", "error", f"{path} is not a directory", ROOTFS, "host:rootfs"
    except OSError as error:
        yield "/root/path", "error", f"{path}: {_reason(error)}", ROOTFS, "host:rootfs"


def check_mount_sources(spec: "Config", bundle: str) -> "Iterator[Row]":
    """The source of a bind mount exists, or an earlier mount may provide it."""
    for index, mount in enumerate(spec.get("mounts", ())):
        options = mount.get("options", ())
        if ("bind" in options or "rbind" in options) and "remount" not in options and mount.get("source"):
            path = _absolute(mount["source"], bundle)
            try:
                posix.stat(path, follow_symlinks="src-nofollow" not in options and "copy-symlink" not in options)
            except OSError as error:
                if not _may_be_mounted(path, spec, bundle, index):
                    yield f"/mounts/{index}/source", "error", f"{path}: {_reason(error)}", SOURCE, "host:mount_source"


def _may_be_mounted(path: str, spec: "Config", bundle: str, index: int) -> bool:
    """Whether a path lies in the rootfs where a mount before `index` puts something, or makes a directory."""
    import os

    try:
        root = os.path.realpath(_absolute(spec.get("root", {}).get("path") or "", bundle))
        inside = f"{os.path.realpath(path)}/"
    except OSError:
        return False  # a link in /proc that we may not read
    targets = [f"{root}{clean(mount['destination'])}/" for mount in spec["mounts"][:index]]
    return any(inside.startswith(target) or target.startswith(inside) for target in targets)


def check_namespace_paths(spec: "Config") -> "Iterator[Row]":
    """The path of a namespace is a namespace file of the right type."""
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces", ())):
        path = entry.get("path")
        if path:
            try:
                wrong = _not_of_type(path, entry["type"])
                if not wrong and entry["type"] == "mount" and _is_host(path):
                    wrong = "the host's own mount namespace, whose root the container's would replace"
                if not wrong and entry["type"] == "user" and _is_own(path, "user"):
                    wrong = "the runtime's own user namespace, which the kernel lets nobody join again"
            except OSError as error:
                # We may not look at another user's process, but may still be able to join.
                severity = "warning" if error.errno == EACCES else "error"
                yield (
                    f"/linux/namespaces/{index}/path",
                    severity,
                    f"{path}: {_reason(error)}",
                    _namespace_remedy(path, entry["type"]),
                    "host:namespace",
                )
                continue
            if wrong:
                hint = _namespace_remedy(path, entry["type"])
                yield f"/linux/namespaces/{index}/path", "error", f"{path} is {wrong}", hint, "host:namespace"


def _namespace_remedy(path: str, kind: str) -> str:
    from runtime.host import unexpected

    return unexpected.namespace_remedy(path, NAMESPACE_FILES[kind])


def check_hostname(spec: "Config") -> "Iterator[Row]":
    """The host is not renamed through a path to its own uts namespace. (Without a path, a rule says so.)"""
    for entry in spec["linux"]["namespaces"]:
        path = entry.get("path")
        if entry["type"] == "uts" and path and posix.access(path, posix.F_OK) and _is_own(path, "uts"):
            for name in ("hostname", "domainname"):
                if spec.get(name):
                    message = f"{name} would be set on the host: {path} is the runtime's own uts namespace"
                    yield f"/{name}", "error", message, f"leave {name} out, or the path", "host:hostname"


def check_sysctls(linux: "Linux") -> "Iterator[Row]":
    """No parameter is set in a namespace that the container shares with the runtime by path. (Without a path, a rule says so.)"""
    for entry in linux.get("namespaces", ()):
        kind, path = entry["type"], entry.get("path")
        own = path and kind in _SYSCTLS and posix.access(path, posix.F_OK) and _is_own(path, kind)
        for name in linux["sysctl"] if own else ():
            if name.replace("/", ".").startswith(_SYSCTLS[kind]):
                pointer = f"/linux/sysctl/{escape(name)}"
                message = f"{name} would be set on the host: {path} is the runtime's own {kind} namespace"
                yield pointer, "error", message, "leave it out, or take a namespace of its own", "host:sysctl"


def _is_own(path: str, kind: str) -> bool:
    theirs, own = posix.stat(path), posix.stat(f"/proc/self/ns/{NAMESPACE_FILES[kind]}")
    return (theirs.st_dev, theirs.st_ino) == (own.st_dev, own.st_ino)


def _is_host(path: str) -> bool:
    """Whether this is the mount namespace of the runtime, or of process 1."""
    theirs = posix.stat(path)
    for host in ("/proc/self/ns/mnt", "/proc/1/ns/mnt"):
        try:
            if (own := posix.stat(host)).st_ino == theirs.st_ino and own.st_dev == theirs.st_dev:
                return True
        except OSError:  # another user's
            pass
    return False


def _not_of_type(path: str, kind: str) -> str:
    """What the path is instead of a namespace of this type; "" if it is one. Opens it only on nsfs."""
    if posix.stat(path).st_dev != posix.stat("/proc/self/ns/mnt").st_dev:
        return "not a namespace"
    from fcntl import ioctl

    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        flag = ioctl(descriptor, NS_GET_NSTYPE)
    finally:
        posix.close(descriptor)
    if flag == CLONE_FLAGS[kind]:
        return ""
    actual = [name for name, known in CLONE_FLAGS.items() if known == flag]
    instead = f"{actual[0]} namespace" if actual else "namespace of another type"
    return f"{_article(instead)} {instead}, not {_article(kind)} {kind} namespace"


def _article(word: str) -> str:
    return "an" if word.startswith("ipc") else "a"


def check_ids_mapped(spec: "Config", process: "Process") -> "Iterator[Row]":
    """The process's user and groups exist in its user namespace, a new one or the caller's."""
    user = process.get("user", {})
    groups = user.get("additionalGids", ())
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    listed = [entry for entry in spec.get("linux", {}).get("namespaces", ()) if entry["type"] == "user"]
    if (listed and listed[0].get("path")) or (not listed and not uid and not gid and not groups):
        return
    linux = spec.get("linux", {})
    uids = _runs(linux.get("uidMappings", [])) if listed else _own_runs("uid")
    gids = _runs(linux.get("gidMappings", [])) if listed else _own_runs("gid")
    if listed and not (uids and gids):  # a rule reports it
        return
    ids = [("/process/user/uid", uid, uids), ("/process/user/gid", gid, gids)]
    ids += [(f"/process/user/additionalGids/{index}", group, gids) for index, group in enumerate(groups)]
    for pointer, number, runs in ids:
        if not any(first <= number < first + size for first, size in runs):
            kind = "user" if pointer.endswith("/uid") else "group"
            message = f"{kind} {number} is not mapped in the user namespace"
            hint = f"map it in linux.{kind[0]}idMappings" if listed else "add a user namespace that maps it"
            yield pointer, "error", message, hint, "host:ids_mapped"


def _runs(mappings: "list[IdMapping]") -> "list[tuple[int, int]]":
    """(first, size) of the ids that exist in a new user namespace."""
    return [(mapping["containerID"], mapping["size"]) for mapping in mappings]


def _own_runs(kind: str) -> "list[tuple[int, int]]":
    """The same for the caller's user namespace; ``kind`` is uid or gid."""
    try:
        descriptor = posix.open(f"/proc/self/{kind}_map", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:  # a kernel without user namespaces
        return [(0, 1 << 32)]
    try:
        lines = posix.read(descriptor, 1 << 16).splitlines()
    finally:
        posix.close(descriptor)
    return [(int(first), int(size)) for first, _, size in map(bytes.split, lines)]


def check_hooks(hooks: "Hooks") -> "Iterator[Row]":
    """A hook is an executable file in the runtime's mount namespace. Only a warning: an earlier hook may create it."""
    for name in _EARLY_HOOKS + _LATE_HOOKS:
        for index, hook in enumerate(hooks.get(name, [])):
            try:
                if posix.access(hook["path"], posix.X_OK) and posix.stat(hook["path"]).st_mode & S_IFMT == S_IFREG:
                    continue
                reason = "not an executable file"
                posix.stat(hook["path"])
            except OSError as error:
                reason = _reason(error)
            yield (
                f"/hooks/{name}/{index}/path",
                "warning",
                f"{hook['path']}: {reason}",
                "install it, or leave the hook out",
                "host:hook",
            )


def check_program(spec: "Config", process: "Process", rootfs: str, bundle: str) -> "Iterator[Row]":
    """cwd is a directory in the container and args[0] a program, seen through the config's mounts.

    Only a warning below a mount, or if a hook could create the file. Docker and others take the exit status from the
    messages.
    """
    mounts = spec.get("mounts", ())
    sure = not any(spec.get("hooks", {}).get(name) for name in _EARLY_HOOKS)
    findings = list(_look(process, tree_of(rootfs, mounts, bundle, exact=False)))
    if findings:
        # The quick tree takes mount points as written. Before reporting, resolve links in them.
        findings = list(_look(process, tree_of(rootfs, mounts, bundle, exact=True)))
    for pointer, message, certain in findings:
        severity = "error" if certain and sure else "warning"
        name = "host:cwd" if pointer == "/process/cwd" else "host:program"
        yield pointer, severity, message, CWD if pointer == "/process/cwd" else _program_hint(process), name


def _program_hint(process: "Process") -> "str | None":
    """A whole command line is no program's name. Otherwise nothing: managers take the end of the message for its meaning."""
    command = process.get("args", [""])[0]
    words = command.split()
    return f"write each argument as an item: {', '.join(words[:3])}…" if len(words) > 1 else None


def _look(process: "Process", tree: Tree) -> "Iterator[tuple[str, str, bool]]":
    """(pointer, message, certain) for a missing cwd or args[0]. Not certain: a mount may provide it."""
    if not tree.rootfs:  # a mount of unknown content is the root
        return
    cwd = process.get("cwd", "/")
    try:
        # A rule refuses a relative one.
        if cwd[:1] == "/" and tree.mode(cwd) & S_IFMT != S_IFDIR:
            yield "/process/cwd", f"{cwd}: not a directory", True
    except (Unknown, FileNotFoundError, PermissionError):
        pass  # a missing one is made; the container's user may have access that we do not
    except OSError as error:
        yield "/process/cwd", f"{cwd}: {_reason(error)}", not tree.below_mount
    args = process.get("args")
    if args:
        finding = _program_missing(args[0], process, cwd, tree)
        if finding:
            yield "/process/args/0", *finding


def _program_missing(name: str, process: "Process", cwd: str, tree: Tree) -> "tuple[str, bool] | None":
    """Why execvp would not find the program, and whether that is certain. None if it would."""
    if "/" in name:
        return _not_executable(name if name[0] == "/" else f"{cwd}/{name}", f'exec: "{name}"', tree)
    path = None
    for entry in process.get("env", ()):
        if entry.startswith("PATH="):
            path = entry[5:]
    if path is None:
        return f'exec: "{name}": executable file not found in $PATH, which env does not set', False
    certain, denied = True, None
    for directory in path.split(":"):
        finding = _not_executable(f"{directory or cwd}/{name}", f'exec: "{name}"', tree)
        if finding is None:
            return None
        certain = certain and finding[1]
        # As execvp: a directory of that name is passed over.
        if finding[0].endswith("permission denied") and not finding[0].startswith(f'exec: "{name}": {IS_DIRECTORY}'):
            denied = finding
    return denied or (f'exec: "{name}": executable file not found in $PATH', certain)


def _not_executable(path: str, subject: str, tree: Tree) -> "tuple[str, bool] | None":
    """Why nobody could execute the file, and whether that is certain. The kernel checks the user's own permission later."""
    try:
        mode = tree.mode(path)
    except Unknown as unknown:
        return f"{subject}: {path} is below the mount {unknown}, and may be missing there", False
    except OSError as error:
        certain = not tree.below_mount and not isinstance(error, PermissionError)
        return f"{subject}: stat {path}: {_reason(error)}", certain
    if mode & S_IFMT == S_IFDIR:
        return f"{subject}: {IS_DIRECTORY}", not tree.below_mount
    if mode & S_IFMT != S_IFREG or not mode & 0o111:
        return f"{subject}: permission denied", not tree.below_mount
    return None
