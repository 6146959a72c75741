"""The operations of a plan: their codes, the names of their arguments, and a constructor for each.

An operation is a tuple ``(code, side, origin, numbers, strings)``: ``code`` is ``OP_*``, ``side`` is ``HOST`` or ``CONTAINER``,
``origin`` the RFC 6901 pointer into config.json that asked for it (None: the runtime's own doing), ``numbers`` up to 6
unsigned integers (negative ones wrap to 64 bits on the wire), ``strings`` up to 4 of str, bytes or list[str] (None: absent).

It is generated from runtime/plan/operations by csrc/tools/operations.py (make generate); do not edit.
Hot: it imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    String = str | bytes | Sequence[str] | None
    Operation = tuple[int, int, str | None, tuple[int, ...], tuple["String", ...]]

HOST, CONTAINER = 0, 1

# The flags of `mount`.
MOUNT_COPY_UP = 1  # tmpcopyup: copy what the new tmpfs covers into it
MOUNT_LEGACY = 2  # use mount(2) on the checked descriptor: fsconfig cannot express it
MOUNT_TARGET_MODE = 4  # a tmpfs without mode= gets that of the directory it covers
MOUNT_ORDINARY = 8  # no symlink may lead to the target, and paths below it are looked up in this mount
MOUNT_HOST_COPY = 16  # if the kernel refuses a new mount, bind `source` or the host's recursively
MOUNT_ROOT = 32  # on the container's root: from then on it is the root
MOUNT_TARGET_OWNER = 64  # with tmpcopyup: the owner of what it covers, unless uid= or gid= name one

# The flags of `bind` and of `open_tree`.
BIND_REC = 1  # include the mounts below
BIND_SOURCE_NOFOLLOW = 2  # bind a symlink itself
BIND_TARGET_NOFOLLOW = 4  # mount on a symlink itself
BIND_ROOT = 8  # on the container's root: from then on it is the root

# The flags of `symlink`.
SYMLINK_IF_TARGET = 1  # only if its target exists in the container
SYMLINK_REPLACE = 2  # replace an existing file
SYMLINK_SAME = 4  # an existing file must be the same link

# The state document that `run_hook` gives to its hook.
HOOK_CREATING = 0
HOOK_CREATED = 1

# The mode of `pivot`.
PIVOT_ROOT = 0  # pivot_root(2)
PIVOT_MOVE = 1  # --no-pivot: move the root to /
PIVOT_CHROOT = 2  # without a mount namespace

# The flags of `seccomp` are SECCOMP_FILTER_FLAG_*, and this bit, which the kernel has no use for.
SECCOMP_OF_HOOKS = 1073741824  # only startContainer hooks load the filter

# By code: name, names of its numbers, names of its strings.
TABLE: "tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]" = (
    ("oom_score_adj", ("score",), ()),
    ("dumpable", ("value",), ()),
    ("cgroups", (), ()),
    ("open_cgroup", ("for_fork",), ("path",)),
    ("open_namespace", ("type", "slot"), ("path",)),
    ("join_namespace", ("type", "slot"), ()),
    ("join_process", ("flags", "last"), ()),
    ("affinity", (), ("cpus",)),
    ("unshare", ("flags",), ()),
    ("id_maps", ("deny_setgroups",), ("uid_map", "gid_map")),
    ("become", ("uid", "gid"), ()),
    ("time_offsets", (), ("offsets",)),
    ("fork", (), ()),
    ("enter_cgroups", (), ()),
    ("setsid", (), ()),
    ("resctrl", (), ("files",)),
    ("net_device", (), ("device", "name")),
    ("propagation", ("flags",), ()),
    ("open_tree", ("flags", "attach", "attr_set", "attr_clr", "rec_set", "rec_clr"), ("source",)),
    (
        "idmap_tree",
        ("recursive", "map_all", "attr_set", "attr_clr", "rec_set", "rec_clr"),
        ("source", "type", "options", "maps"),
    ),
    ("device_tree", ("type", "major", "minor", "mode", "uid", "gid"), ("path", "label", "source")),
    ("root", ("attach", "private_parent"), ("path",)),
    ("proc_handle", ("host",), ()),
    (
        "mount",
        ("attr_set", "propagation", "rec_set", "rec_clr", "flags", "superblock"),
        ("destination", "type", "source", "options"),
    ),
    ("bind", ("recursive", "attr_set", "attr_clr", "propagation", "rec_set", "rec_clr"), ("destination", "source")),
    ("remount", ("attr_set", "attr_clr", "flags", "propagation", "rec_set", "rec_clr"), ("destination", "options")),
    ("file_label", (), ("path", "label")),
    ("symlink", ("flags",), ("target", "path")),
    ("device", ("type", "major", "minor", "mode", "uid", "gid"), ("path",)),
    ("device_bind", ("type", "major", "minor"), ("path", "source")),
    ("mask", (), ("path", "label")),
    ("readonly", (), ("path",)),
    ("console", ("width", "height", "bind", "uid"), ()),
    ("hostname", (), ("name",)),
    ("domainname", (), ("name",)),
    ("sysctl", (), ("path", "value")),
    ("hooks", ("count",), ("kind",)),
    ("state_document", (), ()),
    ("run_hook", ("timeout", "state", "inherit", "filtered"), ("path", "args", "env")),
    ("pivot", ("mode",), ()),
    ("unmount", (), ("path",)),
    ("enter_root", ("chroot",), ()),
    ("root_readonly", (), ()),
    ("root_propagation", ("flags",), ()),
    ("stdio", ("uid",), ()),
    ("keep_descriptors", ("count", "listener"), ()),
    ("rlimit", ("resource", "soft", "hard"), ()),
    ("umask", ("umask",), ()),
    ("keyring", (), ("name",)),
    ("label", (), ("path", "older_path", "label")),
    ("scheduler", ("policy", "flags", "level", "runtime", "deadline", "period"), ()),
    ("io_priority", ("value",), ()),
    ("personality", ("domain",), ()),
    ("memory_policy", ("mode",), ("nodes",)),
    ("no_new_privs", (), ()),
    ("bounding", ("keep",), ()),
    ("user", ("uid", "gid", "set_groups"), ("groups",)),
    ("capabilities", ("effective", "permitted", "inheritable", "ambient"), ()),
    ("cwd", ("make",), ("path",)),
    ("cwd_as_user", (), ("path",)),
    ("program", ("uid", "find_home"), ("args", "env", "search_path")),
    ("created", (), ()),
    ("wait_start", (), ()),
    ("place_descriptors", ("count",), ()),
    ("seccomp", ("flags",), ("program",)),
    ("seccomp_notify", ("flags",), ("program", "listener_path", "listener_metadata")),
    ("exec", (), ("name",)),
)

(
    OP_OOM_SCORE_ADJ,
    OP_DUMPABLE,
    OP_CGROUPS,
    OP_OPEN_CGROUP,
    OP_OPEN_NAMESPACE,
    OP_JOIN_NAMESPACE,
    OP_JOIN_PROCESS,
    OP_AFFINITY,
    OP_UNSHARE,
    OP_ID_MAPS,
    OP_BECOME,
    OP_TIME_OFFSETS,
    OP_FORK,
    OP_ENTER_CGROUPS,
    OP_SETSID,
    OP_RESCTRL,
    OP_NET_DEVICE,
    OP_PROPAGATION,
    OP_OPEN_TREE,
    OP_IDMAP_TREE,
    OP_DEVICE_TREE,
    OP_ROOT,
    OP_PROC_HANDLE,
    OP_MOUNT,
    OP_BIND,
    OP_REMOUNT,
    OP_FILE_LABEL,
    OP_SYMLINK,
    OP_DEVICE,
    OP_DEVICE_BIND,
    OP_MASK,
    OP_READONLY,
    OP_CONSOLE,
    OP_HOSTNAME,
    OP_DOMAINNAME,
    OP_SYSCTL,
    OP_HOOKS,
    OP_STATE_DOCUMENT,
    OP_RUN_HOOK,
    OP_PIVOT,
    OP_UNMOUNT,
    OP_ENTER_ROOT,
    OP_ROOT_READONLY,
    OP_ROOT_PROPAGATION,
    OP_STDIO,
    OP_KEEP_DESCRIPTORS,
    OP_RLIMIT,
    OP_UMASK,
    OP_KEYRING,
    OP_LABEL,
    OP_SCHEDULER,
    OP_IO_PRIORITY,
    OP_PERSONALITY,
    OP_MEMORY_POLICY,
    OP_NO_NEW_PRIVS,
    OP_BOUNDING,
    OP_USER,
    OP_CAPABILITIES,
    OP_CWD,
    OP_CWD_AS_USER,
    OP_PROGRAM,
    OP_CREATED,
    OP_WAIT_START,
    OP_PLACE_DESCRIPTORS,
    OP_SECCOMP,
    OP_SECCOMP_NOTIFY,
    OP_EXEC,
) = range(67)


def oom_score_adj(score: int, origin: str) -> "Operation":
    """Write /proc/self/oom_score_adj; before `dumpable`, after which the process's own user may not."""
    return OP_OOM_SCORE_ADJ, CONTAINER, origin, (score,), ()


