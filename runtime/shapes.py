"""Types of the dicts that packages pass to each other: facts about the host, the caller's options, the record on disk.

For type checkers only: import it under TYPE_CHECKING. Each key has one meaning everywhere, stated here. The config's types
are in `oci_spec.types`, made from the schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Hook, HookKind, Hooks, IdMapping, Linux, Resources
    from runtime.host.cgroups import CgroupFacts, Hierarchy
    from runtime.lifecycle.seccomp_explain import Explainer

Warn = Callable[[str], None]  # takes a warning
Filter = tuple[bytes, int, str, str]  # seccomp: program, flags of seccomp(2), listenerPath, listenerMetadata


class Location(TypedDict):
    """A container's cgroup in one hierarchy: `runtime.cgroups.layout`."""

    path: str  # of its directory, absolute
    base: str  # an existing ancestor; removal stops there
    hierarchy: Hierarchy


class Facts(TypedDict):
    """The facts about the machine and the caller that a plan needs: `runtime.host.facts` reads them."""

    bundle: str  # absolute
    rootfs: str  # absolute
    privileged: bool  # CAP_SYS_ADMIN in the initial user namespace
    in_user_namespace: bool  # the caller is in another one
    capable: bool  # CAP_SYS_ADMIN in the caller's own
    capabilities: int  # bits that the container can be granted
    new_user_namespace: bool  # the config makes or joins one
    uid_map: list[IdMapping]  # of the config
    gid_map: list[IdMapping]
    own_uid_map: list[IdMapping]  # of the caller's user namespace; [] in the initial one
    own_gid_map: list[IdMapping]
    deny_setgroups: bool  # nobody in the container can call setgroups(2)
    keep_groups: bool  # an annotation of the config asks for the caller's supplementary groups
    cgroup: CgroupFacts
    links: dict[str, str]  # targets of symbolic links to copy (copy-symlink), by the mount's pointer
    # Added by lifecycle before it plans:
    placement: NotRequired[list[str]]  # files by which a process enters the container's cgroups
    cgroup_locations: NotRequired[list[Location]]  # what a cgroup mount shows
    resctrl: NotRequired[Sequence[str]]  # files that take the pid of a process, to put it into the resctrl groups
    join: NotRequired[int]  # exec: CLONE_NEW* of the namespaces that differ from the caller's
    chroot: NotRequired[bool]  # exec: the container's root is not that of its mount namespace
    elsewhere: NotRequired[bool]  # init is in a mount namespace that does not have the sources of binds
    admitted: NotRequired[bool]  # exec: systemd has to move the process into the cgroups


class PublishOptions(TypedDict, total=False):
    """Options of create, run and exec alike. Paths are absolute; "" means none."""

    pid_file: str
    console_socket: str
    take_terminal: Callable[[int], None]  # instead of a socket: takes the master end, which is closed afterwards
    take_pidfd: Callable[[int], None]  # takes a pidfd, which it closes
    pidfd_socket: str
    pidfd_receiver: str  # as pidfd_socket, from an annotation
    preserve_fds: int
    kept: Sequence[int]  # in its place: of the API's caller, above the numbers that the program has them under
    activation: bool  # False: LISTEN_FDS and NOTIFY_SOCKET in the environment are for the calling program itself
    detach: bool
    debug: Callable[[str], None]  # takes what --debug reports


class ExplainOptions(TypedDict, total=False):
    """run and exec."""

    seccomp_explain: bool  # tell of each system call that the filter refuses
    explain: Callable[[str], None]  # takes those lines
    explainer: Explainer  # tells of them


class CreateOptions(PublishOptions, ExplainOptions, total=False):
    """create and run."""

    bundle: str  # absolute
    config: str  # a file instead of the bundle's config.json
    config_data: bytes  # the config itself
    cgroup_manager: str  # cgroupfs, systemd, disabled
    rootless: str  # true, false, auto
    no_pivot: bool
    no_new_keyring: bool
    trace: str
    keep: bool  # run: do not delete at the end
    interruptible: bool  # a signal that ends a process is an error while hooks run: runtime.process.interruption


class CriuOptions(TypedDict, total=False):
    """checkpoint and restore alike: the flags of the same names. Paths are absolute; "" means none."""

    criu: str  # the program, a name or a path
    image_path: str
    work_path: str
    tcp_established: bool
    ext_unix_sk: bool
    shell_job: bool
    file_locks: bool
    auto_dedup: bool
    lazy_pages: bool
    manage_cgroups_mode: str
    network_lock: str
    empty_ns: list[str]
    interruptible: bool  # a signal that ends a process is an error, and what was done is undone
    debug: Callable[[str], None]  # takes what --debug reports


class CheckpointOptions(CriuOptions, total=False):
    """checkpoint."""

    parent_path: str  # from the image directory
    leave_running: bool
    pre_dump: bool
    tcp_skip_in_flight: bool
    link_remap: bool
    status_fd: int
    page_server: str  # ADDRESS:PORT


