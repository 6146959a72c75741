"""The root file system: mounts, devices, paths, the console, names, sysctls, hooks, and entering the root.

Paths are the container's, sources the host's. ``attr_set`` and ``attr_clr`` are MOUNT_ATTR_* bits of a mount, ``rec_set``
and ``rec_clr`` apply to the mounts below it too.
"""

from __future__ import annotations

from . import flags as bits
from .table import container, host
from .wording import counted, id_map, mount_options, own_options
from .wording import propagation as spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NODES = {0o020000: "character device", 0o060000: "block device", 0o010000: "fifo"}


@container()
def propagation(flags: int, origin: str | None) -> str:
    """Set the propagation (an MS_* bit) of every mount of the new mount namespace."""
    return f"make every mount {spread(flags)}"


@host()
def open_tree(
    source: str,
    flags: int,
    origin: str,
    attach: int = 0,
    attr_set: int = 0,
    attr_clr: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
) -> str:
    """Clone the mount at ``source`` in the container's mount namespace, with the caller's rights, for the next operation.

    ``flags`` are BIND_*. ``attach``: 1 mounts the clone over ``source``, 2 also makes the mount around it private. The
    attributes are those of the bind that the container may not set on a locked mount.
    """
    below = " with what is mounted below it" if flags & bits.BIND_REC else ""
    options = mount_options(attr_set, attr_clr, rec_set, rec_clr)
    return f"clone the mount at {source}{options}{below}{', over itself' if attach else ''}"


@host()
def idmap_tree(
    source: str,
    type: str | None,
    options: Sequence[str],
    maps: Sequence[str],
    recursive: bool,
    map_all: bool,
    origin: str,
    attr_set: int = 0,
    attr_clr: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
) -> str:
    """Give the next operation a mount with its own id maps: a clone of the one at ``source``, or a new file system of ``type``.

    ``maps`` are the texts of a uid_map and a gid_map; without them, those of the container's user namespace apply.
    ``recursive``: include the mounts below; ``map_all`` maps those too. The others as for `open_tree`.
    """
    what = f"make a mount of {type}" if type else f"clone the mount at {source}"
    what += (" with what is mounted below it" if recursive else "") + own_options(options)
    where = ", in all of them" if recursive and map_all else ""
    if not maps:
        return f"{what}, its ids mapped as the container's{where}"
    return f"{what}, its uids mapped: {id_map(maps[0])}; gids: {id_map(maps[1])}{where}"


@host()
def device_tree(
    path: str,
    type: int,
    major: int,
    minor: int,
    mode: int,
    uid: int,
    gid: int,
    label: str | None,
    source: str | None,
    origin: str,
) -> str:
    """Give the next operation a node in a tmpfs of the host's, or the host's ``source`` if a node may not be made.

    ``uid`` and ``gid`` are the container's, ``label`` is the tmpfs's SELinux context.
    """
    what = f"{NODES.get(type, 'node')} {path} ({major}:{minor}, mode {mode:04o}, uid {uid}, gid {gid})"
    return f"make the {what} in a tmpfs of the host's side"


@container("/root/path")
def root(path: str, attach: bool, private_parent: bool) -> str:
    """Open the root, or (``attach``) mount it over itself; ``private_parent``: mounts in it may be peers of the host's."""
    return f"mount the root {path} over itself" if attach else f"open the root {path}"


@container()
def proc_handle(host: bool) -> str:
    """Open a private procfs; ``host``: a clone of the host's, because the pid namespace is the host's."""
    return "open a procfs for init's own use"


@container()
def mount(
    destination: str,
    type: str,
    source: str,
    options: Sequence[str] = (),
    attr_set: int = 0,
    propagation: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
    flags: int = 0,
    superblock: int = 0,
    origin: str | None = None,
) -> str:
    """Mount a new file system of ``type`` on ``destination``, making the directory if it is missing.

    ``options`` are the file system's own ("key" or "key=value"); ``propagation`` and ``superblock`` are MS_*; ``flags``
    are MOUNT_* of this package.
    """
    text = f"mount {type} on {destination}{mount_options(attr_set, 0, rec_set, rec_clr, propagation | superblock)}"
    text += own_options(options)
    if flags & bits.MOUNT_COPY_UP:
        text += ", filled with what it covers"
    if flags & bits.MOUNT_ROOT:
        text += ", as the root"
    if flags & bits.MOUNT_HOST_COPY:
        text += ", or bind the host's if the kernel refuses it"
    return text


@container()
def bind(
    destination: str,
    source: str | None,
    recursive: int = 0,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
    origin: str | None = None,
) -> str:
    """Bind ``source`` on ``destination``, making a missing file or directory to match.

    Without a source, bind what the preceding `open_tree` opened. ``recursive`` is a set of BIND_* flags, named after the
    first, as `ocirun plan` has always shown it.
    """
    what = source or "that mount"
    if source and recursive & bits.BIND_REC:
        what += " and what is mounted below it"
    if recursive & bits.BIND_SOURCE_NOFOLLOW:
        what += ", which may be a link,"
    over = ", over a link that stands there" if recursive & bits.BIND_TARGET_NOFOLLOW else ""
    over += ", as the root" if recursive & bits.BIND_ROOT else ""
    return f"bind {what} on {destination}{mount_options(attr_set, attr_clr, rec_set, rec_clr, propagation)}{over}"


