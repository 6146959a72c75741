"""What only the host can tell about a config: that files are there, namespaces of their type, ids mapped.

Run by `validate`, and by `create` and `run` before anything is made, so it is hot: builtins only. It looks, by stat and
readlink, and opens nothing but namespace files. Rows are (pointer, severity, message, hint, "host:<name>"), without a
place in the text (`oci_spec.located` finds it). A check can be overtaken by the time of the mount or exec: it is for the
message, and what keeps the container in is init's own look-up.
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

# The parameters of a namespace, by the beginning of their names, where the rules have let only such pass.
_SYSCTLS = {
    "network": ("net.",),
    "ipc": ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."),
    "uts": ("kernel.domainname",),
}
# Hooks that run before the program is looked up can still put it there.
_EARLY_HOOKS: "tuple[HookKind, ...]" = ("prestart", "createRuntime", "createContainer")
_LATE_HOOKS: "tuple[HookKind, ...]" = ("poststart", "poststop")


def rows(spec: "Config", bundle: str) -> "list[Row]":
    """All findings on a config that schema and rules accept. `bundle` is an absolute path."""
    found: list[Row] = []
    path = spec.get("root", {}).get("path")  # None too where `validate` has left out what is of the wrong type
    rootfs = _absolute(path or "", bundle)
    if path:
        found += check_rootfs(rootfs)
    found += check_mount_sources(spec, bundle)
    found += check_namespace_paths(spec)
    if spec.get("linux", {}).get("sysctl"):
        found += check_sysctls(spec["linux"])
    process = spec.get("process")
    if process:
        found += check_ids_mapped(spec, process)
        if path and not any(row[0] == "/root/path" for row in found):
            found += check_program(spec, process, rootfs, bundle)
    if "hooks" in spec:
        found += check_hooks(spec["hooks"])
    linux = spec.get("linux", {})
    if (
        (process and (process.get("apparmorProfile") or process.get("selinuxLabel")))
        or linux.get("mountLabel")
        or linux.get("intelRdt")
    ):
        from runtime.host import confinement

        found += confinement.rows(spec)
    return found


def _absolute(path: str, bundle: str) -> str:
    return path if path[:1] == "/" else f"{bundle}/{path}"


def _words(error: OSError) -> str:
    return posix.strerror(error.errno or 0).lower()


def check_rootfs(path: str) -> "Iterator[Row]":
    """The root file system is a directory that is there."""
    try:
        if posix.stat(path).st_mode & S_IFMT != S_IFDIR:
            yield "/root/path", "error", f"{path} is not a directory", None, "host:rootfs"
    except OSError as error:
        yield "/root/path", "error", f"{path}: {_words(error)}", None, "host:rootfs"


def check_mount_sources(spec: "Config", bundle: str) -> "Iterator[Row]":
    """What is bound is there, or may come by an earlier mount of the config."""
    for index, mount in enumerate(spec.get("mounts", ())):
        options = mount.get("options", ())
        if ("bind" in options or "rbind" in options) and "remount" not in options and mount.get("source"):
            path = _absolute(mount["source"], bundle)
            try:
                posix.stat(path, follow_symlinks="src-nofollow" not in options and "copy-symlink" not in options)
            except OSError as error:
                if not _comes_by_a_mount(path, spec, bundle, index):
                    yield f"/mounts/{index}/source", "error", f"{path}: {_words(error)}", None, "host:mount_source"


def _comes_by_a_mount(path: str, spec: "Config", bundle: str, index: int) -> bool:
    """Whether a path of the host lies below the rootfs where a mount before `index` puts something, or makes a directory."""
    import os

    root = os.path.realpath(_absolute(spec.get("root", {}).get("path") or "", bundle))
    inside = f"{os.path.realpath(path)}/"
    targets = [f"{root}{clean(mount['destination'])}/" for mount in spec["mounts"][:index]]
    return any(inside.startswith(target) or target.startswith(inside) for target in targets)


def check_namespace_paths(spec: "Config") -> "Iterator[Row]":
    """A namespace to join is a namespace file of the type that is named."""
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces", ())):
        path = entry.get("path")
        if path:
            try:
                wrong = _not_of_type(path, entry["type"])
                if not wrong and entry["type"] == "mount" and _is_host(path):
                    wrong = "the host's own mount namespace, whose root the container's would replace"
            except OSError as error:
                # Another user's process may show us nothing here that the runtime could not join after all.
                severity = "warning" if error.errno == EACCES else "error"
                yield f"/linux/namespaces/{index}/path", severity, f"{path}: {_words(error)}", None, "host:namespace"
                continue
            if wrong:
                yield f"/linux/namespaces/{index}/path", "error", f"{path} is {wrong}", None, "host:namespace"


def check_sysctls(linux: "Linux") -> "Iterator[Row]":
    """No parameter is set in a namespace that the container shares with the runtime by path (without one: a rule)."""
    for entry in linux.get("namespaces", ()):
        kind, path = entry["type"], entry.get("path")
        own = path and kind in _SYSCTLS and posix.access(path, posix.F_OK) and _is_own(path, kind)
        for name in linux["sysctl"] if own else ():
            if name.replace("/", ".").startswith(_SYSCTLS[kind]):
                pointer = f"/linux/sysctl/{escape(name)}"
                message = f"{name} would be set on the host, {path} is the runtime's own {kind} namespace"
                yield pointer, "error", message, None, "host:sysctl"


def _is_own(path: str, kind: str) -> bool:
    theirs, own = posix.stat(path), posix.stat(f"/proc/self/ns/{NAMESPACE_FILES[kind]}")
    return (theirs.st_dev, theirs.st_ino) == (own.st_dev, own.st_ino)


def _is_host(path: str) -> bool:
    """Whether this is the mount namespace of the runtime, or of the first process."""
    known = posix.stat(path)
    for host in ("/proc/self/ns/mnt", "/proc/1/ns/mnt"):
        try:
            if (one := posix.stat(host)).st_ino == known.st_ino and one.st_dev == known.st_dev:
                return True
        except OSError:  # another user's
            pass
    return False


def _not_of_type(path: str, kind: str) -> str:
    """What a path is instead of a namespace of this type; "" when it is one. Opens it only if it lies on nsfs."""
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
    found = f"{actual[0]} namespace" if actual else "namespace of another type"
    return f"{_article(found)} {found}, not {_article(kind)} {kind} namespace"


def _article(word: str) -> str:
    return "an" if word.startswith("ipc") else "a"


def check_ids_mapped(spec: "Config", process: "Process") -> "Iterator[Row]":
    """The user and groups of the process exist in the container's user namespace, be it new or the caller's own."""
    user = process.get("user", {})
    groups = user.get("additionalGids", ())
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    listed = [entry for entry in spec.get("linux", {}).get("namespaces", ()) if entry["type"] == "user"]
    if (listed and listed[0].get("path")) or (not listed and not uid and not gid and not groups):
        return
    linux = spec.get("linux", {})
    uids = _runs(linux.get("uidMappings", [])) if listed else _own_runs("uid")
    gids = _runs(linux.get("gidMappings", [])) if listed else _own_runs("gid")
    if listed and not (uids and gids):  # a rule has said so
        return
    ids = [("/process/user/uid", uid, uids), ("/process/user/gid", gid, gids)]
    ids += [(f"/process/user/additionalGids/{index}", group, gids) for index, group in enumerate(groups)]
    for pointer, number, runs in ids:
        if not any(first <= number < first + size for first, size in runs):
            what = "user" if pointer.endswith("/uid") else "group"
            words = f"{what} {number} is not mapped in the user namespace"
            hint = f"map it in linux.{what[0]}idMappings" if listed else "add a user namespace that maps it"
            yield pointer, "error", words, hint, "host:ids_mapped"


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
    """A hook that is found in the runtime's namespace is an executable file. An earlier one may still make it: warning."""
    for name in _EARLY_HOOKS + _LATE_HOOKS:
        for index, hook in enumerate(hooks.get(name, [])):
            try:
                if posix.access(hook["path"], posix.X_OK) and posix.stat(hook["path"]).st_mode & S_IFMT == S_IFREG:
                    continue
                words = "not an executable file"
                posix.stat(hook["path"])
            except OSError as error:
                words = _words(error)
            yield f"/hooks/{name}/{index}/path", "warning", f"{hook['path']}: {words}", None, "host:hook"