def dumpable(value: int) -> "Operation":
    """PR_SET_DUMPABLE: 0 keeps out processes of a joined namespace (CVE-2016-9962), 1 lets the parent write the id maps."""
    return OP_DUMPABLE, CONTAINER, None, (value,), ()


def cgroups(origin: str | None) -> "Operation":
    """Make the container's cgroups and write their limits."""
    return OP_CGROUPS, HOST, origin, (), ()


def open_cgroup(path: str, for_fork: bool, origin: str | None) -> "Operation":
    """Open a file to write "0" to later, or (``for_fork``) a v2 cgroup's directory, which `fork` clones its child into."""
    return OP_OPEN_CGROUP, CONTAINER, origin, (int(for_fork),), (path,)


def open_namespace(type: int, slot: int, path: str, origin: str) -> "Operation":
    """Open the namespace file ``path`` and verify that it is of ``type``, a CLONE_NEW* bit."""
    return OP_OPEN_NAMESPACE, CONTAINER, origin, (type, slot), (path,)


def join_namespace(type: int, slot: int, origin: str) -> "Operation":
    """Enter the namespace that `open_namespace` put into ``slot``."""
    return OP_JOIN_NAMESPACE, CONTAINER, origin, (type, slot), ()


def join_process(flags: int, last: bool) -> "Operation":
    """Enter the container's namespaces ``flags`` (CLONE_NEW*) by one setns on its pidfd; ``last``: then close it."""
    return OP_JOIN_PROCESS, CONTAINER, None, (flags, int(last)), ()


