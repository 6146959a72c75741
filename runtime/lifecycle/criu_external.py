"""What of a container is outside of its images: mounts and namespaces of the host, which CRIU knows by names.

A mount has the name of its mount point. Both are made here, to dump and to restore, from the config and the root file
system, so they agree. A name becomes part of a text that CRIU takes apart at "]:": one that contains it is refused.
"""

import posix

from runtime import files
from runtime.cgroups import layout
from runtime.errors import InvalidConfig, system_failure
from runtime.files import clean
from runtime.host import mountinfo
from runtime.host.container_tree import Tree
from runtime.plan.devices import DEFAULTS, has_own_dev
from runtime.plan.namespaces import kinds
from runtime.plan.rootfs import is_covered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, Mount
    from runtime.shapes import Location

    Pairs = list[tuple[str, str]]

NULL = "/dev/null"
# Namespaces that CRIU leaves alone if they are named: its word for the type, and the name.
EXTERNAL = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}
# Namespaces that CRIU joins when it restores, although it has dumped what is in them.
JOINED = {"ipc": "ipc", "uts": "uts", "time": "time", "user": "user"}


def check(spec: "Config") -> None:
    """InvalidConfig for what CRIU cannot bring back."""
    listed = kinds(spec)
    if "mount" not in listed:
        raise InvalidConfig("CRIU needs a container with its own mount namespace", "/linux/namespaces")
    for kind, (pointer, path) in listed.items():
        if path and kind not in EXTERNAL and kind not in JOINED:
            raise InvalidConfig(f"CRIU cannot restore into an existing {kind} namespace", f"{pointer}/path")
    if is_covered(spec):
        raise InvalidConfig(
            "CRIU would take the mount on / for a directory of the host's, and not restore it: mount it on root.path before",
            "/mounts/0/destination",
        )
    for index, mount in enumerate(spec.get("mounts", ())):
        options = mount.get("options", ())
        if mount.get("uidMappings") or "idmap" in options or "ridmap" in options:
            raise InvalidConfig("CRIU does not keep the id maps of a mount", f"/mounts/{index}")


def binds(spec: "Config", rootfs: str, bundle: str) -> "Pairs":
    """(name, source) of each bind mount of the config, and of each device that a user namespace makes one."""
    result = list(bind_mounts(spec, rootfs, bundle).values())
    if "user" in kinds(spec) and has_own_dev(spec):
        result += _devices(spec)
    return result


def bind_mounts(spec: "Config", rootfs: str, bundle: str) -> "dict[int, tuple[str, str]]":
    """Index of each bind mount of the config → (name, source)."""
    tree, result = Tree(rootfs), {}
    for index, mount in enumerate(spec.get("mounts", ())):
        options = mount.get("options", ())
        if "remount" in options:
            continue
        name = tree.resolve(mount["destination"])
        source = _source(mount, bundle) if "bind" in options or "rbind" in options else None
        tree.add(name, source)
        if source is not None:
            result[index] = _checked(name, f"/mounts/{index}/destination"), source
    return result


def _source(mount: "Mount", bundle: str) -> "str | None":
    """The source of a bind mount; None for a link that copy-symlink has copied."""
    source = mount.get("source") or ""
    path = source if source.startswith("/") else f"{bundle}/{source}"
    if "copy-symlink" in mount.get("options", ()):
        try:
            posix.readlink(path)
            return None
        except OSError:
            pass
    return path


def _devices(spec: "Config") -> "Pairs":
    """The nodes of the host's that have the number which the config gives them."""
    rows = [(path, major, minor) for path, major, minor in DEFAULTS]
    rows += [(row["path"], row.get("major", 0), row.get("minor", 0)) for row in spec["linux"].get("devices") or ()]
    found: dict[str, str] = {}
    for path, major, minor in rows:
        try:
            number = posix.stat(path).st_rdev
        except OSError:
            continue
        if (posix.major(number), posix.minor(number)) == (major, minor):
            found[_checked(clean(path), "/linux/devices")] = path
    return list(found.items())


