"""CRIU's requests and responses by name: the fields of its rpc.proto that are used here. Pure.

Source: images/rpc.proto of CRIU 3.17 and 4.2, whose numbers agree.
"""

from runtime.criu import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from runtime.criu.wire import Fields, Received, Value

    Pairs = Sequence[tuple[str, str]]

# criu_req_type
DUMP, RESTORE, CHECK, PRE_DUMP, NOTIFY, FEATURE_CHECK, VERSION = 1, 2, 3, 4, 6, 9, 10
# criu_cg_mode. CRIU's own default is "soft".
CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5}
# criu_network_lock_method
NETWORK_LOCKS = {"iptables": 1, "nftables": 2, "skip": 3}
# criu_features
FEATURES = {"mem_track": 1, "lazy_pages": 2}

# criu_opts, in the order of their numbers.
OPTIONS = {
    "images_dir_fd": 1,
    "pid": 2,
    "leave_running": 3,
    "ext_unix_sk": 4,
    "tcp_established": 5,
    "evasive_devices": 6,
    "shell_job": 7,
    "file_locks": 8,
    "log_level": 9,
    "log_file": 10,
    "ps": 11,  # (address, port)
    "notify_scripts": 12,
    "root": 13,
    "parent_img": 14,
    "track_mem": 15,
    "auto_dedup": 16,
    "work_dir_fd": 17,
    "link_remap": 18,
    "ext_mnt": 23,  # [(mount point, name)] to dump, [(name, source)] to restore
    "manage_cgroups": 24,
    "cg_root": 25,  # [(controller, path)]
    "rst_sibling": 26,
    "inherit_fd": 27,  # [(name, descriptor)]
    "manage_cgroups_mode": 34,
    "external": 37,  # [text]
    "empty_ns": 38,
    "join_ns": 39,  # [(type, path)]
    "freeze_cgroup": 44,
    "tcp_skip_in_flight": 46,
    "lazy_pages": 48,
    "orphan_pts_master": 50,
    "config_file": 51,
    "tcp_close": 52,
    "lsm_profile": 53,
    "lsm_mount_context": 63,
    "network_lock": 64,
}


def options(values: "Mapping[str, object]") -> "Fields":
    """criu_opts from values by name. None, False and an empty list are left out."""
    fields: list[tuple[int, Value]] = []
    for name, number in OPTIONS.items():
        value = values.get(name)
        if value is None or value is False or value == []:
            continue
        every: list[Any] = value if isinstance(value, list) else [value]
        for one in every:
            fields.append((number, list(enumerate(one, 1)) if isinstance(one, tuple) else one))
    return fields


def request(kind: int, values: "Mapping[str, object] | None" = None, features: "Sequence[str]" = ()) -> bytes:
    """criu_req."""
    fields: list[tuple[int, Value]] = [(1, kind)]
    if values is not None:
        fields.append((2, options(values)))
    if features:
        fields.append((5, [(FEATURES[name], True) for name in features]))
    return wire.encode(fields)


def notified(success: bool) -> bytes:
    """The answer to a notification."""
    return wire.encode([(1, NOTIFY), (3, success)])


class Response:
    """criu_resp. ``script`` and ``pid``: of a notification; ``pid`` is also the restored process, 0 if there is none."""

    __slots__ = ("errno", "features", "kind", "message", "pid", "script", "success", "version")

    def __init__(self, data: bytes) -> None:
        """ValueError for what is not a response."""
        fields = wire.decode(data)
        self.kind = _number(fields, 1)
        self.success = bool(_number(fields, 2))
        self.errno = abs(wire.signed(_number(fields, 7)))
        self.message = _text(fields, 9)
        notify, restored = _message(fields, 5), _message(fields, 4)
        self.script = _text(notify, 1)
        self.pid = _number(notify, 2) or _number(restored, 1)
        found = _message(fields, 8)
        self.features = {name for name, number in FEATURES.items() if _number(found, number)}
        version = _message(fields, 10)
        self.version = (_number(version, 1), _number(version, 2), _number(version, 4))


def _number(fields: "Received", number: int) -> int:
    value = fields.get(number, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {number} is not a number")
    return value


def _data(fields: "Received", number: int) -> bytes:
    value = fields.get(number, [b""])[-1]
    if not isinstance(value, bytes):
        raise ValueError(f"field {number} is not a string")
    return value


def _text(fields: "Received", number: int) -> str:
    return _data(fields, number).decode(errors="replace")


def _message(fields: "Received", number: int) -> "Received":
    return wire.decode(_data(fields, number))