def affinity(cpus: "Sequence[str] | None" = None, origin: str | None = None) -> "Operation":
    """Run on ``cpus`` only (decimal numbers); without any, on all CPUs of the cgroup, even if the caller is pinned."""
    return OP_AFFINITY, CONTAINER, origin, (), (cpus,)


def unshare(flags: int, origin: str | None) -> "Operation":
    """Make new namespaces; ``flags`` are CLONE_NEW* bits."""
    return OP_UNSHARE, CONTAINER, origin, (flags,), ()


def id_maps(uid_map: str, gid_map: str, deny_setgroups: bool, origin: str) -> "Operation":
    """Write the maps of init's new user namespace, each in the format of /proc/PID/uid_map."""
    return OP_ID_MAPS, HOST, origin, (int(deny_setgroups),), (uid_map, gid_map)


def become(uid: int, gid: int) -> "Operation":
    """Change to these ids of the new or joined user namespace."""
    return OP_BECOME, CONTAINER, None, (uid, gid), ()


def time_offsets(offsets: str, origin: str, side: int) -> "Operation":
    """Write /proc/PID/timens_offsets, which init cannot open in a user namespace."""
    return OP_TIME_OFFSETS, side, origin, (), (offsets,)


def fork(origin: str | None = None) -> "Operation":
    """Continue in a child, which is in the new or joined pid and time namespaces; ``origin``: the path of a joined one."""
    return OP_FORK, CONTAINER, origin, (), ()