@container()
def remount(
    destination: str,
    options: Sequence[str] = (),
    attr_set: int = 0,
    attr_clr: int = 0,
    flags: int = 0,
    propagation: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
    origin: str | None = None,
) -> str:
    """Change the mount at ``destination``; without MS_BIND in ``flags`` (MS_*), its file system too."""
    changes = mount_options(attr_set, attr_clr, rec_set, rec_clr, flags | propagation)
    return f"change the mount at {destination}{changes}{own_options(options)}"


@container()
def file_label(path: str, label: str, origin: str) -> str:
    """Set the SELinux label of the directory mounted on ``path``."""
    return f"give {path} the SELinux label {label}"


@container()
def symlink(target: str, path: str, flags: int = 0, origin: str | None = None) -> str:
    """Make ``path`` a symlink to ``target``; an existing file stays, unless ``flags`` (SYMLINK_*) say otherwise."""
    text = f"link {path} to {target}"
    if flags & bits.SYMLINK_IF_TARGET:
        text += " if that exists"
    return text + (", in place of what is there" if flags & bits.SYMLINK_REPLACE else "")


@container()
def device(
    path: str, type: int, major: int, minor: int, mode: int, uid: int = 0, gid: int = 0, origin: str | None = None
) -> str:
    """Make a node; ``type`` is S_IFCHR, S_IFBLK or S_IFIFO. If the same node exists it stays; anything else is an error."""
    return f"make the {NODES.get(type, 'node')} {path} ({major}:{minor}, mode {mode:04o})"


@container()
def device_bind(path: str, source: str | None, type: int, major: int, minor: int, origin: str | None = None) -> str:
    """Verify the host's node ``source`` and bind it on ``path``.

    Without a source, bind what the preceding `device_tree` made.
    """
    return (f"bind the host's device {source}" if source else "bind that device") + f" on {path}"


@container()
def mask(path: str, origin: str | None = None, label: str | None = None) -> str:
    """Cover ``path`` if it exists: a directory by an empty one, anything else by the host's verified /dev/null.

    ``label``: the SELinux context of the empty directory, which all masks share.
    """
    return f"mask {path} if it is there"


@container()
def readonly(path: str, origin: str | None = None) -> str:
    """Make ``path`` a read-only mount if it exists."""
    return f"make {path} read-only if it is there"


@container("/process/terminal")
def console(width: int, height: int, bind: bool, uid: int) -> str:
    """Open a terminal of the container's devpts as the standard streams; ``bind``: on /dev/console too. Sizes in characters."""
    return "open a terminal as standard input, output and error" + (" and bind it on /dev/console" if bind else "")


@container("/hostname")
def hostname(name: str) -> str:
    """Set the host name of the UTS namespace."""
    return f"set the host name to {name}"


@container("/domainname")
def domainname(name: str) -> str:
    """Set the NIS domain name of the UTS namespace."""
    return f"set the domain name to {name}"


@container()
def sysctl(path: str, value: str, origin: str) -> str:
    """Write ``value`` to ``path``, relative to procfs ("sys/net/ipv4/ip_forward")."""
    return f"write {value!r} to /proc/{path}"


@host()
def hooks(kind: str, count: int, origin: str) -> str:
    """Run all hooks of ``kind`` (prestart, createRuntime) in the runtime's namespaces."""
    return f"run {counted(count, f'{kind} hook')}"


@host()
def state_document() -> str:
    """Give init the container's state, for the hooks that it runs."""
    return "give init the container's state, for its hooks"


@container()
def run_hook(
    path: str,
    args: Sequence[str],
    env: Sequence[str] | None,
    timeout: int,
    state: int,
    origin: str,
    inherit: bool = False,
    filtered: bool = False,
) -> str:
    """Run one hook in the container's namespaces; ``timeout`` in seconds, 0 for none; ``state`` is HOOK_*.

    ``inherit``: use the program's environment, known by then, instead of ``env``. ``filtered``: run under the filter that
    `seccomp` loads later.
    """
    text = f"run the hook {path} in the container's namespaces" + (" and under its seccomp filter" if filtered else "")
    return text + (f", at most {timeout} s" if timeout else "")


@container("/root/path")
def pivot(mode: int) -> str:
    """Make the container's root the root directory; ``mode`` is PIVOT_*."""
    ways = {bits.PIVOT_ROOT: "pivot_root", bits.PIVOT_MOVE: "moving it to /", bits.PIVOT_CHROOT: "chroot alone"}
    return f"enter the root by {ways[mode]}"


@container()
def unmount(path: str, origin: str) -> str:
    """Detach the mount at ``path``, of a container that runs."""
    return f"unmount {path}"


@container()
def enter_root(chroot: bool) -> str:
    """Enter the container's root: the joined mount namespace's, or (``chroot``) the given descriptor."""
    return "enter the container's root"


@container("/root/readonly")
def root_readonly() -> str:
    """Make the root's mount read-only, but no mount below it."""
    return "make the root read-only"


@container("/linux/rootfsPropagation")
def root_propagation(flags: int) -> str:
    """Set the propagation (an MS_* bit) of the root's mount."""
    return f"make the root's mount {spread(flags)}"
