"""The dicts that go from room to room, as types: what the host is like, what a caller asked for, what is on disk.

For type checkers only: import it under TYPE_CHECKING. A dict's keys are the field's own names; each has one meaning,
stated here, wherever the dict goes. The config has its types in `oci_spec.types`, made from the schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.cgroups.layout import Place
    from runtime.host.cgroups import CgroupFacts
    from runtime.plan.identity import Filter

IdMap = list[dict[str, int]]  # in the form of linux.uidMappings


class Facts(TypedDict):
    """The machine, and who calls, as a plan needs to know them: `runtime.host.facts` reads them."""

    bundle: str  # absolute
    rootfs: str  # absolute
    privileged: bool  # CAP_SYS_ADMIN over the first user namespace
    in_user_namespace: bool  # the caller stands in another one
    capable: bool  # CAP_SYS_ADMIN over the caller's own
    capabilities: int  # bits that the container can be granted
    new_user_namespace: bool  # the config makes or joins one
    uid_map: IdMap  # of the config
    gid_map: IdMap
    own_uid_map: IdMap  # of the caller's user namespace, where that is not the first
    own_gid_map: IdMap
    deny_setgroups: bool  # nobody in the container can call setgroups(2)
    keep_groups: bool  # an annotation of the config asks for the caller's supplementary groups
    cgroup: CgroupFacts
    links: dict[str, str]  # what the sources of mounts with copy-symlink link to, by pointer
    # What lifecycle adds before it plans:
    placement: NotRequired[list[str]]  # files by which a process enters the container's cgroups
    cgroup_places: NotRequired[list[Place]]
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
    interruptible: bool  # what asks the process to end is an error while hooks run


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
    linux: dict[str, Any]  # exec: that section of the container's config
    readonly_root: bool
    make_cwd: bool


class Record(TypedDict, total=False):
    """The state file of a container: `runtime.lifecycle.store` reads and writes it."""

    ociVersion: str
    id: str
    status: str  # creating or created; what comes later is seen, not written
    pid: int
    start_time: int  # of init, in clock ticks since boot
    bundle: str
    rootfs: str
    chroot: bool  # the container's root is not that of its mount namespace: --no-pivot, or there is none
    created: str  # RFC 3339
    annotations: dict[str, str]
    cgroups: Any  # `runtime.cgroups.tree` has the rows
    systemd: dict[str, Any]  # of the unit: `runtime.cgroups.systemd.scope`
    hooks: dict[str, list[dict[str, Any]]]  # poststart and poststop
    resctrl: dict[str, Any]  # `runtime.cgroups.resctrl`
    net_devices: Any  # `runtime.lifecycle.net_devices`
    notify: str  # the caller's NOTIFY_SOCKET
    resources: dict[str, Any]  # as `update` left them
    tail: Any  # the operations after `created`, encoded, for `start`
