"""What a config shares with the host without saying so, and what it does not find there. Cold: for `validate`, and for remedies.

Rows are as those of `checks`.
"""

import posix

from runtime.files import read_or_empty
from runtime.host.container_tree import Unknown, tree_of
from runtime.kernel import NAMESPACE_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec import Row
    from oci_spec.types import Config

# uname(2)'s machine → SCMP_ARCH_* of a seccomp profile.
MACHINES = {
    "x86_64": "X86_64",
    "aarch64": "AARCH64",
    "riscv64": "RISCV64",
    "s390x": "S390X",
    "ppc64le": "PPC64LE",
    "loongarch64": "LOONGARCH64",
}
# System calls that an older libseccomp does not know, and that look like older ones.
NEWER = frozenset(
    """futex_wait futex_wake futex_requeue cachestat fchmodat2 map_shadow_stack statmount listmount mseal setxattrat
    getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr listns uprobe uretprobe""".split()
)
ANY_TABLE = 0xC000003E  # AUDIT_ARCH_X86_64
UNKNOWN = -1  # __NR_SCMP_ERROR: in no machine's table; a name of another machine has another negative number


def rows(spec: "Config", bundle: str) -> "Iterator[Row]":
    """Rows of a config that schema and rules accept. ``bundle`` is an absolute path."""
    yield from _root(spec, bundle)
    yield from _own_namespaces(spec)
    yield from _working_directory(spec, bundle)
    yield from _architectures(spec)
    yield from _misspelt_calls(spec)


def _same(path: str, other: str) -> bool:
    try:
        one, two = posix.stat(path), posix.stat(other)
    except OSError:
        return False
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)


def _rootfs(spec: "Config", bundle: str) -> str:
    path = spec.get("root", {}).get("path", "")
    return path if path[:1] == "/" else f"{bundle}/{path}"


def _root(spec: "Config", bundle: str) -> "Iterator[Row]":
    """The root file system is not the host's own."""
    if spec.get("root", {}).get("path") and _same(_rootfs(spec, bundle), "/"):
        message = "this is the host's own root: all its files are the container's"
        yield "/root/path", "warning", message, "take a directory with a root file system of its own", "host:root"


def _own_namespaces(spec: "Config") -> "Iterator[Row]":
    """A namespace that is joined is not the runtime's own."""
    for index, entry in enumerate(spec.get("linux", {}).get("namespaces", ())):
        path, kind = entry.get("path"), entry["type"]
        if path and kind not in ("user", "mount") and _same(path, f"/proc/self/ns/{NAMESPACE_FILES[kind]}"):
            message = f"{path} is the runtime's own {kind} namespace, so the container shares it with the host"
            hint = "leave the path out for a new one"
            yield f"/linux/namespaces/{index}/path", "warning", message, hint, "host:own_namespace"


def _working_directory(spec: "Config", bundle: str) -> "Iterator[Row]":
    """The working directory is in the root file system."""
    cwd = spec.get("process", {}).get("cwd", "")
    if cwd[:1] != "/" or not spec.get("root", {}).get("path"):
        return
    try:
        tree_of(_rootfs(spec, bundle), spec.get("mounts", ()), bundle, exact=True).mode(cwd)
    except FileNotFoundError:
        message = f"{cwd} is not in the root file system, so an empty directory is made, which root owns"
        yield "/process/cwd", "warning", message, "make it in the image, or correct the path", "host:cwd_made"
    except (OSError, Unknown):
        return  # `checks` tells the former; the latter cannot be known


def _architectures(spec: "Config") -> "Iterator[Row]":
    """A seccomp profile is one for this machine."""
    listed = spec.get("linux", {}).get("seccomp", {}).get("architectures")
    own = MACHINES.get(posix.uname().machine)
    if listed and own and f"SCMP_ARCH_{own}" not in listed:
        message = f"the profile is not for this machine, SCMP_ARCH_{own}, but is applied to its calls all the same"
        hint = f"add SCMP_ARCH_{own}, or take a profile for it"
        yield "/linux/seccomp/architectures", "warning", message, hint, "host:seccomp_architecture"


def _misspelt_calls(spec: "Config") -> "Iterator[Row]":
    """The names of a seccomp profile are system calls. Only what looks misspelt is told: a name may be newer than libseccomp."""
    entries = spec.get("linux", {}).get("seccomp", {}).get("syscalls", [])
    if not entries:
        return
    from oci_spec.rules.arguments import COUNTS

    for index, entry in enumerate(entries):
        for position, name in enumerate(entry["names"]):
            near = "" if name in COUNTS or name in NEWER else _meant(name, COUNTS)
            if near:
                message = f"libseccomp knows no system call {name}, so the rule goes without it"
                pointer = f"/linux/seccomp/syscalls/{index}/names/{position}"
                yield pointer, "warning", message, f"did you mean {near}?", "host:seccomp_name"


def _meant(name: str, known: "dict[str, int]") -> str:
    """The system call that a name looks like, if it is of no machine's itself; "" also without libseccomp."""
    from oci_spec.nearest import nearest
    from runtime.shim import lib

    if lib.shim_seccomp_number(ANY_TABLE, name.encode(errors="surrogatepass")) != UNKNOWN:
        return ""
    near = nearest(name, known, 0.8)
    return near if near and lib.shim_seccomp_number(ANY_TABLE, near.encode()) != UNKNOWN else ""


def namespace_remedy(path: str, name: str) -> str:
    """What to do about a path that is no namespace, where ``name`` is its file in /proc/PID/ns."""
    words = path.split("/")
    if words[1:2] == ["proc"] and len(words) > 3 and words[2].isdigit():
        if not posix.access(f"/proc/{words[2]}", posix.F_OK):
            return f"process {words[2]} has ended: write the path of one that runs, or leave it out for a new namespace"
        if b"\nState:\tZ" in read_or_empty(f"/proc/{words[2]}/status"):
            return f"process {words[2]} has ended, and its namespaces with it: take one that runs"
    if words[1:2] == ["proc"] and words[-2:-1] == ["ns"] and words[-1] != name:
        return f"write {path.rpartition('/')[0]}/{name}"
    if _is_empty(path):
        return "no namespace is mounted on it any more: make it anew, as with ip netns add, or leave the path out"
    return "write /proc/PID/ns/TYPE of a process that runs, or leave the path out for a new namespace"


def _is_empty(path: str) -> bool:
    """Whether this is an empty file, as is left when a namespace is no longer mounted on it."""
    try:
        status = posix.stat(path)
    except OSError:
        return False
    return status.st_size == 0 and status.st_dev != posix.stat("/proc/self/ns/net").st_dev