def check_program(spec: "Config", process: "Process", rootfs: str, bundle: str) -> "Iterator[Row]":
    """cwd is a directory in the container and args[0] a program, seen through the config's mounts.

    What is missing below a mount, or before hooks that could make it, is a warning only. The words are those that
    Docker and others take the exit status from.
    """
    mounts = spec.get("mounts", ())
    sure = not any(spec.get("hooks", {}).get(name) for name in _EARLY_HOOKS)
    findings = list(_look(process, tree_of(rootfs, mounts, bundle, exact=False)))
    if findings:
        # The quick tree takes mount points as they are written; where something is missing, links in them count.
        findings = list(_look(process, tree_of(rootfs, mounts, bundle, exact=True)))
    for pointer, message, certain in findings:
        severity = "error" if certain and sure else "warning"
        name = "host:cwd" if pointer == "/process/cwd" else "host:program"
        yield pointer, severity, message, None, name


def _look(process: "Process", tree: Tree) -> "Iterator[tuple[str, str, bool]]":
    """(pointer, message, whether no mount can hide it) for cwd and args[0] when they are not found."""
    cwd = process.get("cwd", "/")
    try:
        # A relative one is refused by a rule already.
        if cwd[:1] == "/" and tree.mode(cwd) & S_IFMT != S_IFDIR:
            yield "/process/cwd", f"{cwd}: not a directory", True
    except (Unknown, FileNotFoundError, PermissionError):
        pass  # it is made where it is missing; the container's user may enter it where we may not
    except OSError as error:
        yield "/process/cwd", f"{cwd}: {_words(error)}", not tree.below_mount
    args = process.get("args")
    if args:
        finding = _program_missing(args[0], process, cwd, tree)
        if finding:
            yield "/process/args/0", *finding


def _program_missing(name: str, process: "Process", cwd: str, tree: Tree) -> "tuple[str, bool] | None":
    """Why a program is not found, and whether that is certain. None when it is there, as execvp would find it."""
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
        if finding[0].endswith("permission denied"):
            denied = finding
    return denied or (f'exec: "{name}": executable file not found in $PATH', certain)


def _not_executable(path: str, what: str, tree: Tree) -> "tuple[str, bool] | None":
    """Whether the file is one that somebody may execute; the rest is for the kernel to judge, with the user's credentials."""
    try:
        mode = tree.mode(path)
    except Unknown as unknown:
        return f"{what}: {path} is below the mount {unknown}, it may be missing there", False
    except OSError as error:
        certain = not tree.below_mount and not isinstance(error, PermissionError)
        return f"{what}: stat {path}: {_words(error)}", certain
    if mode & S_IFMT == S_IFDIR:
        return f"{what}: is a directory", not tree.below_mount
    if mode & S_IFMT != S_IFREG or not mode & 0o111:
        return f"{what}: permission denied", not tree.below_mount
    return None