def enter_cgroups(origin: str | None) -> "Operation":
    """Write to the files that `open_cgroup` opened."""
    return OP_ENTER_CGROUPS, CONTAINER, origin, (), ()


def setsid() -> "Operation":
    """Become the leader of a new session, without a terminal."""
    return OP_SETSID, CONTAINER, None, (), ()


def resctrl(files: "Sequence[str]") -> "Operation":
    """Write init's pid to ``files``: `tasks` of its group and of its monitoring group."""
    return OP_RESCTRL, HOST, "/linux/intelRdt", (), (files,)


def net_device(device: str, name: str, origin: str) -> "Operation":
    """Move a network device of the runtime's namespace into the container's; ``name`` may end in %d."""
    return OP_NET_DEVICE, HOST, origin, (), (device, name)


def propagation(flags: int, origin: str | None) -> "Operation":
    """Set the propagation (an MS_* bit) of every mount of the new mount namespace."""
    return OP_PROPAGATION, CONTAINER, origin, (flags,), ()


def open_tree(
    source: str,
    flags: int,
    origin: str,
    attach: int = 0,
    attr_set: int = 0,
    attr_clr: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
) -> "Operation":
    """Clone the mount at ``source`` in the container's mount namespace, with the caller's rights, for the next operation.

    ``flags`` are BIND_*. ``attach``: 1 mounts the clone over ``source``, 2 also makes the mount around it private. The
    attributes are those of the bind that the container may not set on a locked mount.
    """
    return OP_OPEN_TREE, HOST, origin, (flags, attach, attr_set, attr_clr, rec_set, rec_clr), (source,)


def idmap_tree(
    source: str,
    type: str | None,
    options: "Sequence[str]",
    maps: "Sequence[str]",
    recursive: bool,
    map_all: bool,
    origin: str,
    attr_set: int = 0,
    attr_clr: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
) -> "Operation":
    """Give the next operation a mount with its own id maps: a clone of the one at ``source``, or a new file system of ``type``.

    ``maps`` are the texts of a uid_map and a gid_map; without them, those of the container's user namespace apply.
    ``recursive``: include the mounts below; ``map_all`` maps those too. The others as for `open_tree`.
    """
    return (
        OP_IDMAP_TREE,
        HOST,
        origin,
        (int(recursive), int(map_all), attr_set, attr_clr, rec_set, rec_clr),
        (source, type, options, maps),
    )


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
) -> "Operation":
    """Give the next operation a node in a tmpfs of the host's, or the host's ``source`` if a node may not be made.

    ``uid`` and ``gid`` are the container's, ``label`` is the tmpfs's SELinux context.
    """
    return OP_DEVICE_TREE, HOST, origin, (type, major, minor, mode, uid, gid), (path, label, source)


def root(path: str, attach: bool, private_parent: bool) -> "Operation":
    """Open the root, or (``attach``) mount it over itself; ``private_parent``: mounts in it may be peers of the host's."""
    return OP_ROOT, CONTAINER, "/root/path", (int(attach), int(private_parent)), (path,)


def proc_handle(host: bool) -> "Operation":
    """Open a private procfs; ``host``: a clone of the host's, because the pid namespace is the host's."""
    return OP_PROC_HANDLE, CONTAINER, None, (int(host),), ()