def _checked(name: str, pointer: str) -> str:
    if "]:" in name:
        raise InvalidConfig(f'{name!r}: CRIU cannot name a mount point that contains "]:"', pointer)
    return name


def borrowed_cgroups(spec: "Config") -> "tuple[str, ...]":
    """The types of cgroup mounts that are binds of the host's: none, if the container has a cgroup namespace."""
    listed = kinds(spec)
    return () if "cgroup" in listed else ("cgroup", "cgroup2") if "user" in listed else ("cgroup",)


def cgroup_binds(spec: "Config", locations: "list[Location]") -> "Pairs":
    """(name, source) of the directories of the host that the cgroup mounts consist of."""
    result = []
    wanted = {"cgroup": "bind", "cgroup2": "cgroup2"}
    borrowed = [wanted[kind] for kind in borrowed_cgroups(spec)]
    for mount in spec.get("mounts", ()):
        if mount.get("type") == "cgroup":
            rows = layout.mount_entries(locations, "cgroup" in kinds(spec))
            target = clean(mount["destination"])
            result += [
                (f"{target}/{below}" if below else target, source)
                for kind, source, _, below in rows
                if kind in borrowed
            ]
    return result


def dumped_mounts(spec: "Config", rootfs: str, bundle: str, pid: int) -> "Pairs":
    """What to tell CRIU when it dumps process ``pid``: (mount point, name). Raises OcirunError."""
    result = [(name, name) for name, _ in binds(spec, rootfs, bundle)]
    shared = [clean(mount["destination"]) for mount in spec.get("mounts", ()) if mount.get("type") == "cgroup"]
    masked = {clean(path) for path in spec["linux"].get("maskedPaths") or ()}
    for row in mounted(pid):
        if row.point in masked and row.root != "/":  # a directory is covered by a file system, all of it
            result.append((row.point, NULL))
        elif row.type in borrowed_cgroups(spec) and any(files.is_below(row.point, above) for above in shared):
            result.append((row.point, row.point))
    return result


def restored_mounts(spec: "Config", rootfs: str, bundle: str, locations: "list[Location]") -> "Pairs":
    """What to tell CRIU when it restores: (name, source). InvalidConfig for a name that CRIU would misread."""
    null = [(NULL, NULL)] if spec["linux"].get("maskedPaths") else []
    return binds(spec, rootfs, bundle) + cgroup_binds(spec, locations) + null


def mounted(pid: int) -> "list[mountinfo.Mount]":
    """The mounts of the process's namespace. OcirunError if the process has ended."""
    try:
        return mountinfo.of_process(pid).all
    except OSError as error:
        raise system_failure(f"read the mounts of process {pid}", error) from None


def dumped_namespaces(spec: "Config") -> "list[str]":
    """The namespaces that CRIU is to leave alone, as it names them. OcirunError for one that is gone."""
    result = []
    for kind, (pointer, path) in kinds(spec).items():
        if path and kind in EXTERNAL:
            word, name = EXTERNAL[kind]
            try:
                inode = posix.stat(path).st_ino
            except OSError as error:
                raise system_failure(f"find the {kind} namespace {path}", error, f"{pointer}/path") from None
            result.append(f"{word}[{inode}]:{name}")
    return result


def open_namespaces(spec: "Config") -> "list[tuple[str, int]]":
    """(name, descriptor) of the namespaces that CRIU left alone; the caller closes them. OcirunError for one that is gone."""
    opened: list[tuple[str, int]] = []
    for kind, (pointer, path) in kinds(spec).items():
        if path and kind in EXTERNAL:
            try:
                opened.append((EXTERNAL[kind][1], posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)))
            except OSError as error:
                for _, descriptor in opened:
                    posix.close(descriptor)
                reason = f"open the {kind} namespace {path}, which must exist before the restore"
                raise system_failure(reason, error, f"{pointer}/path") from None
    return opened


def joined_namespaces(spec: "Config") -> "Pairs":
    """(CRIU's word for the type, path) of the other namespaces to restore into."""
    return [(JOINED[kind], path) for kind, (_, path) in kinds(spec).items() if path and kind in JOINED]