class RestoreOptions(CriuOptions, total=False):
    """restore. Those of the same names as in `CreateOptions` are the same."""

    bundle: str
    cgroup_manager: str
    rootless: str
    activation: bool
    detach: bool
    pid_file: str
    console_socket: str
    no_pivot: bool

    tcp_close: bool
    lsm_profile: str
    lsm_mount_context: str


class ExecOptions(PublishOptions, ExplainOptions, total=False):
    """exec. The program comes from JSON (`process`, `document`) or from the options below those."""

    process: str  # a file; - is standard input
    document: bytes
    tty: bool
    cwd: str
    env: list[str]
    user: str
    additional_gids: list[str]
    cap: list[str]
    no_new_privs: bool
    process_label: str
    apparmor: str
    cgroup: list[str]
    ignore_paused: bool


class PlanOptions(TypedDict, total=False):
    """The plan's options, besides config and facts."""

    id: str
    no_pivot: bool
    no_new_keyring: bool
    preserve_fds: int
    wait_start: bool  # False for `run`
    seccomp: Filter | None
    environment: list[str]  # variables that the runtime adds
    caller_environment: list[str]  # for createContainer hooks without an env
    linux: Linux  # exec: of the container's config
    readonly_root: bool
    make_cwd: bool


class CgroupRow(TypedDict):
    """One of a container's cgroups: `runtime.cgroups.intent`."""

    path: str  # of its directory, absolute
    made: int  # how many of the path's last components the container makes; or KEPT, SHARED, NOT_OURS
    version: int  # of its hierarchy: 1 or 2


class UnitRow(TypedDict):
    """The systemd unit of a container: `runtime.cgroups.systemd.scope`."""

    unit: str  # its name
    user: bool  # it belongs to the caller's own systemd
    address: str  # of the bus
    below: str  # that systemd's own cgroup


class ResctrlRow(TypedDict):
    """The resctrl group of a container: `runtime.resctrl`."""

    tasks: list[str]  # files that take the pid of a process, to put it into the group
    made: list[str]  # directories that `delete` removes


class NetDeviceRow(TypedDict):
    """A network device before it is moved into a container: `runtime.process.net_devices`."""

    device: str  # its name on the host
    index: int
    flags: int  # IFF_*
    name: str  # its name in the container
    before: list[int]  # indices of the devices that the container's namespace had
    # Family, prefix length, flags, scope and IFA_* attributes (number, hexadecimal value); JSON makes lists of the tuples.
    addresses: list[tuple[int, int, int, int, list[tuple[int, str]]]]


class HostContext(TypedDict):
    """The container, for the host's side of a plan (`runtime.lifecycle.operations`)."""

    record: Record
    status: str  # for the agent of a seccomp filter
    handle: int  # of its directory; -1 for exec
    hooks: Hooks  # of its config; {} for exec
    below: NotRequired[str]  # exec: the cgroup below the unit's that systemd moves the program to


class StateDocument(TypedDict):
    """The state of a container for others: runtime.md "State", and what runc adds."""

    ociVersion: str
    id: str
    pid: int  # 0 without a process
    status: str
    bundle: str
    rootfs: str
    created: str
    annotations: NotRequired[dict[str, str]]
    owner: NotRequired[str]  # for `state` and `list`
    reason: NotRequired[str]  # for `state`: why it has stopped, if the kernel's log says so


class TailRow(TypedDict):
    """An operation of a plan, by names: a later release may number operations and arguments otherwise."""

    name: str
    origin: NotRequired[str]
    arguments: NotRequired[dict[str, int | str]]  # those that are neither 0 nor empty; no lists and no bytes


class Tail(TypedDict):
    """The end of a plan, from the wait for `start` on: `runtime.plan.encode.tail`."""

    first: int  # the index of its first operation in the plan
    operations: list[TailRow]


class Record(TypedDict, total=False):
    """The state file of a container: `runtime.lifecycle.store` reads and writes it."""

    version: int  # of this form: `runtime.lifecycle.versions`
    ociVersion: str
    id: str
    status: str  # creating or created; the later ones are observed, not written
    pid: int
    start_time: int  # of init, in clock ticks since boot
    bundle: str
    rootfs: str
    chroot: bool  # the container has no mount namespace of its own
    restoring: bool  # its directory has one more: where CRIU finds the root (`runtime.lifecycle.restore`)
    created: str  # RFC 3339
    annotations: dict[str, str]
    cgroups: list[CgroupRow]  # one for each hierarchy; [] with --cgroup-manager disabled
    systemd: UnitRow
    hooks: dict[HookKind, list[Hook]]  # poststart and poststop
    resctrl: ResctrlRow
    net_devices: list[NetDeviceRow]  # `runtime.lifecycle.net_devices`
    notify: str  # the caller's NOTIFY_SOCKET
    resources: Resources  # as `update` left them
    tail: Tail


class VerifyTitle(TypedDict):
    """What `ocirun verify` compares."""

    id: str  # "" for a container that ocirun did not make
    pid: int  # of the first process
    bundle: str
    config: str  # the file whose text is used