def mount(
    destination: str,
    type: str,
    source: str,
    options: "Sequence[str]" = (),
    attr_set: int = 0,
    propagation: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
    flags: int = 0,
    superblock: int = 0,
    origin: str | None = None,
) -> "Operation":
    """Mount a new file system of ``type`` on ``destination``, making the directory if it is missing.

    ``options`` are the file system's own ("key" or "key=value"); ``propagation`` and ``superblock`` are MS_*; ``flags``
    are MOUNT_* of this package.
    """
    return (
        OP_MOUNT,
        CONTAINER,
        origin,
        (attr_set, propagation, rec_set, rec_clr, flags, superblock),
        (destination, type, source, options),
    )


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
) -> "Operation":
    """Bind ``source`` on ``destination``, making a missing file or directory to match.

    Without a source, bind what the preceding `open_tree` opened. ``recursive`` is a set of BIND_* flags, named after the
    first, as `ocirun plan` has always shown it.
    """
    return (
        OP_BIND,
        CONTAINER,
        origin,
        (recursive, attr_set, attr_clr, propagation, rec_set, rec_clr),
        (destination, source),
    )


def remount(
    destination: str,
    options: "Sequence[str]" = (),
    attr_set: int = 0,
    attr_clr: int = 0,
    flags: int = 0,
    propagation: int = 0,
    rec_set: int = 0,
    rec_clr: int = 0,
    origin: str | None = None,
) -> "Operation":
    """Change the mount at ``destination``; without MS_BIND in ``flags`` (MS_*), its file system too."""
    return (
        OP_REMOUNT,
        CONTAINER,
        origin,
        (attr_set, attr_clr, flags, propagation, rec_set, rec_clr),
        (destination, options),
    )


def file_label(path: str, label: str, origin: str) -> "Operation":
    """Set the SELinux label of the directory mounted on ``path``."""
    return OP_FILE_LABEL, CONTAINER, origin, (), (path, label)


def symlink(target: str, path: str, flags: int = 0, origin: str | None = None) -> "Operation":
    """Make ``path`` a symlink to ``target``; an existing file stays, unless ``flags`` (SYMLINK_*) say otherwise."""
    return OP_SYMLINK, CONTAINER, origin, (flags,), (target, path)


def device(
    path: str, type: int, major: int, minor: int, mode: int, uid: int = 0, gid: int = 0, origin: str | None = None
) -> "Operation":
    """Make a node; ``type`` is S_IFCHR, S_IFBLK or S_IFIFO. If the same node exists it stays; anything else is an error."""
    return OP_DEVICE, CONTAINER, origin, (type, major, minor, mode, uid, gid), (path,)


def device_bind(
    path: str, source: str | None, type: int, major: int, minor: int, origin: str | None = None
) -> "Operation":
    """Verify the host's node ``source`` and bind it on ``path``.

    Without a source, bind what the preceding `device_tree` made.
    """
    return OP_DEVICE_BIND, CONTAINER, origin, (type, major, minor), (path, source)


def mask(path: str, origin: str | None = None, label: str | None = None) -> "Operation":
    """Cover ``path`` if it exists: a directory by an empty one, anything else by the host's verified /dev/null.

    ``label``: the SELinux context of the empty directory, which all masks share.
    """
    return OP_MASK, CONTAINER, origin, (), (path, label)


def readonly(path: str, origin: str | None = None) -> "Operation":
    """Make ``path`` a read-only mount if it exists."""
    return OP_READONLY, CONTAINER, origin, (), (path,)


def console(width: int, height: int, bind: bool, uid: int) -> "Operation":
    """Open a terminal of the container's devpts as the standard streams; ``bind``: on /dev/console too. Sizes in characters."""
    return OP_CONSOLE, CONTAINER, "/process/terminal", (width, height, int(bind), uid), ()


def hostname(name: str) -> "Operation":
    """Set the host name of the UTS namespace."""
    return OP_HOSTNAME, CONTAINER, "/hostname", (), (name,)


def domainname(name: str) -> "Operation":
    """Set the NIS domain name of the UTS namespace."""
    return OP_DOMAINNAME, CONTAINER, "/domainname", (), (name,)


