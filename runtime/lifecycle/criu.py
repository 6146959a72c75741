"""What checkpoint and restore have in common: who may call CRIU, its options, and the wording of its failures."""

import posix

from runtime import files
from runtime.criu import log, messages
from runtime.errors import OcirunError
from runtime.host import facts
from runtime.kernel import CLONE_FLAGS
from runtime.lifecycle import criu_images
from runtime.plan.annotations import CRIU_CONFIG
from runtime.plan.namespaces import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config
    from runtime.criu.messages import Response
    from runtime.shapes import CriuOptions

CONFIG_FILES = ("/etc/criu/ocirun.conf", "/etc/criu/runc.conf")
SWITCHES = ("tcp_established", "ext_unix_sk", "shell_job", "file_locks", "auto_dedup", "lazy_pages")
LOG_LEVEL = 4
NETWORK = "network"  # the only namespace that CRIU can leave empty


def check_rights(verb: str) -> None:
    """OcirunError unless the caller is the host's root."""
    effective = facts.status_mask(files.read("/proc/self/status"), b"CapEff:\t")
    if facts.in_user_namespace() or not effective & facts.CAP_SYS_ADMIN:
        raise OcirunError(f"{verb} needs root outside of any user namespace: CRIU does; nothing was changed")


def common(options: "CriuOptions", spec: "Config", images: int, work: int) -> "dict[str, object]":
    """The options of CRIU that both verbs set. ``images`` and ``work``: open directories. OcirunError for a bad value."""
    values: dict[str, object] = {name: bool(options.get(name)) for name in SWITCHES}
    values |= {"images_dir_fd": images, "work_dir_fd": work, "log_level": LOG_LEVEL, "notify_scripts": True}
    values |= {"orphan_pts_master": True, "manage_cgroups": True, "empty_ns": empty(options.get("empty_ns", []), spec)}
    mode = _choice("manage-cgroups-mode", options.get("manage_cgroups_mode"), messages.CGROUP_MODES)
    values["manage_cgroups_mode"] = messages.CGROUP_MODES["soft"] if mode is None else mode
    values["network_lock"] = _choice("network-lock", options.get("network_lock"), messages.NETWORK_LOCKS)
    values["config_file"] = config_file(spec)
    return values


def _choice(flag: str, value: "str | None", known: "dict[str, int]") -> "int | None":
    if not value:
        return None
    if value not in known:
        raise OcirunError(f'--{flag} "{value}": must be one of {", ".join(known)}')
    return known[value]


def empty(names: "list[str]", spec: "Config") -> int:
    """The namespaces whose content CRIU neither dumps nor restores: a new network, as with runc.

    Its devices are the runtime's, the hooks' or the manager's to make. One that the container joins is left alone anyway.
    There CRIU would lock the network once more to restore, on top of the lock from the dump, and would undo only one.
    """
    for name in names:
        if name != NETWORK:
            raise OcirunError(f'--empty-ns "{name}": CRIU can leave only the network namespace empty')
    joined = kinds(spec).get("network", ("", None))[1]
    return 0 if joined and not names else CLONE_FLAGS["network"]


def config_file(spec: "Config") -> "str | None":
    """The configuration file that CRIU reads; what it says prevails over the command line."""
    wanted = (spec.get("annotations") or {}).get(CRIU_CONFIG)
    if wanted is not None:
        if wanted:
            criu_images.check_config(wanted)
        return wanted or None
    return next((path for path in CONFIG_FILES if posix.access(path, posix.F_OK)), CONFIG_FILES[-1])


def failure(
    tried: str, reason: "OcirunError | Response", work: "tuple[int, str]", name: str, after: str
) -> OcirunError:
    """The error for a CRIU that failed. ``work``: the directory of its log ``name``, open, and its path. ``after``: how
    things stand now."""
    directory, path = work
    if isinstance(reason, OcirunError):
        words, number = reason.message, reason.errno
    else:
        words = reason.message or "CRIU gives no reason"
        number = reason.errno or None
    quoted = "; ".join(log.errors(directory, name)) or words
    return OcirunError(f"{tried}: {quoted}; {after}; CRIU's log is {path}/{name}", None, None, number)
