"""The dicts that go from room to room, as types: what the host is like, what a caller asked for, what is on disk.

For type checkers only: import it under TYPE_CHECKING. A dict's keys are the field's own names; each has one meaning,
stated here, wherever the dict goes. The config has its types in `oci_spec.types`, made from the schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_spec.types import Hook, HookKind, Hooks, IdMapping, Linux, Resources
    from runtime.host.cgroups import CgroupFacts, Hierarchy
    from runtime.plan.identity import Filter

Warn = Callable[[str], None]  # hears of what does not stop us


class Location(TypedDict):
    """Where a container's cgroup in one hierarchy is: `runtime.cgroups.layout`."""

    path: str  # of its directory, absolute
    base: str  # an ancestor that exists; removal never goes above it
    hierarchy: Hierarchy


class Facts(TypedDict):
    """The machine, and who calls, as a plan needs to know them: `runtime.host.facts` reads them."""

    bundle: str  # absolute
    rootfs: str  # absolute
    privileged: bool  # CAP_SYS_ADMIN over the first user namespace
    in_user_namespace: bool  # the caller stands in another one
    capable: bool  # CAP_SYS_ADMIN over the caller's own
    capabilities: int  # bits that the container can be granted
    new_user_namespace: bool  # the config makes or joins one
    uid_map: list[IdMapping]  # of the config
    gid_map: list[IdMapping]
    own_uid_map: list[IdMapping]  # of the caller's user namespace, where that is not the first
    own_gid_map: list[IdMapping]
    deny_setgroups: bool  # nobody in the container can call setgroups(2)
    keep_groups: bool  # an annotation of the config asks for the caller's supplementary groups
    cgroup: CgroupFacts
    links: dict[str, str]  # what the sources of mounts with copy-symlink link to, by pointer
    # What lifecycle adds before it plans:
    placement: NotRequired[list[str]]  # files by which a process enters the container's cgroups
    cgroup_locations: NotRequired[list[Location]]  # what a mount of cgroups shows
    resctrl: NotRequired[Sequence[str]]  # files of resctrl that take the pid of each of its processes
    join: NotRequired[int]  # exec: CLONE_NEW* of the namespaces that differ from the caller's
    chroot: NotRequired[bool]  # exec: the container's root is not that of its mount namespace
    admitted: NotRequired[bool]  # exec: the host's side has to bring the process into the cgroups


class PublishOptions(TypedDict, total=False):
    """What the caller of create, run or exec is given, and gives: paths are absolute, "" means not asked for."""

    pid_file: str
    console_socket: str
    pidfd_socket: str
    preserve_fds: int
    activation: bool  # False: LISTEN_FDS and NOTIFY_SOCKET in the environment are the calling program's own
    detach: bool
    debug: Callable[[str], None]  # hears what is done


class CreateOptions(PublishOptions, total=False):
    """create and run."""

    bundle: str  # absolute
    config: str  # a file in the place of the bundle's
    config_data: bytes  # the config itself
    cgroup_manager: str  # cgroupfs, systemd, disabled
    rootless: str  # true, false, auto
    no_pivot: bool
    no_new_keyring: bool
    trace: str
    keep: bool  # run: do not delete at the end


class ExecOptions(PublishOptions, total=False):
    """exec. With `process` or `document` the program is described by JSON, else by the options below them."""

    process: str  # a file, - for standard input
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
    """What a plan takes besides config and facts."""

    id: str
    no_pivot: bool
    no_new_keyring: bool
    preserve_fds: int
    wait_start: bool  # False for `run`
    seccomp: Filter | None
    environment: list[str]  # variables that the runtime adds
    caller_environment: list[str]  # for hooks of createContainer that have none of their own
    linux: Linux  # exec: that section of the container's config
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

    tasks: list[str]  # files that take the pid of each of its processes
    made: list[str]  # directories that `delete` removes


class NetDeviceRow(TypedDict):
    """A network device before it is moved into a container: `runtime.process.net_devices`."""

    device: str  # its name on the host
    index: int
    flags: int  # IFF_*
    name: str  # the one that it gets in the container
    before: list[int]  # indices of the devices that the container had already
    # Family, prefix length, flags, scope and IFA_* attributes (number, hexadecimal value); JSON makes lists of the tuples.
    addresses: list[tuple[int, int, int, int, list[tuple[int, str]]]]


class HostContext(TypedDict):
    """The container that init is made for, as the host's side of its plan needs to know it (`runtime.lifecycle.operations`)."""

    record: Record
    status: str  # that the agent of a seccomp filter is told
    handle: int  # of its directory, while it is made; -1 for exec
    hooks: Hooks  # of its config, while it is made; {} for exec


class StateDocument(TypedDict):
    """The state of a container as others read it: runtime.md "State", and what runc adds."""

    ociVersion: str
    id: str
    pid: int  # 0 where there is no process
    status: str
    bundle: str
    rootfs: str
    created: str
    annotations: NotRequired[dict[str, str]]
    owner: NotRequired[str]  # what `state` and `list` print


class Record(TypedDict, total=False):
    """The state file of a container: `runtime.lifecycle.store` reads and writes it."""

    ociVersion: str
    id: str
    status: str  # creating or created; what comes later is seen, not written
    pid: int
    start_time: int  # of init, in clock ticks since boot
    bundle: str
    rootfs: str
    chroot: bool  # the container's root is not that of its mount namespace, since it has none
    created: str  # RFC 3339
    annotations: dict[str, str]
    cgroups: list[CgroupRow]  # one for each hierarchy; [] with --cgroup-manager disabled
    systemd: UnitRow
    hooks: dict[HookKind, list[Hook]]  # poststart and poststop
    resctrl: ResctrlRow
    net_devices: list[NetDeviceRow]  # `runtime.lifecycle.net_devices`
    notify: str  # the caller's NOTIFY_SOCKET
    resources: Resources  # as `update` left them
    tail: Any  # the operations after `created`, encoded, for `start`