def sysctl(path: str, value: str, origin: str) -> "Operation":
    """Write ``value`` to ``path``, relative to procfs ("sys/net/ipv4/ip_forward")."""
    return OP_SYSCTL, CONTAINER, origin, (), (path, value)


def hooks(kind: str, count: int, origin: str) -> "Operation":
    """Run all hooks of ``kind`` (prestart, createRuntime) in the runtime's namespaces."""
    return OP_HOOKS, HOST, origin, (count,), (kind,)


def state_document() -> "Operation":
    """Give init the container's state, for the hooks that it runs."""
    return OP_STATE_DOCUMENT, HOST, None, (), ()


def run_hook(
    path: str,
    args: "Sequence[str]",
    env: "Sequence[str] | None",
    timeout: int,
    state: int,
    origin: str,
    inherit: bool = False,
    filtered: bool = False,
) -> "Operation":
    """Run one hook in the container's namespaces; ``timeout`` in seconds, 0 for none; ``state`` is HOOK_*.

    ``inherit``: use the program's environment, known by then, instead of ``env``. ``filtered``: run under the filter that
    `seccomp` loads later.
    """
    return OP_RUN_HOOK, CONTAINER, origin, (timeout, state, int(inherit), int(filtered)), (path, args, env)


def pivot(mode: int) -> "Operation":
    """Make the container's root the root directory; ``mode`` is PIVOT_*."""
    return OP_PIVOT, CONTAINER, "/root/path", (mode,), ()


def unmount(path: str, origin: str) -> "Operation":
    """Detach the mount at ``path``, of a container that runs."""
    return OP_UNMOUNT, CONTAINER, origin, (), (path,)


def enter_root(chroot: bool) -> "Operation":
    """Enter the container's root: the joined mount namespace's, or (``chroot``) the given descriptor."""
    return OP_ENTER_ROOT, CONTAINER, None, (int(chroot),), ()


def root_readonly() -> "Operation":
    """Make the root's mount read-only, but no mount below it."""
    return OP_ROOT_READONLY, CONTAINER, "/root/readonly", (), ()


def root_propagation(flags: int) -> "Operation":
    """Set the propagation (an MS_* bit) of the root's mount."""
    return OP_ROOT_PROPAGATION, CONTAINER, "/linux/rootfsPropagation", (flags,), ()


def stdio(uid: int) -> "Operation":
    """Give the caller's standard streams to the user; replace the host's /dev/null by the container's."""
    return OP_STDIO, CONTAINER, None, (uid,), ()


def keep_descriptors(count: int, listener: bool) -> "Operation":
    """Close all descriptors but the standard streams, the channel, ``count`` preserved ones and (``listener``) start's socket."""
    return OP_KEEP_DESCRIPTORS, CONTAINER, None, (count, int(listener)), ()


def rlimit(resource: int, soft: int, hard: int, origin: str, side: int) -> "Operation":
    """Set RLIMIT_*; all bits set means unlimited."""
    return OP_RLIMIT, side, origin, (resource, soft, hard), ()


def umask(umask: int, origin: str | None) -> "Operation":
    """Set the file mode creation mask."""
    return OP_UMASK, CONTAINER, origin, (umask,), ()


def keyring(name: str) -> "Operation":
    """Join a new session keyring, so that the program does not get the caller's."""
    return OP_KEYRING, CONTAINER, None, (), (name,)


def label(path: str, older_path: str | None, label: str | None, origin: str) -> "Operation":
    """Write ``label`` to procfs's ``path``, or on older kernels to ``older_path``; None clears it."""
    return OP_LABEL, CONTAINER, origin, (), (path, older_path, label)


def scheduler(policy: int, flags: int, level: int, runtime: int, deadline: int, period: int, side: int) -> "Operation":
    """sched_setattr(2): ``level`` is the static priority under SCHED_FIFO and SCHED_RR, else the nice value. Times in ns."""
    return OP_SCHEDULER, side, "/process/scheduler", (policy, flags, level, runtime, deadline, period), ()


def io_priority(value: int, side: int) -> "Operation":
    """ioprio_set(2) for init's process group; ``value``: class << 13 | level."""
    return OP_IO_PRIORITY, side, "/process/ioPriority", (value,), ()


def personality(domain: int) -> "Operation":
    """``domain``: PER_* of personality(2)."""
    return OP_PERSONALITY, CONTAINER, "/linux/personality", (domain,), ()


def memory_policy(mode: int, nodes: "Sequence[str]") -> "Operation":
    """set_mempolicy(2): ``mode`` is MPOL_* with its MPOL_F_* bits, ``nodes`` decimal numbers."""
    return OP_MEMORY_POLICY, CONTAINER, "/linux/memoryPolicy", (mode,), (nodes,)


def no_new_privs() -> "Operation":
    """PR_SET_NO_NEW_PRIVS: no execve grants privileges."""
    return OP_NO_NEW_PRIVS, CONTAINER, "/process/noNewPrivileges", (), ()


def bounding(keep: int, origin: str | None) -> "Operation":
    """Drop every capability that is not in ``keep`` from the bounding set."""
    return OP_BOUNDING, CONTAINER, origin, (keep,), ()


def user(uid: int, gid: int, set_groups: bool, groups: "Sequence[str] | None") -> "Operation":
    """Become the user; ``groups`` are decimal ids. Without ``set_groups`` the groups stay (setgroups is denied)."""
    return OP_USER, CONTAINER, "/process/user", (uid, gid, int(set_groups)), (groups,)


def capabilities(effective: int, permitted: int, inheritable: int, ambient: int, origin: str | None) -> "Operation":
    """Set exactly these capability sets, each a mask."""
    return OP_CAPABILITIES, CONTAINER, origin, (effective, permitted, inheritable, ambient), ()


def cwd(path: str, make: bool) -> "Operation":
    """Change to the working directory, unless denied; ``make``: create it if it is missing."""
    return OP_CWD, CONTAINER, "/process/cwd", (int(make),), (path,)


def cwd_as_user(path: str) -> "Operation":
    """The same as the container's user, if `cwd` was denied."""
    return OP_CWD_AS_USER, CONTAINER, "/process/cwd", (), (path,)


def program(args: "Sequence[str]", env: "Sequence[str]", search_path: str, uid: int, find_home: bool) -> "Operation":
    """Look up args[0] as the container's user; ``find_home``: add HOME from the container's passwd."""
    return OP_PROGRAM, CONTAINER, "/process/args", (uid, int(find_home)), (args, env, search_path)


def created() -> "Operation":
    """Report that everything is ready; the parent records the container and lets init go."""
    return OP_CREATED, HOST, None, (), ()


def wait_start() -> "Operation":
    """Wait for a connection to start.sock, which becomes the channel."""
    return OP_WAIT_START, CONTAINER, None, (), ()


def place_descriptors(count: int) -> "Operation":
    """Move the preserved descriptors to the numbers that the program expects."""
    return OP_PLACE_DESCRIPTORS, CONTAINER, None, (count,), ()


def seccomp(program: bytes, flags: int) -> "Operation":
    """Load the filter ``program`` (struct sock_filter) with the SECCOMP_FILTER_FLAG_* bits ``flags``."""
    return OP_SECCOMP, CONTAINER, "/linux/seccomp", (flags,), (program,)


def seccomp_notify(program: bytes, flags: int, listener_path: str, listener_metadata: str) -> "Operation":
    """Load a filter with SCMP_ACT_NOTIFY; the runtime sends its listener to ``listener_path``.

    ``listener_metadata`` goes to the agent there.
    """
    return OP_SECCOMP_NOTIFY, CONTAINER, "/linux/seccomp", (flags,), (program, listener_path, listener_metadata)


def exec(name: str, origin: str = "/process/args") -> "Operation":
    """Execute the program that `program` looked up; ``name`` is args[0], for error messages.

    ``origin``: the pointer of the label that the execve changes to, if any.
    """
    return OP_EXEC, CONTAINER, origin, (), (name,)
